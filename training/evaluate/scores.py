"""AUROC, ROC curves and what follows from a threshold: the runtime's own mathematics, under the workbench's name."""

from __future__ import annotations

from cxredge.operating_points import Counts, Curve, Ranking, auroc, counts_at, mean_auroc, measurable, roc_curve

__all__ = ["Counts", "Curve", "Ranking", "auroc", "counts_at", "mean_auroc", "measurable", "roc_curve"]
