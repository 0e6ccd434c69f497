"""Rules that pick a point of an ROC curve. Of points that are equally good, the one with the highest threshold.

They look at ranks alone, so any strictly rising calibration of the scores leaves what they pick as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cxredge.errors import Code, UsageError
from cxredge.operating_points.curves import Curve

__all__ = [
    "LEAST",
    "STANDARD",
    "TARGET",
    "Rule",
    "best_f1",
    "least_cost",
    "nearest_corner",
    "parse_rule",
    "sensitivity_at_least",
    "specificity_at_least",
    "youden",
]

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

LEAST = 20
"""The fewest patients with a disease, and without it, that a threshold is chosen from.

With 20, a rate that is found to be 0.95 has an exact 95 % interval from 0.75 to 0.999; with 10, one found to be 0.9
has 0.55 to 0.997, which tells a clinic nothing.
"""

TARGET = 0.95
"""The sensitivity of `screening` and the specificity of `confirm`."""

_SLACK = 1e-12  # 1 - 1/20 is not quite 0.95 in floating point


@dataclass(frozen=True, slots=True)
class Rule:
    """How a threshold is chosen.

    Attributes:
        how: in words.
        pick: the point of each curve, by index into its last axis.
        positives: the fewest patients with the disease that it takes.
        negatives: the fewest without.
    """

    how: str
    pick: Callable[[Curve], Index] = field(repr=False, compare=False)
    positives: int = LEAST
    negatives: int = LEAST


def _first_best(values: Floats) -> Index:
    """Equal up to rounding counts as equal, so that the choice does not hang on the order of additions."""
    best = values.max(axis=-1, keepdims=True)
    return np.asarray(np.argmax(values >= best - _SLACK, axis=-1), np.intp)


def _rate(value: float) -> None:
    if not 0 < value < 1:
        raise UsageError(Code.BAD_ARGUMENT, f"a rate lies between 0 and 1, not {value:g}")


def _steps(target: float) -> int:
    """With fewer cases than this, the threshold hangs on the lowest one or two.

    Of a tail so thin no resample knows the rest: with 20 of them the interval of a sensitivity of 0.95 holds the truth
    three times in four, with 60 in 95 of 100 (tests/operating_points/test_coverage.py).
    """
    return math.ceil(3 / (1 - target) - 1e-9)


def youden() -> Rule:
    """The largest sensitivity + specificity."""
    return Rule(
        "the largest sensitivity + specificity (Youden)",
        lambda curve: _first_best(curve.true_positive_rate - curve.false_positive_rate),
    )


def nearest_corner() -> Rule:
    """The point nearest to a sensitivity and a specificity of 1."""
    return Rule(
        "the point of the ROC curve nearest to the corner of no error",
        lambda curve: _first_best(-((1 - curve.true_positive_rate) ** 2 + curve.false_positive_rate**2)),
    )


def sensitivity_at_least(target: float) -> Rule:
    """The highest threshold with at least this sensitivity; it takes 3 / (1 - target) positives."""
    _rate(target)
    return Rule(
        f"the highest threshold with a sensitivity of at least {target:g}",
        lambda curve: np.argmax(curve.true_positive_rate >= target - _SLACK, axis=-1),
        positives=max(LEAST, _steps(target)),
    )


def specificity_at_least(target: float) -> Rule:
    """The lowest threshold with at least this specificity; it takes 3 / (1 - target) negatives."""
    _rate(target)
    return Rule(
        f"the lowest threshold with a specificity of at least {target:g}",
        lambda curve: np.asarray((1 - curve.false_positive_rate >= target - _SLACK).sum(-1) - 1, np.intp),
        negatives=max(LEAST, _steps(target)),
    )


def best_f1() -> Rule:
    """The largest F1, at the prevalence of the cases."""

    def pick(curve: Curve) -> Index:
        hits = curve.true_positive_rate * curve.positives[..., None]
        alarms = curve.false_positive_rate * curve.negatives[..., None]
        return _first_best(2 * hits / (curve.positives[..., None] + hits + alarms))

    return Rule("the largest F1 at the prevalence of the cases", pick)


def least_cost(prevalence: float, ratio: float) -> Rule:
    """The least expected cost where `prevalence` of the patients are ill and a miss costs `ratio` false alarms."""
    _rate(prevalence)
    if not (math.isfinite(ratio) and ratio > 0):
        raise UsageError(Code.BAD_ARGUMENT, f"a cost ratio is above 0, not {ratio:g}")

    def pick(curve: Curve) -> Index:
        missed = prevalence * ratio * (1 - curve.true_positive_rate)
        return _first_best(-(missed + (1 - prevalence) * curve.false_positive_rate))

    return Rule(f"the least cost at a prevalence of {prevalence:g}, a miss costing {ratio:g} false alarms", pick)


STANDARD: dict[str, Rule] = {
    "balanced": youden(),
    "screening": sensitivity_at_least(TARGET),
    "confirm": specificity_at_least(TARGET),
}
"""The operating points that every bundle has, and their rules."""


def parse_rule(text: str) -> Rule:
    """A rule as people type it.

    `youden`, `corner`, `f1`, `sensitivity:0.9`, `specificity:0.98` or `cost:PREVALENCE:RATIO`.

    Raises:
        UsageError: BAD_ARGUMENT.
    """
    name, *numbers = text.split(":")
    make, count = _NAMED.get(name, (None, 0))
    if make is None or len(numbers) != count:
        raise UsageError(
            Code.BAD_ARGUMENT,
            f"{text[:60]!r} is none of youden, corner, f1, sensitivity:S, specificity:S, cost:PREVALENCE:RATIO",
        )
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        raise UsageError(Code.BAD_ARGUMENT, f"{text[:60]!r} holds something that is not a number") from None
    return make(*values)


_NAMED: dict[str, tuple[Callable[..., Rule] | None, int]] = {
    "youden": (youden, 0),
    "corner": (nearest_corner, 0),
    "f1": (best_f1, 0),
    "sensitivity": (sensitivity_at_least, 1),
    "specificity": (specificity_at_least, 1),
    "cost": (least_cost, 2),
}
