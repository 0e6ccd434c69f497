"""Operating points: thresholds read off the ROC curve of one fold, to be judged on another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from training.evaluate.scores import Curve, roc_curve

__all__ = ["POINTS", "RULES", "choose"]

Floats = npt.NDArray[np.float64]

LEAST = 0.95

RULES = {
    "balanced": "the largest sensitivity + specificity (Youden)",
    "screening": f"the highest threshold with a sensitivity of at least {LEAST}",
    "confirm": f"the lowest threshold with a specificity of at least {LEAST}",
}


def _balanced(curve: Curve) -> int:
    return int(np.argmax(curve.true_positive_rate - curve.false_positive_rate))


def _screening(curve: Curve) -> int:
    return int(np.argmax(curve.true_positive_rate >= LEAST))


def _confirm(curve: Curve) -> int:
    allowed = np.flatnonzero(1 - curve.false_positive_rate >= LEAST)
    return int(allowed[-1])


POINTS: dict[str, Callable[[Curve], int]] = {"balanced": _balanced, "screening": _screening, "confirm": _confirm}


def choose(truth: Floats, scores: Floats) -> dict[str, float]:
    """The threshold of every operating point, for one disease of a fold: a score of at least it is positive.

    Raises:
        ValueError: only one class is known.
    """
    curve = roc_curve(truth, scores)
    return {name: float(curve.threshold[rule(curve)]) for name, rule in POINTS.items()}
