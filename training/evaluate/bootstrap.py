"""Intervals by resampling patients: the runtime's own mathematics, under the workbench's name."""

from __future__ import annotations

from cxredge.operating_points import Interval, auroc_intervals, mean_interval, rate_intervals, resampled

__all__ = ["Interval", "auroc_intervals", "mean_interval", "rate_intervals", "resampled"]
