"""Probability calibration: probability = sigmoid(scale * logit + offset), fitted, chosen and judged.

Fits minimise the log loss against Platt's targets (Platt 1999), (n1 + 1) / (n1 + 2) for positives and 1 / (n0 + 2) for
negatives, so that classes which the scores separate wholly still have a finite fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cxredge.errors import Code
from cxredge.operating_points.curves import ScoresError, checked

__all__ = [
    "Calibrator",
    "Choice",
    "Quality",
    "Reliability",
    "choose_calibration",
    "fit_platt",
    "fit_temperature",
    "log_loss",
    "logit",
    "quality",
    "reliability",
    "sigmoid",
]

Floats = npt.NDArray[np.float64]
BINS = 10


def sigmoid(values: npt.ArrayLike) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    x = np.asarray(values, np.float64)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def logit(probabilities: npt.ArrayLike) -> Floats:
    """The inverse of :func:`sigmoid`; 0 and 1 become the smallest and largest logit that float64 can tell from them."""
    p = np.clip(np.asarray(probabilities, np.float64), np.finfo(np.float64).tiny, 1 - 2.0**-53)
    return np.asarray(np.log(p) - np.log1p(-p))


@dataclass(frozen=True, slots=True)
class Calibrator:
    """probability = sigmoid(scale * logit + offset), scale above 0. A temperature T is scale 1 / T and offset 0."""

    kind: Literal["temperature", "platt"]
    scale: float
    offset: float = 0.0

    def apply(self, logits: npt.ArrayLike) -> Floats:
        """The calibrated logits; their sigmoid is the probability."""
        return self.scale * np.asarray(logits, np.float64) + self.offset

    def undo(self, calibrated: npt.ArrayLike) -> Floats:
        """The graph's logits that give these calibrated ones."""
        return (np.asarray(calibrated, np.float64) - self.offset) / self.scale


def log_loss(truth: Floats, calibrated: Floats) -> Floats:
    """-log of the probability given to what was true, a case; from logits, so that no probability rounds to 0."""
    return np.logaddexp(0.0, calibrated) - truth * calibrated


def fit_temperature(truth: npt.ArrayLike, logits: npt.ArrayLike) -> Calibrator:
    """The best scale alone.

    Raises:
        ScoresError: one class only, or the best scale is not above 0 (the scores rank the wrong way round, or lie so
            far to one side that only an offset could help).
    """
    scale, _ = _fit(truth, logits, offset=False)
    return Calibrator("temperature", scale)


def fit_platt(truth: npt.ArrayLike, logits: npt.ArrayLike) -> Calibrator:
    """The best scale and offset.

    Raises:
        ScoresError: as :func:`fit_temperature`.
    """
    return Calibrator("platt", *_fit(truth, logits, offset=True))


def _fit(truth: npt.ArrayLike, logits: npt.ArrayLike, *, offset: bool) -> tuple[float, float]:
    labels, z = checked(truth, logits)
    ones, zeros = int((labels == 1).sum()), int((labels == 0).sum())
    if not ones or not zeros:
        raise ScoresError(Code.SCORES_UNUSABLE, "a calibration needs a positive and a negative")
    if np.ptp(z) == 0:
        raise ScoresError(Code.SCORES_UNUSABLE, "all scores are equal")
    target = np.where(labels == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    spread = float(np.abs(z).max())  # scaled to 1, so that Newton's equations are well conditioned
    columns = np.stack([z / spread, np.ones_like(z)] if offset else [z / spread], axis=1)
    solved = _newton(columns, target)
    scale = float(solved[0]) / spread
    if not scale > 0:
        raise ScoresError(Code.SCORES_UNUSABLE, "no rising calibration fits: the scores do not rank this disease")
    return scale, float(solved[1]) if offset else 0.0


def _newton(columns: Floats, target: Floats) -> Floats:
    """The minimum of the log loss of a linear logit, which is convex: Newton's steps, halved where they overshoot."""
    weights = np.zeros(columns.shape[1])
    loss = float(log_loss(target, columns @ weights).mean())
    for _ in range(100):
        p = sigmoid(columns @ weights)
        gradient = columns.T @ (p - target) / len(p)
        curvature = (columns * (p * (1 - p))[:, None]).T @ columns / len(p)
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(weights)), gradient)
        for _ in range(40):
            new = float(log_loss(target, columns @ (weights - step)).mean())
            if new <= loss:
                break
            step = step / 2
        else:
            break
        weights, gained, loss = weights - step, loss - new, new
        if gained < 1e-15 and float(np.abs(gradient).max()) < 1e-9:
            break
    return weights


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram: of each bin its cases, their mean probability and the share that was positive."""

    count: npt.NDArray[np.intp]
    probability: Floats
    rate: Floats

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean distance of both, weighted by cases."""
        return float(self.count @ np.abs(self.probability - self.rate) / self.count.sum())


