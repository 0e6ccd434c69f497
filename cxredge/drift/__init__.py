"""Drift: an alarm when the results of a running system leave what its bundle gave before. No labels are needed.

docs/drift.md says what is watched, how often a false alarm comes, and how soon a change is seen.
"""

from __future__ import annotations

from cxredge.drift.baseline import LEAST_IMAGES, baseline_of_results, make_baseline
from cxredge.drift.detectors import IMAGES_PER_FALSE_ALARM
from cxredge.drift.table import table
from cxredge.drift.watch import SCHEMA, Alarm, Watch, watch

__all__ = [
    "IMAGES_PER_FALSE_ALARM",
    "LEAST_IMAGES",
    "SCHEMA",
    "Alarm",
    "Watch",
    "baseline_of_results",
    "make_baseline",
    "table",
    "watch",
]
