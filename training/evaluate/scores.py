"""AUROC, ROC curves and what follows from a threshold: NumPy only, not-a-number labels left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Counts", "Curve", "Ranking", "auroc", "counts_at", "mean_auroc", "measurable", "roc_curve"]

Floats = npt.NDArray[np.float64]


def measurable(truth: Floats) -> npt.NDArray[np.bool_]:
    """Which diseases have both a positive and a negative. `truth` is [N, C]: 1, 0, or not-a-number."""
    return np.asarray((truth == 1).any(0) & (truth == 0).any(0))


class Ranking:
    """One disease's scores, sorted once, so that any weighting of the cases costs one pass.

    Args:
        truth: [N] of 1 and 0.
        scores: [N], higher means more likely positive; equal scores count half.
    """

    def __init__(self, truth: Floats, scores: Floats) -> None:
        order = np.argsort(scores, kind="stable")
        ranked = scores[order]
        self.order = order
        self.positive = truth[order] == 1
        # Where each group of equal scores starts.
        self.starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, np.intp)

    def auroc(self, weights: Floats | None = None) -> float:
        """The chance that a positive scores higher than a negative; a case counts as often as its weight says.

        Args:
            weights: [..., N], at least 0, in the order of the constructor's cases.

        Returns:
            Not-a-number where one class has no weight.
        """
        weight = np.ones(len(self.order)) if weights is None else weights[self.order]
        if not len(weight):
            return float("nan")
        positive = np.add.reduceat(np.where(self.positive, weight, 0.0), self.starts)
        negative = np.add.reduceat(np.where(self.positive, 0.0, weight), self.starts)
        pairs = positive.sum() * negative.sum()
        if pairs == 0:
            return float("nan")
        below = np.cumsum(negative) - negative
        return float(positive @ (below + 0.5 * negative) / pairs)


def auroc(truth: Floats, scores: Floats) -> float:
    """The area under the ROC curve of one disease; not-a-number where only one class is known.

    Args:
        truth: [N]: 1, 0, or not-a-number (left out).
        scores: [N].
    """
    known = ~np.isnan(truth)
    return Ranking(truth[known], scores[known]).auroc()


def mean_auroc(truth: Floats, scores: Floats) -> float | None:
    """The mean over the diseases that can be measured, of [N, C]; None where none can."""
    found = [auroc(truth[:, c], scores[:, c]) for c in np.flatnonzero(measurable(truth))]
    return float(np.mean(found)) if found else None


@dataclass(frozen=True, slots=True)
class Curve:
    """An ROC curve from (0, 0) to (1, 1): `threshold[i]` is the lowest score called positive at point i."""

    false_positive_rate: Floats
    true_positive_rate: Floats
    threshold: Floats


def roc_curve(truth: Floats, scores: Floats) -> Curve:
    """Every point of the ROC curve of one disease; the first threshold is infinite. Not-a-number labels are left out.

    Raises:
        ValueError: only one class is known.
    """
    known = ~np.isnan(truth)
    order = np.argsort(-scores[known], kind="stable")
    positive, ranked = truth[known][order] == 1, scores[known][order]
    if not positive.any() or positive.all():
        raise ValueError("an ROC curve needs a positive and a negative")
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    hits = np.cumsum(positive)[last]
    alarms = last + 1 - hits
    return Curve(
        np.r_[0.0, alarms / alarms[-1]],
        np.r_[0.0, hits / hits[-1]],
        np.r_[np.inf, ranked[last]],
    )


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


def counts_at(truth: Floats, scores: Floats, threshold: float) -> Counts:
    """The confusion table where a score of at least `threshold` is called positive; unknown labels are left out."""
    called = scores >= threshold
    yes, no = truth == 1, truth == 0
    return Counts(
        int((called & yes).sum()), int((called & no).sum()), int((~called & yes).sum()), int((~called & no).sum())
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