def reliability(truth: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """Bins of about equally many cases; equal probabilities are never parted, so there may be fewer than `bins`.

    Raises:
        ScoresError: no case is labelled, or see `checked`.
    """
    labels, p = checked(truth, probabilities)
    if not len(p):
        raise ScoresError(Code.SCORES_UNUSABLE, "no case is labelled")
    edges = np.unique(np.quantile(p, np.arange(1, bins) / bins, method="inverted_cdf"))
    place = np.searchsorted(edges, p, side="left")
    count = np.bincount(place, minlength=len(edges) + 1)
    there = count > 0
    sums = [np.bincount(place, weights=each, minlength=len(edges) + 1)[there] for each in (p, labels)]
    return Reliability(count[there], sums[0] / count[there], sums[1] / count[there])


@dataclass(frozen=True, slots=True)
class Quality:
    """How good probabilities are; less is better."""

    log_loss: float
    ece: float
    brier: float


def quality(truth: npt.ArrayLike, calibrated: npt.ArrayLike) -> Quality:
    """Of calibrated logits.

    Raises:
        ScoresError: no case is labelled, or see `checked`.
    """
    labels, z = checked(truth, calibrated)
    p = sigmoid(z)
    ece = reliability(labels, p).ece
    return Quality(float(log_loss(labels, z).mean()), ece, float(((p - labels) ** 2).mean()))


@dataclass(frozen=True, slots=True)
class Choice:
    """The calibration with the least cross-validated log loss.

    Attributes:
        calibrator: fitted on all cases, or the current one.
        kept: whether it is the current one.
        losses: cross-validated log loss of each candidate: `current`, `temperature`, `platt`; those that could not be
            fitted are missing.
        before: the current one on the cases.
        after: the chosen one, each case judged by a fit that has not seen its patient.
    """

    calibrator: Calibrator
    kept: bool
    losses: dict[str, float]
    before: Quality
    after: Quality


def choose_calibration(
    truth: npt.ArrayLike,
    logits: npt.ArrayLike,
    patients: Sequence[str] | None = None,
    *,
    current: Calibrator,
    folds: int = 5,
    seed: int = 0,
) -> Choice:
    """Temperature, Platt, or leave it as it is: whichever predicts patients it was not fitted to best.

    Raises:
        ScoresError: one class only, or see `checked`.
    """
    labels, z = checked(truth, logits)
    known = ~np.isnan(np.asarray(truth, np.float64))
    owners = np.arange(known.size).astype(str)[known] if patients is None else np.asarray(patients)[known]
    if not (labels == 1).any() or not (labels == 0).any():
        raise ScoresError(Code.SCORES_UNUSABLE, "a calibration needs a positive and a negative")
    held = {"current": current.apply(z)}
    place = _folds(labels, owners, folds, seed)
    for name, fit in _FITS.items():
        try:
            held[name] = _out_of_fold(labels, z, place, fit)
        except ScoresError:
            continue
    losses = {name: float(log_loss(labels, each).mean()) for name, each in held.items()}
    best = min(losses, key=lambda name: losses[name])  # of equals the simpler, which stands first
    calibrator = current if best == "current" else _FITS[best](labels, z)
    return Choice(calibrator, best == "current", losses, quality(labels, held["current"]), quality(labels, held[best]))


_FITS: dict[str, Callable[[Floats, Floats], Calibrator]] = {"temperature": fit_temperature, "platt": fit_platt}


def _folds(labels: Floats, owners: npt.NDArray[np.str_], folds: int, seed: int) -> npt.NDArray[np.intp]:
    """A fold for each case: patients stay whole, and those with a positive are spread evenly."""
    names, place = np.unique(owners, return_inverse=True)
    ill = np.zeros(len(names), bool)
    ill[place[labels == 1]] = True
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), ill))
    fold = np.empty(len(names), np.intp)
    fold[order] = np.arange(len(names)) % folds
    return fold[place]


def _out_of_fold(
    labels: Floats, z: Floats, place: npt.NDArray[np.intp], fit: Callable[[Floats, Floats], Calibrator]
) -> Floats:
    held = np.empty_like(z)
    for fold in np.unique(place):
        out = place == fold
        held[out] = fit(labels[~out], z[~out]).apply(z[out])
    return held
