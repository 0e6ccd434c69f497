"""The gate: whether INT8 or bfloat16 may stand in for an fp32 graph, engine by engine, on held-out cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.input_gate import HALF, compare_gates
from calibration.planes import Planes, masks_of
from calibration.running import Answers
from cxredge.operating_points import (
    LEAST,
    STANDARD,
    Interval,
    Point,
    auroc_difference,
    choose,
    mean_auroc,
    measurable,
)
from cxredge.operating_points.curves import Ranking
from cxredge.operating_points.intervals import mean_interval, resampled
from cxredge.result import LABELS, STRUCTURES

__all__ = ["BOUNDS", "SCHEMA", "Bounds", "Thresholds", "compare", "points_of"]

SCHEMA = "cxredge.gate/1"
Floats = npt.NDArray[np.float64]
Thresholds = Mapping[str, Sequence[float | None]]
"""By operating point: a logit a disease, None where there is no threshold."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a variant may fall behind.

    Attributes:
        auroc: drop of one disease.
        mean_auroc: drop of the mean.
        dice: drop of one structure.
        flips: share of decisions at one operating point, and of the input gate's.
        heatmaps: least median correlation.
    """

    auroc: float = 0.005
    mean_auroc: float = 0.002
    dice: float = 0.005
    flips: float = 0.01
    heatmaps: float = 0.95

    def narrowed(self, share: float) -> Bounds:
        """With this share of what each drop and the flips may be."""
        return Bounds(self.auroc * share, self.mean_auroc * share, self.dice * share, self.flips * share, self.heatmaps)


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """The held-out cases of a comparison."""

    planes: Planes
    thresholds: Thresholds
    resamples: int = 1000
    seed: int = 0
    bounds: Bounds = field(default=BOUNDS)
    gate_limits: tuple[float, ...] = HALF


def points_of(planes: Planes, fp32: Answers) -> tuple[dict[str, list[float | None]], dict[str, str]]:
    """The standard operating points of the fp32 graph on these cases, and why diseases have none.

    Where no disease can carry one, `one half` (a logit of 0) takes their place, so that flips are always counted.
    """
    found: dict[str, list[float | None]] = {name: [] for name in STANDARD}
    reasons: dict[str, str] = {}
    for c, label in enumerate(LABELS):
        answers = choose(planes.table.truth[:, c], fp32.logits[:, c], STANDARD, planes.table.tags, resamples=0)
        for name, answer in answers.items():
            told = isinstance(answer, Point)
            found[name].append(answer.threshold.value if told else None)
            if not told:
                reasons.setdefault(f"{label}, {name}", answer.reason)
    kept = {name: values for name, values in found.items() if any(value is not None for value in values)}
    return kept or {"one half": [0.0] * len(LABELS)}, reasons


def compare(held: Held, fp32: Answers, variant: Answers) -> dict[str, Any]:
    """One engine's variant beside its fp32: every figure, the reasons against it, and the verdict.

    What belongs to the variant stands under the name of its precision.
    """
    auroc, mean = _aurocs(held, fp32, variant)
    kind = variant.info.precision
    row: dict[str, Any] = {
        "engine": variant.info.engine,
        "version": variant.info.version,
        "device": variant.info.device,
        "auroc": auroc,
        "mean_auroc": mean,
        "dice": _dice(held, fp32, variant),
        "flips": [_flips(held, name, values, fp32, variant) for name, values in held.thresholds.items()],
        "heatmaps": _correlation(fp32.heatmaps, variant.heatmaps),
        "input_gate": compare_gates(fp32.gate, variant.gate, held.gate_limits, held.planes.hashes, kind),
        "largest": {"logits": float(np.abs(fp32.logits - variant.logits).max())},
    }
    against = _reasons(row, held.bounds)
    row["reasons"] = [reason for _, reason in against]
    row["outputs_at_fault"] = sorted({output for output, _ in against})
    return row | {"passed": not against}


def _interval(found: Interval) -> dict[str, float | None]:
    ends = {"value": found.value, "low": found.low, "high": found.high}
    return {name: None if math.isnan(end) else end for name, end in ends.items()}


def _aurocs(held: Held, fp32: Answers, variant: Answers) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """AUROC a disease and of the mean; a drop is fp32 minus the variant, paired."""
    truth, tags, kind = held.planes.table.truth, held.planes.table.tags, variant.info.precision
    one, other = fp32.logits.astype(float), variant.logits.astype(float)
    each: dict[str, Any] = {}
    gated = _gated(truth)
    for c in np.flatnonzero(measurable(truth)).tolist():
        known = ~np.isnan(truth[:, c])
        drop = auroc_difference(truth[:, c], one[:, c], other[:, c], tags, resamples=held.resamples, seed=held.seed)
        ranks = [Ranking(truth[known, c], scores[known, c]).auroc() for scores in (one, other)]
        each[LABELS[c]] = {
            "positives": int((truth[:, c] == 1).sum()),
            # With few, one image that changes places moves AUROC by more than the bound: told only.
            "gates": bool(gated[c]),
            "fp32": ranks[0],
            kind: ranks[1],
            "drop": _interval(drop),
            # The bound lies above the whole interval: not only met here, but shown.
            "shown": bool(drop.high <= held.bounds.auroc),
        }
    means = [mean_auroc(truth[:, gated], scores[:, gated]) for scores in (one, other)]
    if means[0] is None or means[1] is None:
        return each, None
    drop = Interval.of(means[0] - means[1], _mean_drops(held, one, other), 0.95)
    return each, {
        "fp32": means[0],
        kind: means[1],
        "drop": _interval(drop),
        "shown": drop.high <= held.bounds.mean_auroc,
    }


def _gated(truth: Floats) -> npt.NDArray[np.bool_]:
    """Diseases with enough positives and negatives."""
    return np.asarray(((truth == 1).sum(0) >= LEAST) & ((truth == 0).sum(0) >= LEAST))


def _mean_drops(held: Held, one: Floats, other: Floats) -> Floats:
    truth, tags = held.planes.table.truth, held.planes.table.tags
    columns = np.flatnonzero(_gated(truth)).tolist()
    known = [~np.isnan(truth[:, c]) for c in columns]
    pairs = [
        (Ranking(truth[k, c], one[k, c]), Ranking(truth[k, c], other[k, c]))
        for c, k in zip(columns, known, strict=True)
    ]
    drawn = [
        [a.auroc(weights[k]) - b.auroc(weights[k]) for (a, b), k in zip(pairs, known, strict=True)]
        for weights in resampled(tags, held.resamples, held.seed)
    ]
    table = np.array(drawn).reshape(-1, len(columns))
    told = ~np.isnan(table)
    return np.where(told.any(1), np.where(told, table, 0).sum(1) / np.maximum(told.sum(1), 1), np.nan)


def _dice(held: Held, fp32: Answers, variant: Answers) -> dict[str, Any]:
    """Against the true masks where the table has them; else how far the variant's masks are from fp32's own.

    A drop is fp32 minus the variant, image by image, so the interval over patients is a paired one.
    """
    one, other = _against_truth(held.planes, fp32), _against_truth(held.planes, variant)
    there = ~np.isnan(one).any(1)
    told = bool(there.any())
    if told:
        lost = one - other
    else:
        lost = 1 - np.array([_overlap(fp32.mask(i), variant.mask(i)) for i in range(len(held.planes))])
    tags = held.planes.table.tags
    found = {
        name: mean_interval(lost[:, k], tags, resamples=held.resamples, seed=held.seed)
        for k, name in enumerate(STRUCTURES)
    }
    intervals = {name: interval for name, interval in found.items() if interval is not None}
    return {
        "against": "truth" if told else "fp32",
        "images": int(there.sum()) if told else len(lost),
        "drop": {name: interval.value for name, interval in intervals.items()},
        "interval": {name: _interval(interval) for name, interval in intervals.items()},
        # The bound lies above the whole interval: not only met here, but shown.
        "shown": {name: bool(interval.high <= held.bounds.dice) for name, interval in intervals.items()},
        "fp32": _means(one) if told else None,
        variant.info.precision: _means(other) if told else None,
    }


def _against_truth(planes: Planes, answers: Answers) -> Floats:
    """Dice of each image and structure, [N, 3]; not-a-number for an image without true masks."""
    rows = []
    for index in range(len(planes)):
        truth = masks_of(planes, index, answers.mask_shape)
        rows.append([math.nan] * len(STRUCTURES) if truth is None else _overlap(answers.mask(index), truth))
    return np.array(rows, np.float64).reshape(-1, len(STRUCTURES))


def _means(dice: Floats) -> dict[str, float]:
    return {name: float(np.nanmean(dice[:, k])) for k, name in enumerate(STRUCTURES)}


def _overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> list[float]:
    """Dice of each structure; two empty masks agree."""
    sums = one.sum((1, 2)) + other.sum((1, 2))
    both = (one & other).sum((1, 2))
    return [1.0 if total == 0 else float(2 * part / total) for part, total in zip(both, sums, strict=True)]


def _flips(
    held: Held, name: str, thresholds: Sequence[float | None], fp32: Answers, variant: Answers
) -> dict[str, Any]:
    known = [c for c, value in enumerate(thresholds) if value is not None]
    limits = np.array([thresholds[c] for c in known], np.float64)
    one, other = fp32.logits[:, known].astype(float), variant.logits[:, known].astype(float)
    flipped = (one >= limits) != (other >= limits)
    listed = [
        {
            "image": held.planes.hashes[i],
            "label": LABELS[known[k]],
            "fp32": bool(one[i, k] >= limits[k]),
            "distance": float(abs(one[i, k] - limits[k])),
        }
        for i, k in np.argwhere(flipped).tolist()
    ]
    share = float(flipped.mean()) if flipped.size else 0.0
    return {"point": name, "decisions": int(flipped.size), "flipped": len(listed), "share": share, "images": listed}


def _correlation(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Pearson's, of every heat map that is not flat; `median` and the fifth percentile."""
    a, b = (maps.reshape(-1, maps.shape[2] * maps.shape[3]).astype(np.float64) for maps in (one, other))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    size = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    flat = (a**2).sum(1) <= 1e-12
    r = np.where(size > 0, (a * b).sum(1) / np.where(size > 0, size, 1), 0.0)[~flat]
    if not len(r):
        return {"maps": 0, "median": None, "fifth_percentile": None}
    return {"maps": len(r), "median": float(np.median(r)), "fifth_percentile": float(np.quantile(r, 0.05))}


