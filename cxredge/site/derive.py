"""From a site's scores to its own calibration and thresholds, disease by disease.

Everything is worked out on the graph's logits. A calibration is strictly rising, so it changes no rank: a threshold is
chosen on the logits and then carried through whichever calibration was chosen, and decides the same. So the same cases
may serve for both, and neither choice leaks into the other. What the same cases would flatter is judged apart: the
calibration out of fold, the rates by a bootstrap that repeats the choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cxredge.bundle import FindingSpec, OperatingPoint
from cxredge.operating_points import (
    LEAST,
    Calibrator,
    Choice,
    Point,
    Pull,
    Refusal,
    Rule,
    ScoresError,
    choose,
    choose_calibration,
    logit,
    sigmoid,
    too_few,
)

__all__ = ["ENOUGH", "NewFinding", "NewPoint", "derive_finding"]

Floats = npt.NDArray[np.float64]

ENOUGH = 50
"""Positives from which on a site's threshold is its own.

With 50, the exact interval of any sensitivity is at most 0.15 to either side. A rule that takes more asks for as many.
"""


@dataclass(frozen=True, slots=True)
class NewPoint:
    """One operating point of one disease, before and after. Thresholds are logits of the graph unless said otherwise.

    Attributes:
        parent: the parent's operating point.
        parent_threshold: its threshold.
        threshold: the new one.
        probability: the new one as a calibrated probability: what is sealed.
        weight: how much of the new threshold is the site's own choice: 1 own, 0 the parent's, between them pooled.
        reason: why it is not wholly the site's own; empty where it is.
        how: the rule in words: the parent's own where its threshold was kept.
        chosen: what is known of the new threshold on the site's cases; None where too few cases can tell.
        before: the same of the parent's threshold.
        own: what the site's cases alone would have chosen; None where they could not.
        called: the share of the labelled cases that the new threshold calls positive; None where there are none.
    """

    parent: OperatingPoint
    parent_threshold: float
    threshold: float
    probability: float
    weight: float
    reason: str
    how: str
    chosen: Point | None
    before: Point | None
    own: float | None
    called: float | None


@dataclass(frozen=True, slots=True)
class NewFinding:
    """One disease.

    Attributes:
        label: of the fourteen.
        cases, positives: labelled and answered images, and those with the disease.
        patients: with and without the disease.
        parent: the parent's calibration.
        calibrator: the new one.
        calibration: how it was chosen and what it gains; None where the parent's was kept unseen.
        reason: why the parent's calibration was kept; empty where it was not.
        points: by name.
    """

    label: str
    cases: int
    positives: int
    patients: tuple[int, int]
    parent: Calibrator
    calibrator: Calibrator
    calibration: Choice | None
    reason: str
    points: Mapping[str, NewPoint]


def derive_finding(
    parent: FindingSpec,
    truth: Floats,
    logits: Floats,
    patients: Sequence[str],
    rules: Mapping[str, Rule],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> NewFinding:
    """One disease's calibration and operating points from a site's cases.

    Args:
        parent: the disease in the parent's manifest.
        truth: [N]: 1, 0, or not-a-number.
        logits: [N] of the graph; not-a-number where the image was not answered.
        patients: of each case.
        rules: by name of the operating point; the parent's points without a rule are kept.
        resamples: of the bootstrap.
        seed: of folds and bootstrap.
    """
    there = ~np.isnan(truth) & ~np.isnan(logits)
    owners = np.asarray(patients)[there]
    labels, z = truth[there], logits[there]
    counts = len(np.unique(owners[labels == 1])), len(np.unique(owners[labels == 0]))
    data = _Data(labels, z, owners.tolist(), counts, resamples, seed)
    old = Calibrator(parent.calibration.kind, parent.calibration.scale, parent.calibration.offset)
    choice, reason = _calibrate(data, old)
    new = choice.calibrator if choice else old
    return NewFinding(
        label=parent.label,
        cases=len(labels),
        positives=int((labels == 1).sum()),
        patients=counts,
        parent=old,
        calibrator=new,
        calibration=choice,
        reason=reason,
        points=_points(parent.operating_points, rules, data, old, new),
    )


@dataclass(frozen=True, slots=True)
class _Data:
    """One disease's labelled and answered cases."""

    labels: Floats
    z: Floats
    owners: list[str]
    counts: tuple[int, int]
    resamples: int
    seed: int

    def choose(
        self, rules: Mapping[str, Rule], pulls: Mapping[str, Pull], resamples: int
    ) -> dict[str, Point | Refusal]:
        prevalence = float(self.labels.mean()) if len(self.labels) else None
        return choose(
            self.labels,
            self.z,
            rules,
            self.owners,
            prevalence=prevalence,
            pulls=pulls,
            resamples=resamples,
            seed=self.seed,
        )


