"""One engine's answers beside the network's: largest differences, flips, inner decisions, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from export.answers import Answers
from export.bounds import Bounds
from export.inner import BoxOfRegion, Inner, inner_of
from export.region import box_by_labelling
from export.subject import Subject
from export.thresholds import Threshold

__all__ = ["judge", "labelled"]

Array = npt.NDArray[np.float32]


def judge(
    subject: Subject,
    batch: Array,
    ours: Answers,
    theirs: Answers,
    thresholds: Sequence[Threshold],
    bounds: Bounds,
) -> dict[str, Any]:
    """Compare all outputs on all images.

    Returns:
        `largest` by output, `flips` by threshold, `inner` for a method that decides inside, `bounds`, `reasons` (why
        it does not pass) and `passed`.
    """
    inner = inner_of(subject.method)
    told, reference = _inside(subject, batch, ours, theirs, inner, bounds)
    names = [name for name in theirs if inner is None or name not in inner.probes]
    largest = {name: float(np.abs(theirs[name] - reference[name]).max()) for name in names}
    flips = [_flips(threshold, reference["logits"], theirs["logits"], bounds) for threshold in thresholds]
    reasons = [
        f"{name} differ by {value:.2e}, more than {bounds.outputs[name]:g}"
        for name, value in largest.items()
        if not value <= bounds.outputs[name]
    ]
    reasons += [f"{row['flipped']} decisions flip at {row['threshold']}" for row in flips if row["flipped"]]
    reasons += [] if told is None else told.pop("reasons")
    return {
        "largest": largest,
        "flips": flips,
        "inner": told,
        "bounds": {**{name: bounds.outputs[name] for name in names}, "inner": bounds.inner},
        "passed": not reasons,
        "reasons": reasons,
    }


def _flips(threshold: Threshold, ours: Array, theirs: Array, bounds: Bounds) -> dict[str, Any]:
    """Decisions that differ. One whose logit lies nearer to the threshold than the bound cannot be asked to agree.

    Such a decision is open in torch itself: another batch size or thread count may turn it. It is counted apart.
    """
    known = ~np.isnan(threshold.logits)
    mine, other, limit = ours[:, known].astype(float), theirs[:, known].astype(float), threshold.logits[known]
    flipped = (mine >= limit) != (other >= limit)
    near = np.abs(mine - limit) <= bounds.outputs["logits"]
    return {
        "threshold": threshold.name,
        "decisions": int(flipped.size),
        "flipped": int((flipped & ~near).sum()),
        "open": int(near.sum()),
        "open_flipped": int((flipped & near).sum()),
    }


def _inside(
    subject: Subject, batch: Array, ours: Answers, theirs: Answers, inner: Inner | None, bounds: Bounds
) -> tuple[dict[str, Any] | None, Answers]:
    """What was decided otherwise inside; and the network's answers given the engine's decisions there."""
    if inner is None:
        return None, ours
    away = inner.differing(ours, theirs)
    moved = np.flatnonzero(away > 0)
    reasons = []
    if moved.size and not away.max() <= bounds.inner:
        reasons.append(f"inside, a cell {away.max():.1e} from its threshold was decided otherwise")
    if isinstance(inner, BoxOfRegion) and not labelled(theirs, inner):
        reasons.append("a box is not the one that SciPy finds on the engine's own heat map")
    told = {"images": len(batch), "differ": int(moved.size), "farthest": float(away.max()), "reasons": reasons}
    return told, _given(subject, batch, ours, theirs, inner, moved)


def _given(
    subject: Subject, batch: Array, ours: Answers, theirs: Answers, inner: Inner, moved: npt.NDArray[np.intp]
) -> Answers:
    reference = {name: value.copy() for name, value in ours.items()}
    for index in moved:
        own = {name: value[index : index + 1] for name, value in theirs.items()}
        with torch.inference_mode():
            again = inner.again(subject.method, torch.from_numpy(batch[index : index + 1]), own)
        for name, value in again.items():
            reference[name][index] = value[0].numpy()
    return reference


def labelled(answers: Answers, inner: BoxOfRegion) -> bool:
    """Whether all boxes are those that connected-component labelling finds on the heat maps beside them."""
    wanted = [box_by_labelling(heat > inner.tau) for heat in answers["heat"]]
    return bool(np.allclose(answers["box"], np.array(wanted, np.float32), atol=1e-6))
