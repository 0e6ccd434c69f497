"""CheXpert-v1.0, frontal images: its observations on our labels, and what its uncertain ones become.

Irvin et al., "CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels", AAAI 2019.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal

from cxredge.result import LABELS
from training.data.cases import UNKNOWN, Case, Collection
from training.data.tables import Row, read_table
from training.errors import Problem, bad

__all__ = ["SAME", "Uncertain", "open_chexpert"]

CITATION = (
    "Stanford ML Group; Irvin et al., CheXpert: A Large Chest Radiograph Dataset with Uncertainty Labels and Expert "
    "Comparison, AAAI 2019 (Stanford University Dataset Research Use Agreement)"
)

OBSERVATIONS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip

SAME = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Pleural Effusion": "Effusion",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
}
"""Observation -> label, where both mean one thing. The other seven of our labels are unknown in CheXpert: Lung Lesion
does not tell mass from nodule, Pleural Other is wider than thickening, and Infiltration, Emphysema, Fibrosis and Hernia
are not among the observations."""

Uncertain = Literal["ones", "zeros", "mixed", "ignore"]

_MIXED = {
    "Atelectasis": 1.0,
    "Edema": 1.0,
    "Cardiomegaly": 0.0,
    "Consolidation": 0.0,
    "Pleural Effusion": 0.0,
}  # MLRFNet, "U-O&U-Z"; of the other observations it says nothing, so their uncertain labels are unknown


def open_chexpert(
    folder: Path, *, uncertain: Uncertain = "mixed", blank: Literal["zero", "unknown"] = "zero"
) -> Collection:
    """The set as it is shipped: train.csv, valid.csv, the images below train/ and valid/; frontal images only.

    Args:
        folder: the folder that holds train.csv (`CheXpert-v1.0` or `CheXpert-v1.0-small`).
        uncertain: what -1 becomes: 1 (U-Ones), 0 (U-Zeros), MLRFNet's mixture, or unknown.
        blank: what an observation that the report does not mention becomes. The papers take it as 0.
    """
    if uncertain not in ("ones", "zeros", "mixed", "ignore"):
        raise bad(f"uncertain labels can be taken as ones, zeros, mixed or ignore, not {uncertain!r}")
    if blank not in ("zero", "unknown"):
        raise bad(f"blank labels can be taken as zero or unknown, not {blank!r}")
    cases: list[Case] = []
    folds: dict[str, tuple[int, ...]] = {}
    laterals = 0
    for fold in ("train", "valid"):
        rows = read_table(folder / f"{fold}.csv", ("Path", "Frontal/Lateral", *OBSERVATIONS))
        frontal = [row for row in rows if _is_frontal(row)]
        laterals += len(rows) - len(frontal)
        folds[fold] = tuple(range(len(cases), len(cases) + len(frontal)))
        cases += [_case(row, folder, uncertain, blank) for row in frontal]
    return Collection(
        name=f"CheXpert (uncertain: {uncertain}" + (", blank: unknown)" if blank == "unknown" else ")"),
        root=folder,
        cases=tuple(cases),
        shippable=False,
        citation=CITATION,
        folds=folds,
        split_name="train.csv and valid.csv",
        official=True,
        notes=(f"{laterals} lateral images were left out",) if laterals else (),
    )


def _is_frontal(row: Row) -> bool:
    view = row.text("Frontal/Lateral")
    if view not in ("Frontal", "Lateral"):
        raise row.error(Problem.VALUE, f"Frontal/Lateral is {view!r}")
    return view == "Frontal"


def _case(row: Row, folder: Path, uncertain: Uncertain, blank: str) -> Case:
    parts = PurePosixPath(row.text("Path")).parts
    patient = next((part for part in parts if part.startswith("patient")), None)
    if patient is None or ".." in parts:
        raise row.error(Problem.VALUE, f"Path names no patient: {row.fields['Path']!r}")
    # The path begins with the name that the folder had when it was packed.
    path = folder.joinpath(*(parts[1:] if parts[0].startswith("CheXpert") else parts))
    if not path.is_file():
        raise row.error(Problem.MISSING_IMAGE, f"{path} is not there")
    return Case(
        path=path,
        patient=f"chexpert:{patient}",
        labels=_labels(row, uncertain, blank),
        view=row.optional("AP/PA"),
        sex={"Male": "M", "Female": "F"}.get(row.optional("Sex") or ""),
        age=row.age("Age"),
        table=row.file,
        row=row.line,
    )


def _labels(row: Row, uncertain: Uncertain, blank: str) -> tuple[float, ...]:
    found = dict.fromkeys(LABELS, UNKNOWN)
    for observation in OBSERVATIONS:
        value = _value(row, observation, uncertain, blank)  # all are read, so that a broken one is seen
        if observation in SAME:
            found[SAME[observation]] = value
    return tuple(found.values())


def _value(row: Row, observation: str, uncertain: Uncertain, blank: str) -> float:
    text = row.optional(observation)
    if text is None:
        return 0.0 if blank == "zero" else UNKNOWN
    value = row.finite(text, observation)
    if value not in (-1.0, 0.0, 1.0):
        raise row.error(Problem.VALUE, f"{observation} is {text}: it must be 1, 0, -1 or blank")
    if value >= 0:
        return value
    if uncertain == "mixed":
        return _MIXED.get(observation, UNKNOWN)
    return {"ones": 1.0, "zeros": 0.0, "ignore": UNKNOWN}[uncertain]
