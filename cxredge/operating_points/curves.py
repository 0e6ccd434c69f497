"""AUROC, ROC and precision-recall curves, and what follows from a threshold.

Truth is 1, 0, or not-a-number where unknown (left out). A score is any number that grows with the disease: a logit or a
probability; a score of at least the threshold is called positive. Cases of equal scores are called together, so a curve
has one point for each different score, and a tied pair counts half for the AUROC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxredge.errors import Code, UsageError

__all__ = [
    "Counts",
    "Curve",
    "PrecisionRecall",
    "Ranking",
    "ScoresError",
    "auroc",
    "average_precision",
    "checked",
    "counts_at",
    "mean_auroc",
    "measurable",
    "precision_recall",
    "predictive_values",
    "roc_curve",
]

Floats = npt.NDArray[np.float64]


class ScoresError(UsageError, ValueError):
    """Scores or labels that nothing can be worked out from; the code is SCORES_UNUSABLE."""


def checked(truth: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Truth and scores of the cases whose truth is known, as float64.

    Raises:
        ScoresError: the lengths differ, a truth is neither 1, 0 nor not-a-number, or a score is not finite.
    """
    labels, values = np.asarray(truth, np.float64), np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != values.shape:
        raise ScoresError(Code.SCORES_UNUSABLE, f"truth has the shape {labels.shape}, scores {values.shape}")
    known = ~np.isnan(labels)
    labels, values = labels[known], values[known]
    if not np.isin(labels, (0.0, 1.0)).all():
        raise ScoresError(Code.SCORES_UNUSABLE, "truth must be 1, 0 or not-a-number")
    if not np.isfinite(values).all():
        raise ScoresError(Code.SCORES_UNUSABLE, f"{int((~np.isfinite(values)).sum())} scores are not finite")
    return labels, values


def measurable(truth: Floats) -> npt.NDArray[np.bool_]:
    """Which diseases have both a positive and a negative. `truth` is [N, C]: 1, 0, or not-a-number."""
    return np.asarray((truth == 1).any(0) & (truth == 0).any(0))


@dataclass(frozen=True, slots=True)
class Curve:
    """An ROC curve from (0, 0) to (1, 1), or many over the same scores: the rates may have leading axes.

    Attributes:
        false_positive_rate: [..., K].
        true_positive_rate: [..., K].
        threshold: [K], falling: the lowest score called positive at each point; infinite at the first.
        positives: the weight of the positives, [...].
        negatives: the weight of the negatives, [...].
    """

    false_positive_rate: Floats
    true_positive_rate: Floats
    threshold: Floats
    positives: Floats
    negatives: Floats

    @property
    def cuts(self) -> Floats:
        """Where to put a threshold for each point, [K]: midway to the next lower score.

        No case's own score is a threshold but at the last point, which calls everything positive: so rounding in
        another program moves no case across it.
        """
        upper, lower = self.threshold[1:-1], self.threshold[2:]
        middle = lower + (upper - lower) / 2
        return np.concatenate([[np.inf], np.where(middle > lower, middle, upper), self.threshold[-1:]])

    def at(self, thresholds: Floats) -> npt.NDArray[np.intp]:
        """The point of the curve that each threshold stands for."""
        return np.asarray(np.searchsorted(-self.threshold[1:], -thresholds, side="right"), np.intp)


