"""Operating points: thresholds read off the ROC curve of one fold, to be judged on another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxredge.operating_points import STANDARD, TARGET, roc_curve

__all__ = ["LEAST", "RULES", "choose"]

Floats = npt.NDArray[np.float64]

LEAST = TARGET
RULES = {name: rule.how for name, rule in STANDARD.items()}


def choose(truth: Floats, scores: Floats) -> dict[str, float]:
    """The threshold of every operating point, for one disease of a fold: a score of at least it is positive.

    However few the positives are: the rates are taken on another fold, with their intervals.

    Raises:
        ValueError: only one class is known.
    """
    curve = roc_curve(truth, scores)
    return {name: float(curve.threshold[rule.pick(curve)]) for name, rule in STANDARD.items()}
