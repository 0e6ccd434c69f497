"""Thresholds chosen by rules, with what is known of them: intervals, predictive values, or a refusal.

Intervals come from a bootstrap over patients that repeats the whole choice. In each resample a threshold is chosen,
and its rates are taken twice: in the resample, where it was chosen, and on all cases. How far the first lies from the
second tells how far the rates on all cases lie from those of the patients to come, and so corrects the flattery of
having been chosen for them (the basic bootstrap interval, Davison and Hinkley 1997, 5.2, after the arcsine
transformation, which keeps rates in 0..1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxredge.operating_points.curves import Curve, Ranking, checked, predictive_values
from cxredge.operating_points.intervals import Interval, resampled_blocks
from cxredge.operating_points.rules import LEAST, Rule

__all__ = ["Point", "Pull", "Refusal", "choose", "too_few"]

Floats = npt.NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Refusal:
    """No threshold, and why, in words for a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pull:
    """Partial pooling: the threshold becomes weight * own + (1 - weight) * other; with weight 0 it is the other's.

    Attributes:
        weight: 0 to 1.
        threshold: the other's.
    """

    weight: float
    threshold: float

    def __call__(self, own: Floats) -> Floats:
        """The pooled thresholds."""
        if self.weight == 0:
            return np.full_like(own, self.threshold)
        return own if self.weight == 1 else self.weight * own + (1 - self.weight) * self.threshold


@dataclass(frozen=True, slots=True)
class Point:
    """A threshold and its rates, each with a 95 % interval.

    Attributes:
        how: the rule in words.
        threshold: a score of at least this is called positive. It lies midway between two cases' scores.
        sensitivity, specificity: at the threshold.
        ppv, npv: at `prevalence`; None where that was not stated, not-a-number where nothing is called so.
        prevalence: as it was stated.
        positives, negatives: patients with and without the disease that it was chosen from.
    """

    how: str
    threshold: Interval
    sensitivity: Interval
    specificity: Interval
    ppv: Interval | None
    npv: Interval | None
    prevalence: float | None
    positives: int
    negatives: int


def choose(
    truth: npt.ArrayLike,
    scores: npt.ArrayLike,
    rules: Mapping[str, Rule],
    patients: Sequence[str] | None = None,
    *,
    prevalence: float | None = None,
    pulls: Mapping[str, Pull] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Point | Refusal]:
    """A threshold of one disease by each rule, or a plain refusal.

    Refused are: fewer patients with or without the disease than the rule takes; scores that are all equal; and a rule
    that could only be met by calling everybody, or nobody, positive.

    Args:
        truth: [N]: 1, 0, or not-a-number (left out).
        scores: [N].
        rules: by name.
        patients: of each case; None takes every case as a patient of its own.
        prevalence: at which to give predictive values.
        pulls: by name of the rule: another threshold that the chosen one is pooled with, before its rates are taken.
        resamples: of the bootstrap; with 0 there are no intervals.
        seed: of the bootstrap.

    Raises:
        ScoresError: a truth is neither 1, 0 nor not-a-number, or a score is not finite.
    """
    labels, values = checked(truth, scores)
    known = ~np.isnan(np.asarray(truth, np.float64))
    owners = np.arange(known.size).astype(str)[known] if patients is None else np.asarray(patients)[known]
    counts = len(np.unique(owners[labels == 1])), len(np.unique(owners[labels == 0]))
    answers: dict[str, Point | Refusal] = {}
    chosen: dict[str, _Chosen] = {}
    curve = Ranking(labels, values).curve() if len(labels) else None
    for name, rule in rules.items():
        found = _pick(rule, (pulls or {}).get(name, Pull(1.0, 0.0)), curve, counts)
        if isinstance(found, Refusal):
            answers[name] = found
        else:
            chosen[name] = found
    drawn = _replay(Ranking(labels, values), chosen, owners.tolist(), resamples, seed) if chosen and resamples else {}
    for name, found in chosen.items():
        answers[name] = _point(found, drawn.get(name, np.empty((5, 0))), counts, prevalence)
    return {name: answers[name] for name in rules}


@dataclass(frozen=True, slots=True)
class _Chosen:
    rule: Rule
    pull: Pull
    curve: Curve
    threshold: float
    rates: Floats  # sensitivity and specificity


def too_few(positives: int, negatives: int, rule: Rule | None = None) -> str | None:
    """Why so many patients with and without a disease cannot carry a threshold; None if they can."""
    wants = (rule.positives, rule.negatives) if rule else (LEAST, LEAST)
    for count, want, what in zip((positives, negatives), wants, ("positives", "negatives"), strict=True):
        if count < want:
            return f"only {count} {what}, {want} are needed"
    return None


