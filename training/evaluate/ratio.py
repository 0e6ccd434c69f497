"""The cardiothoracic ratio of the outlines: against drawn outlines, and against what a label says of the heart.

Few data sets outline hearts. Where none are outlined, the label Cardiomegaly judges them all the same: outlines that
follow the heart make a ratio that is larger in those who have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.result import LABELS
from training.data import Person
from training.evaluate.bootstrap import Interval, auroc_intervals, mean_interval
from training.evaluate.groups import LEAST
from training.evaluate.tables import interval_words, markdown_table

__all__ = ["ratio_part", "ratios"]

Floats = npt.NDArray[np.float64]

LABEL = LABELS.index("Cardiomegaly")
VIEWS = ("all", "PA", "AP")


def ratios(
    found: Floats,
    drawn: Floats,
    truth: Floats,
    people: Sequence[Person],
    patients: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """How far the ratio is off where hearts were outlined, and how well it alone tells Cardiomegaly, by view.

    Args:
        found: [N], of the network's outlines; not-a-number where it found no heart or a lung less.
        drawn: [N], of the drawn outlines; not-a-number where nobody drew them all.
        truth: [N, 14], the labels.
        people: what is known of each image beside its labels; may be empty.
        patients: of each image.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    how = {"resamples": resamples, "seed": seed}
    off = np.abs(found - drawn)
    error = mean_interval(off, patients, **how)
    told: dict[str, Any] = {}
    if error is not None:
        told["error"] = {"images": int((~np.isnan(off)).sum()), **_plain(error)}
    views = np.array([person.view for person in people] if people else [None] * len(found), object)
    tells = {}
    for view in VIEWS:
        here = ~np.isnan(found) & ~np.isnan(truth[:, LABEL]) & ((view == "all") | (views == view))
        one = _tells(found[here], truth[here, LABEL], [patients[row] for row in np.flatnonzero(here)], how)
        if one:
            tells[view] = one
    return {**told, **({"cardiomegaly": tells} if tells else {})}


def _tells(found: Floats, label: Floats, patients: Sequence[str], how: Mapping[str, int]) -> dict[str, Any] | None:
    """How well the ratio tells those who have it; None where there are too few of either."""
    ill = label == 1
    if min(ill.sum(), (~ill).sum()) < LEAST:
        return None
    each, _ = auroc_intervals(label[:, None], found[:, None], patients, **how)
    counts = {"positives": int(ill.sum()), "negatives": int((~ill).sum())}
    means = {"mean_with": float(found[ill].mean()), "mean_without": float(found[~ill].mean())}
    return {**counts, **means, "auroc": _plain(each[0])}


def _plain(found: Interval) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}


def ratio_part(told: Mapping[str, Any], split: str) -> list[str]:
    """The section of the report; nothing where nothing could be measured.

    Args:
        told: of `ratios`.
        split: how tables name the split.
    """
    if not told:
        return []
    parts = ["## Cardiothoracic ratio"]
    if "error" in told:
        off = told["error"]
        parts.append(
            f"Against that of the drawn outlines, on {off['images']} images: mean absolute error {interval_words(off)}."
        )
    if "cardiomegaly" in told:
        said = (
            "How well the ratio alone, of the network's outlines, tells the label Cardiomegaly, where at least "
            f"{LEAST} images have it and {LEAST} have not. Split: **{split}**."
        )
        rows = [
            [
                view,
                str(one["positives"]),
                str(one["negatives"]),
                f"{one['mean_with']:.3f}",
                f"{one['mean_without']:.3f}",
                interval_words(one["auroc"]),
            ]
            for view, one in told["cardiomegaly"].items()
        ]
        head = ["View", "Positives", "Negatives", "Mean ratio with it", "without", "AUROC"]
        parts += [said, markdown_table(head, rows)]
    return parts
