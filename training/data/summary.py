"""What a collection holds, as plain data and as lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from cxredge.result import LABELS, STRUCTURES, display_name
from training.data.cases import Collection
from training.data.splits import FOLDS, Split, lacking

__all__ = ["lines", "summarise"]


def summarise(collection: Collection, split: Split | None = None) -> dict[str, Any]:
    """Count a collection, and the folds of a split of it: JSON types only.

    `labels` tells positive, negative and unknown cases a label; `no_finding` are the cases in which all labels are
    known to be absent. `lacking` names, a fold, the diseases without a positive, without a negative, not looked for.
    """
    cases = collection.cases
    everything = range(len(cases))
    facts: dict[str, Any] = {
        "name": collection.name,
        "folder": str(collection.root),
        "cases": len(cases),
        "patients": len(collection.patients()),
        "labels": _labels(collection, everything),
        "no_finding": sum(not any(case.labels) for case in cases),
        "boxes": dict(sorted(Counter(box.label for case in cases for box in case.boxes).items())),
        "masks": {
            name: sum(case.masks is not None and case.masks.known[place] for case in cases)
            for place, name in enumerate(STRUCTURES)
        },
        "views": dict(sorted(Counter(case.view or "unknown" for case in cases).items())),
        "shippable": collection.shippable,
        "citation": collection.citation,
        "notes": list(collection.notes),
        "split": None,
    }
    if split is not None:
        facts["split"] = {
            "name": split.name,
            "official": split.official,
            "sha256": split.sha256,
            "folds": {fold: _fold(collection, split.fold(fold)) for fold in FOLDS},
            "lacking": {fold: asdict(lack) for fold, lack in lacking(split).items()},
        }
    return facts


def _fold(collection: Collection, indices: tuple[int, ...]) -> dict[str, Any]:
    counts = _labels(collection, indices)
    return {
        "cases": len(indices),
        "patients": len(collection.patients(indices)),
        "positives": {label: found["positive"] for label, found in counts.items()},
    }


def _labels(collection: Collection, indices: Iterable[int]) -> dict[str, dict[str, int]]:
    values = np.array([collection.cases[index].labels for index in indices]).reshape(-1, len(LABELS))
    counts = {"positive": values == 1, "negative": values == 0, "unknown": np.isnan(values)}
    return {
        label: {name: int(found[:, place].sum()) for name, found in counts.items()}
        for place, label in enumerate(LABELS)
    }


def lines(facts: dict[str, Any]) -> str:
    """The same for people."""
    found = [
        facts["name"],
        f"  {facts['cases']} images of {facts['patients']} patients in {facts['folder']}",
        f"  weights trained on it {'may' if facts['shippable'] else 'must not'} be shipped; {facts['citation']}",
    ]
    found += [f"  note: {note}" for note in facts["notes"]]
    found.append("  views: " + ", ".join(f"{view} {count}" for view, count in facts["views"].items()))
    masks = ", ".join(f"{display_name(name).lower()} {count}" for name, count in facts["masks"].items() if count)
    found.append(f"  masks: {masks or 'none'}; boxes: {sum(facts['boxes'].values()) or 'none'}")
    split = facts["split"]
    found += ["", *_table(facts, split["folds"] if split else {})]
    if split:
        found += ["", f"  split: {split['name']}", f"  sha256 {split['sha256']}", *_lacks(split["lacking"])]
    return "\n".join(found)


def _table(facts: dict[str, Any], folds: dict[str, Any]) -> list[str]:
    names = [fold for fold in folds if folds[fold]["cases"]]
    rows = [["", "positive", "negative", "unknown", *names]]
    rows.append(["Images", "", "", "", *(str(folds[fold]["cases"]) for fold in names)])
    rows.append(["Patients", "", "", "", *(str(folds[fold]["patients"]) for fold in names)])
    for label, counts in facts["labels"].items():
        positives = [str(folds[fold]["positives"][label]) for fold in names]
        rows.append([display_name(label), *(str(counts[name]) for name in rows[0][1:4]), *positives])
    rows.append(["No finding", str(facts["no_finding"]), "", "", *[""] * len(names)])
    return ["  " + f"{row[0]:<20}" + "".join(f"{cell:>10}" for cell in row[1:]) for row in rows]


def _lacks(lacks: dict[str, Any]) -> list[str]:
    return [
        f"  {fold} has no {what} of: {', '.join(map(display_name, lack[what]))}"
        for fold, lack in lacks.items()
        for what in ("positive", "negative")
        if lack[what]
    ]
