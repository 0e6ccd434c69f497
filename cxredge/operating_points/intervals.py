"""Intervals by resampling patients: images of one patient are alike, so the patient is what was drawn, not the image.

The percentile bootstrap (Efron and Tibshirani 1993, chapter 13), with a patient's images kept together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from cxredge.operating_points.curves import Ranking, checked, measurable

__all__ = [
    "Interval",
    "auroc_difference",
    "auroc_intervals",
    "exact_interval",
    "mean_interval",
    "rate_intervals",
    "resampled",
    "resampled_blocks",
]

Floats = npt.NDArray[np.float64]

BLOCK = 1 << 20
"""Weights held at once while resampling, in numbers."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A score and its interval.

    Attributes:
        value: on all cases.
        low, high: the interval's ends; not-a-number if every resample lacked a class.
        resamples: how many of them the ends are taken from: those in which the score is defined.
    """

    value: float
    low: float
    high: float
    resamples: int

    @classmethod
    def of(cls, value: float, drawn: Floats, level: float) -> Interval:
        """From the score of each resample."""
        told = drawn[~np.isnan(drawn)]
        if not len(told):
            return cls(value, float("nan"), float("nan"), 0)
        low, high = np.quantile(told, [(1 - level) / 2, (1 + level) / 2])
        return cls(value, float(low), float(high), len(told))


def resampled(patients: Sequence[str], count: int, seed: int = 0) -> Iterator[Floats]:
    """Weights of the cases in each resample: how often the case's patient was drawn.

    Args:
        patients: of each case.
        count: resamples.
        seed: of the draws.
    """
    names, place = np.unique(np.asarray(patients), return_inverse=True)
    rng = np.random.default_rng(seed)
    for _ in range(count):
        times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        yield times[place].astype(np.float64)


def resampled_blocks(patients: Sequence[str], count: int, seed: int = 0) -> Iterator[Floats]:
    """The same weights, [B, N] at a time, so that neither time nor memory is wasted."""
    left = resampled(patients, count, seed)
    size = max(1, BLOCK // max(1, len(patients)))
    while block := list(islice(left, size)):
        yield np.stack(block)


def auroc_intervals(
    truth: Floats,
    scores: Floats,
    patients: Sequence[str],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[dict[int, Interval], Interval | None]:
    """AUROC of each disease that can be measured, by column, and the mean over them.

    A resample without a positive or a negative of a disease says nothing of that disease; the mean of a resample is
    over the diseases of which it says something.

    Args:
        truth: [N, C]: 1, 0, or not-a-number.
        scores: [N, C].
        patients: of each case.
        resamples: how many.
        level: of the interval.
        seed: of the draws.
    """
    columns = np.flatnonzero(measurable(truth)).tolist()
    if not columns:
        return {}, None
    known = [~np.isnan(truth[:, c]) for c in columns]
    ranks = [Ranking(truth[here, c], scores[here, c]) for c, here in zip(columns, known, strict=True)]
    drawn = np.array(
        [
            [rank.auroc(weights[here]) for rank, here in zip(ranks, known, strict=True)]
            for weights in resampled(patients, resamples, seed)
        ]
    ).reshape(-1, len(columns))
    values = [rank.auroc() for rank in ranks]
    each = {c: Interval.of(values[i], drawn[:, i], level) for i, c in enumerate(columns)}
    told = ~np.isnan(drawn)
    means = np.where(told.any(1), np.where(told, drawn, 0).sum(1) / np.maximum(told.sum(1), 1), np.nan)
    return each, Interval.of(float(np.mean(values)), means, level)


def auroc_difference(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    others: npt.ArrayLike,
    patients: Sequence[str] | None = None,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """AUROC of `scores` minus AUROC of `others` on the same cases: both are resampled together (paired).

    Args:
        truth: [N]: 1, 0, or not-a-number.
        scores: [N], of the one model or precision.
        others: [N], of the other.
        patients: of each case; None takes every case as a patient of its own.
        resamples: how many.
        level: of the interval.
        seed: of the draws.

    Returns:
        Not-a-number throughout where only one class is known.

    Raises:
        ScoresError: see `checked`.
    """
    known = ~np.isnan(np.asarray(truth, np.float64))
    owners = np.arange(known.size).astype(str) if patients is None else np.asarray(patients)
    one, other = (Ranking(*checked(truth, each)) for each in (scores, others))
    drawn = [one.auroc(w) - other.auroc(w) for w in resampled(owners[known].tolist(), resamples, seed)]
    return Interval.of(one.auroc() - other.auroc(), np.array(drawn), level)


def mean_interval(
    values: Floats, patients: Sequence[str], *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval | None:
    """The mean of a value a case (a Dice, an IoU), cases that have none left out; None where none has one."""
    told = ~np.isnan(values)
    if not told.any():
        return None
    kept, names = values[told], np.asarray(patients)[told]
    drawn = [float(weights @ kept / weights.sum()) for weights in resampled(names.tolist(), resamples, seed)]
    return Interval.of(float(kept.mean()), np.array(drawn), level)


def rate_intervals(
    part: npt.NDArray[np.bool_],
    whole: npt.NDArray[np.bool_],
    patients: Sequence[str],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Interval]:
    """The share of `whole` that is `part`, by column of [N, K]; not-a-number where a whole is empty."""
    above, below = (part & whole).astype(np.float64), whole.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = above.sum(0) / below.sum(0)
        drawn = np.array([(w @ above) / (w @ below) for w in resampled(patients, resamples, seed)])
    return [Interval.of(float(values[k]), drawn[:, k], level) for k in range(part.shape[1])]


def exact_interval(part: int, whole: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a rate (Clopper and Pearson 1934) of independent cases; (0, 1) where there are none."""
    if not whole:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if part == 0 else _solve(lambda p: 1 - _binomial(part - 1, whole, p), tail)
    high = 1.0 if part == whole else _solve(lambda p: 1 - _binomial(part, whole, p), 1 - tail)
    return low, high


def _binomial(most: int, whole: int, p: float) -> float:
    """The chance of at most `most` of `whole`, each with the chance 0 < p < 1."""
    k = np.arange(most + 1)
    ways = np.cumsum(np.r_[0.0, np.log((whole - k[:-1]) / (k[:-1] + 1.0))]) if most else np.zeros(1)
    return min(1.0, float(np.exp(ways + k * math.log(p) + (whole - k) * math.log1p(-p)).sum()))


def _solve(rising: Callable[[float], float], wanted: float) -> float:
    """Where a rising function on 0..1 reaches a value, to 1e-15."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2