def _calibrate(data: _Data, old: Calibrator) -> tuple[Choice | None, str]:
    few = too_few(*data.counts)
    if few:
        return None, few
    try:
        choice = choose_calibration(data.labels, data.z, data.owners, current=old, seed=data.seed)
    except ScoresError as error:
        return None, error.detail
    return choice, "no other predicts unseen patients better" if choice.kept else ""


def _points(
    parents: Mapping[str, OperatingPoint], rules: Mapping[str, Rule], data: _Data, old: Calibrator, new: Calibrator
) -> dict[str, NewPoint]:
    """Every operating point of the parent, by the rule of its name."""
    known = {name: rules.get(name, _KEEP) for name in parents}
    # _share decides who may choose; the least numbers of a rule are for those that have nothing to pool with.
    lenient = {name: replace(rule, positives=LEAST, negatives=LEAST) for name, rule in known.items()}
    alone = data.choose(lenient, {}, 0)
    before = {name: float(old.undo(logit(point.threshold))) for name, point in parents.items()}
    shares = {
        name: _share(name in rules, known[name], data.counts, alone[name], point.threshold)
        for name, point in parents.items()
    }
    now = data.choose(lenient, {name: Pull(shares[name][0], before[name]) for name in parents}, data.resamples)
    then = data.choose(lenient, {name: Pull(0.0, before[name]) for name in parents}, data.resamples)
    found = {}
    for name, point in parents.items():
        (weight, reason), own, chosen = shares[name], alone[name], _told(now[name])
        threshold = chosen.threshold.value if chosen and weight else before[name]
        found[name] = NewPoint(
            parent=point,
            parent_threshold=before[name],
            threshold=threshold,
            probability=_carried(threshold, old, new, None if weight else point.threshold),
            weight=weight,
            reason=reason,
            how=known[name].how if weight else point.how,
            chosen=chosen,
            before=_told(then[name]),
            own=own.threshold.value if isinstance(own, Point) and weight else None,
            called=float((data.z >= threshold).mean()) if len(data.z) else None,
        )
    return found


def _share(
    has_rule: bool, rule: Rule, counts: tuple[int, int], alone: Point | Refusal, parent: float
) -> tuple[float, str]:
    """How much of the threshold is the site's own, and why it is not all."""
    if not has_rule:
        return 0.0, "no rule is known for this name"
    if isinstance(alone, Refusal):
        return 0.0, alone.reason
    wants = max(ENOUGH, rule.positives), max(ENOUGH, rule.negatives)
    share = min(1.0, counts[0] / wants[0], counts[1] / wants[1])
    if share == 1:
        return 1.0, ""
    if parent in (0.0, 1.0):
        return 0.0, "too few cases, and a parent that calls everybody or nobody positive: there is no middle way"
    named = zip(counts, wants, ("positives", "negatives"), strict=True)
    return share, " and ".join(f"{count} of {want} {what}" for count, want, what in named if count < want)


def _carried(threshold: float, old: Calibrator, new: Calibrator, kept: float | None) -> float:
    """The threshold as a probability of the new calibration; the very number where nothing changed."""
    if kept is not None and (new == old or kept in (0.0, 1.0)):
        return kept
    return float(sigmoid(new.apply(threshold)))


def _told(answer: Point | Refusal) -> Point | None:
    return answer if isinstance(answer, Point) else None


# For a name without a rule: it is never asked for its pick, as the weight of its own choice is 0.
_KEEP = Rule("as it was", lambda curve: np.zeros(curve.positives.shape, np.intp))