class Ranking:
    """One disease's scores, sorted once, so that any weighting of the cases costs one pass.

    Args:
        truth: [N] of 1 and 0.
        scores: [N], higher means more likely positive.

    Raises:
        ScoresError: see :func:`checked`.
    """

    def __init__(self, truth: npt.ArrayLike, scores: npt.ArrayLike) -> None:
        labels, values = checked(truth, scores)
        if len(labels) != np.size(scores):
            raise ScoresError(Code.SCORES_UNUSABLE, "a ranking takes cases whose truth is known")
        order = np.argsort(values, kind="stable")
        ranked = values[order]
        self.order = order
        self.positive = labels[order] == 1
        # Where each group of equal scores starts.
        self.starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, np.intp)
        self._levels = ranked[self.starts]

    def _groups(self, weights: Floats | None) -> tuple[Floats, Floats]:
        """The weight of positives and of negatives at each different score, rising: [..., G]."""
        weight = np.ones(len(self.order)) if weights is None else weights[..., self.order]
        positive = np.add.reduceat(np.where(self.positive, weight, 0.0), self.starts, axis=-1)
        negative = np.add.reduceat(np.where(self.positive, 0.0, weight), self.starts, axis=-1)
        return positive, negative

    def auroc(self, weights: Floats | None = None) -> float:
        """The chance that a positive scores higher than a negative; a case counts as often as its weight says.

        Args:
            weights: [N], at least 0, in the order of the constructor's cases.

        Returns:
            Not-a-number where one class has no weight.
        """
        if not len(self.order):
            return float("nan")
        positive, negative = self._groups(weights)
        pairs = positive.sum() * negative.sum()
        if pairs == 0:
            return float("nan")
        below = np.cumsum(negative) - negative
        return float(positive @ (below + 0.5 * negative) / pairs)

    def curve(self, weights: Floats | None = None) -> Curve:
        """The ROC curve of any weighting, [..., N]; rates over a class without weight are not-a-number."""
        positive, negative = self._groups(weights)
        hits, alarms = (np.cumsum(group[..., ::-1], axis=-1) for group in (positive, negative))
        start = np.zeros((*hits.shape[:-1], 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            false, true = (np.concatenate([start, part], -1) / part[..., -1:] for part in (alarms, hits))
        return Curve(false, true, np.r_[np.inf, self._levels[::-1]], hits[..., -1], alarms[..., -1])


def auroc(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """The area under the ROC curve of one disease, ties counted half; not-a-number where only one class is known.

    Raises:
        ScoresError: see :func:`checked`.
    """
    return Ranking(*checked(truth, scores)).auroc()


def mean_auroc(truth: Floats, scores: Floats) -> float | None:
    """The mean over the diseases that can be measured, of [N, C]; None where none can."""
    found = [auroc(truth[:, c], scores[:, c]) for c in np.flatnonzero(measurable(truth))]
    return float(np.mean(found)) if found else None


def roc_curve(truth: npt.ArrayLike, scores: npt.ArrayLike) -> Curve:
    """Every point of the ROC curve of one disease; the first threshold is infinite.

    Raises:
        ScoresError: only one class is known, or see :func:`checked`.
    """
    labels, values = checked(truth, scores)
    if not (labels == 1).any() or (labels == 1).all():
        raise ScoresError(Code.SCORES_UNUSABLE, "an ROC curve needs a positive and a negative")
    return Ranking(labels, values).curve()


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """A precision-recall curve: `threshold[i]` is the lowest score called positive at point i, falling."""

    precision: Floats
    recall: Floats
    threshold: Floats


def precision_recall(truth: npt.ArrayLike, scores: npt.ArrayLike) -> PrecisionRecall:
    """Precision and recall at every different score. There is no point where nothing is called positive.

    Raises:
        ScoresError: as :func:`roc_curve`.
    """
    curve = roc_curve(truth, scores)
    hits = curve.true_positive_rate[1:] * curve.positives
    alarms = curve.false_positive_rate[1:] * curve.negatives
    return PrecisionRecall(hits / (hits + alarms), curve.true_positive_rate[1:], curve.threshold[1:])


def average_precision(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """The mean of the precision over the steps of the recall.

    Raises:
        ScoresError: as :func:`roc_curve`.
    """
    curve = precision_recall(truth, scores)
    return float(np.diff(curve.recall, prepend=0.0) @ curve.precision)


@dataclass(frozen=True, slots=True)
class Counts:
    """A confusion table, and its rates; a rate over nothing is not-a-number."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def accuracy(self) -> float:
        """Right answers among all."""
        return _share(self.tp + self.tn, self.tp + self.tn + self.fp + self.fn)

    @property
    def sensitivity(self) -> float:
        """Found among the positives."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """Cleared among the negatives."""
        return _share(self.tn, self.tn + self.fp)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def counts_at(truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> Counts:
    """The confusion table where a score of at least `threshold` is called positive; unknown labels are left out.

    Raises:
        ScoresError: see :func:`checked`.
    """
    labels, values = checked(truth, scores)
    called, yes = values >= threshold, labels == 1
    return Counts(
        int((called & yes).sum()), int((called & ~yes).sum()), int((~called & yes).sum()), int((~called & ~yes).sum())
    )


def predictive_values(sensitivity: Floats, specificity: Floats, prevalence: float) -> tuple[Floats, Floats]:
    """PPV and NPV where a share `prevalence` of the patients has the disease (Bayes); 0 / 0 is not-a-number."""
    hits, alarms = prevalence * sensitivity, (1 - prevalence) * (1 - specificity)
    cleared, missed = (1 - prevalence) * specificity, prevalence * (1 - sensitivity)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(hits / (hits + alarms)), np.asarray(cleared / (cleared + missed))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