def _pick(rule: Rule, pull: Pull, curve: Curve | None, counts: tuple[int, int]) -> _Chosen | Refusal:
    few = too_few(*counts, rule)
    if few or curve is None:
        return Refusal(few or "no case is labelled")
    if len(curve.threshold) < 3:
        return Refusal("all scores are equal")
    index = int(rule.pick(curve))
    if pull.weight > 0 and index in (0, len(curve.threshold) - 1):
        return Refusal(f"the rule could only be met by calling {'everybody' if index else 'nobody'} positive")
    threshold = float(pull(curve.cuts[[index]])[0])
    return _Chosen(rule, pull, curve, threshold, _rates(curve, curve.at(np.array([threshold])))[:, 0])


def _rates(curve: Curve, index: npt.NDArray[np.intp]) -> Floats:
    """Sensitivity and specificity, [2, B], at one point of each of B curves, or at B points of one curve."""
    true, false = curve.true_positive_rate, curve.false_positive_rate
    if true.ndim == 1:
        return np.stack([true[index], 1 - false[index]])
    rows = np.arange(len(index))
    return np.stack([true[rows, index], 1 - false[rows, index]])


def _replay(
    ranking: Ranking, chosen: Mapping[str, _Chosen], owners: Sequence[str], resamples: int, seed: int
) -> dict[str, Floats]:
    """By name, [5, B]: threshold, both rates in the resample it was chosen in, both on all cases."""
    blocks: dict[str, list[Floats]] = {name: [] for name in chosen}
    for weights in resampled_blocks(owners, resamples, seed):
        curves = ranking.curve(weights)
        curves = _kept(curves, (curves.positives > 0) & (curves.negatives > 0))
        for name, found in chosen.items():
            cuts = found.pull(curves.cuts[found.rule.pick(curves)])
            at = curves.at(cuts)
            blocks[name].append(np.concatenate([cuts[None], _rates(curves, at), _rates(found.curve, at)]))
    return {name: np.concatenate(parts, axis=1) for name, parts in blocks.items()}


def _kept(curves: Curve, rows: npt.NDArray[np.bool_]) -> Curve:
    return Curve(
        curves.false_positive_rate[rows],
        curves.true_positive_rate[rows],
        curves.threshold,
        curves.positives[rows],
        curves.negatives[rows],
    )


def _point(found: _Chosen, drawn: Floats, counts: tuple[int, int], prevalence: float | None) -> Point:
    cuts, inside, outside = drawn[0], drawn[1:3], drawn[3:5]
    told = [_basic(float(found.rates[k]), inside[k], outside[k], counts[k]) for k in range(2)]
    predictive: list[Interval | None] = [None, None]
    if prevalence is not None:
        values, there, all_cases = (
            predictive_values(rates[0], rates[1], prevalence) for rates in (found.rates, inside, outside)
        )
        predictive = [_basic(float(values[k]), there[k], all_cases[k], 0) for k in range(2)]
    return Point(
        how=found.rule.how,
        threshold=_quantiles(found.threshold, cuts),
        sensitivity=told[0],
        specificity=told[1],
        ppv=predictive[0],
        npv=predictive[1],
        prevalence=prevalence,
        positives=counts[0],
        negatives=counts[1],
    )


def _quantiles(value: float, drawn: Floats) -> Interval:
    """Thresholds may be infinite (nobody called), between which nothing can be interpolated."""
    if not len(drawn):
        return Interval(value, float("nan"), float("nan"), 0)
    low = float(np.quantile(drawn, (1 - LEVEL) / 2, method="lower"))
    high = float(np.quantile(drawn, (1 + LEVEL) / 2, method="higher"))
    return Interval(value, min(low, value), max(high, value), len(drawn))


def _basic(value: float, inside: Floats, outside: Floats, count: int) -> Interval:
    """The interval of a rate from its replayed flattery; `count` patients stand behind it (0: not a plain rate)."""
    told = ~np.isnan(inside) & ~np.isnan(outside)
    if np.isnan(value) or not told.any():
        return Interval(value, float("nan"), float("nan"), 0)
    shift = _angle(inside[told]) - _angle(outside[told])
    high, low = _angle(np.array(value)) - np.quantile(shift, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    low, high = (float(np.sin(np.clip(end, 0, np.pi / 2)) ** 2) for end in (low, high))
    # What never happened in the cases happens in no resample: there the exact interval knows more.
    margin = ((1 - LEVEL) / 2) ** (1 / count) if count else 1.0
    low, high = min(low, margin if value == 1 else 1.0), max(high, 1 - margin if value == 0 else 0.0)
    return Interval(value, min(low, value), max(high, value), int(told.sum()))


def _angle(rate: Floats) -> Floats:
    return np.asarray(np.arcsin(np.sqrt(np.clip(rate, 0, 1))))