def _reasons(row: Mapping[str, Any], bounds: Bounds) -> list[tuple[str, str]]:
    """The output of the graph that is at fault, and the reason in words."""
    decided = _decisions(row, bounds)
    said = [("logits", reason) for reason in decided]
    said += [
        ("masks", f"Dice of {name} drops by {drop:.4f} against {row['dice']['against']}, {bounds.dice:g} is allowed")
        for name, drop in row["dice"]["drop"].items()
        if not drop <= bounds.dice
    ]
    gate = row["input_gate"]
    if gate is not None and not gate["share"] <= bounds.flips:
        flips = f"{gate['flipped']} of {gate['decisions']} decisions of the input gate flip"
        said.append(("gate", f"{flips}, {100 * bounds.flips:g}% is allowed"))
    median = row["heatmaps"]["median"]
    if median is not None and not median >= bounds.heatmaps:
        said.append(("heatmaps", f"heat maps correlate at {median:.3f}, {bounds.heatmaps:g} is needed"))
    return said


def _decisions(row: Mapping[str, Any], bounds: Bounds) -> list[str]:
    """What is wrong with scores and decisions."""
    said = [
        f"AUROC of {label} drops by {found['drop']['value']:.4f}, {bounds.auroc:g} is allowed"
        for label, found in row["auroc"].items()
        if found["gates"] and not found["drop"]["value"] <= bounds.auroc
    ]
    mean = row["mean_auroc"]
    if mean is None:
        said.append(f"no disease has {LEAST} positives and {LEAST} negatives among the cases: AUROC cannot be compared")
    elif not mean["drop"]["value"] <= bounds.mean_auroc:
        said.append(f"the mean AUROC drops by {mean['drop']['value']:.4f}, {bounds.mean_auroc:g} is allowed")
    said += [
        f"{found['flipped']} of {found['decisions']} decisions flip at {found['point']},"
        f" {100 * bounds.flips:g}% is allowed"
        for found in row["flips"]
        if not found["share"] <= bounds.flips
    ]
    return said
