"""The same scores within groups of patients: a network can score by guessing who was too ill to stand.

A film taken from behind a standing patient (PA) and one taken in bed (AP) look different, and those in bed are more
often ill. A score that is only good over both together may have learned the bed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.result import LABELS, display_name
from training.data import Person
from training.evaluate.bootstrap import auroc_intervals
from training.evaluate.predict import Found
from training.evaluate.scores import auroc
from training.evaluate.tables import interval_words, markdown_table

__all__ = ["GROUPS", "LEAST", "groups", "groups_part"]

LEAST = 10
"""Positives, and negatives, that a disease needs in a group to be measured there."""


GROUPS: dict[str, Callable[[Person], bool]] = {
    "PA": lambda person: person.view == "PA",
    "AP": lambda person: person.view == "AP",
    "women": lambda person: person.sex == "F",
    "men": lambda person: person.sex == "M",
    "under 40": lambda person: person.age is not None and person.age < 40,
    "40 to 59": lambda person: person.age is not None and 40 <= person.age < 60,
    "60 and over": lambda person: person.age is not None and person.age >= 60,
}


def groups(
    test: Found, people: Sequence[Person], patients: Sequence[str], *, resamples: int, seed: int
) -> dict[str, Any]:
    """AUROC within each group that has a disease to measure, and that of the view alone.

    Returns:
        `all`, each name of GROUPS: `images`, `mean` over its measurable diseases with its interval, `diseases`; and
        `view_alone`: the AUROC of calling every AP film ill, or every PA film, whichever is right more often, by
        disease, and its mean. {} where nothing is known.
    """
    if not any(any(value is not None for value in person) for person in people):
        return {}
    chosen = {"all": lambda _person: True, **GROUPS}
    found = {}
    for name, belongs in chosen.items():
        rows = np.flatnonzero([belongs(person) for person in people])
        told = _within(test, rows, patients, resamples, seed)
        if told:
            found[name] = told
    return {"least": LEAST, "groups": found, "view_alone": _view_alone(test, people)}


def _within(
    test: Found, rows: npt.NDArray[np.intp], patients: Sequence[str], resamples: int, seed: int
) -> dict[str, Any] | None:
    truth = np.where(_enough(test.truth[rows])[None, :], test.truth[rows], np.nan)
    if np.isnan(truth).all():
        return None
    owners = [patients[row] for row in rows]
    each, mean = auroc_intervals(truth, test.logits[rows], owners, resamples=resamples, seed=seed)
    assert mean is not None  # noqa: S101 - a disease can be measured
    return {
        "images": len(rows),
        "mean": {"value": mean.value, "low": mean.low, "high": mean.high},
        "diseases": {LABELS[c]: {"value": one.value, "low": one.low, "high": one.high} for c, one in each.items()},
    }


def _enough(truth: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    return np.asarray(((truth == 1).sum(0) >= LEAST) & ((truth == 0).sum(0) >= LEAST))


def _view_alone(test: Found, people: Sequence[Person]) -> dict[str, Any]:
    """What a network would score that saw nothing but the view."""
    told = np.array([person.view in ("AP", "PA") for person in people])
    lying = np.array([float(person.view == "AP") for person in people])[told]
    truth = test.truth[told]
    either = {LABELS[c]: auroc(truth[:, c], lying) for c in np.flatnonzero(_enough(truth))}
    diseases = {label: max(value, 1 - value) for label, value in either.items()}
    return {"mean": float(np.mean(list(diseases.values()))) if diseases else None, "diseases": diseases}


def groups_part(told: Mapping[str, Any], split: str) -> list[str]:
    """The section of the report; nothing where nothing is known or no disease can be measured.

    Args:
        told: of `groups`.
        split: how tables name the split.
    """
    if not told or not told["groups"]:
        return []
    alone, found = told["view_alone"], told["groups"]
    rows = [
        [name, str(one["images"]), str(len(one["diseases"])), interval_words(one["mean"])]
        for name, one in found.items()
    ]
    said = (
        f"Diseases with at least {told['least']} positives and {told['least']} negatives in the group. Means of "
        f"different groups are over different diseases. Split: **{split}**."
    )
    parts = ["## Within groups", said, markdown_table(["Group", "Images", "Diseases", "Mean AUROC"], rows)]
    names = [name for name in ("all", "PA", "AP") if name in found]
    by_view = [
        [
            display_name(label),
            *(interval_words(found[name]["diseases"].get(label)) for name in names),
            _figure(alone, label),
        ]
        for label in LABELS
        if any(label in found[name]["diseases"] for name in names)
    ]
    mean = "is not known" if alone["mean"] is None else f"is {alone['mean']:.3f}"
    said = f"`View alone`: what calling every AP film ill scores, or every PA film; its mean {mean}. "
    said += f"Split: **{split}**."
    return [*parts, said, markdown_table(["Disease", *names, "View alone"], by_view)]


def _figure(alone: Mapping[str, Any], label: str) -> str:
    return f"{alone['diseases'][label]:.3f}" if label in alone["diseases"] else ""
