"""The two forms of ChestX-ray14: the whole set as the NIH Clinical Center ships it, and a folder with `labels.csv`.

Wang et al., "ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cxredge.result import LABELS
from training.data.cases import Box, Case, Collection
from training.data.tables import Row, assert_unique, index_files, read_lines, read_table
from training.errors import DataError, Problem

__all__ = ["open_chestxray14", "open_nih"]

CITATION = (
    "NIH Clinical Center; Wang et al., ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks on "
    "Weakly-Supervised Classification and Localization of Common Thorax Diseases, CVPR 2017"
)
SIDE = 1024.0
"""Boxes are in pixels of the 1024 x 1024 images, in the whole set and in the folder alike."""

OLDEST = 120.0
"""The first release of the table has ages up to 414 years: what is beyond is no age."""

_BOX_COLUMNS = ("Image Index", "Finding Label", "x", "y", "w", "h")  # the header itself splits `Bbox [x,y,w,h]`
_BOX_LABELS = {"Infiltrate": "Infiltration"}  # the box list's own spelling


def open_chestxray14(folder: Path, *, partial: bool = False) -> Collection:
    """The whole set: Data_Entry_2017*.csv, train_val_list.txt, test_list.txt, BBox_List_2017.csv, images*/.

    Args:
        folder: where the files were put. The images may be in `images/`, in `images_001/` to `images_012/`, or in an
            `images/` folder below each of these.
        partial: take the images that are here, where not all archives were fetched. The collection then says so in its
            name and is not official.
    """
    rows = read_table(_entry_table(folder), ("Image Index", "Finding Labels", "Patient ID"))
    assert_unique(rows, "Image Index")
    images = index_files(_image_folders(folder), (".png", ".jpg", ".jpeg"))
    missing = [row for row in rows if row.text("Image Index") not in images]
    if missing and not partial:
        first = missing[0]
        detail = f"{first.text('Image Index')} is not below {folder}; {len(missing)} of {len(rows)} images are missing"
        raise first.error(Problem.MISSING_IMAGE, detail)
    boxes = _boxes(folder / "BBox_List_2017.csv", {row.fields["Image Index"] for row in rows})
    odd_ages = 0
    cases = []
    for row in rows:
        name = row.text("Image Index")
        if name not in images:
            continue
        case = _case(row, images[name], boxes.get(name, ()))
        if case.age is not None and case.age > OLDEST:
            case, odd_ages = replace(case, age=None), odd_ages + 1
        cases.append(case)
    notes = [f"{odd_ages} ages over {OLDEST:g} years were left out"] if odd_ages else []
    if missing:
        notes.append(f"{len(missing)} of {len(rows)} images are not here")
    folds = _official_folds(folder, cases, {row.fields["Image Index"] for row in rows})
    if not folds:
        notes.append("train_val_list.txt and test_list.txt are not here: only a random split can be made")
    return Collection(
        name=f"ChestX-ray14 (partial: {len(cases)} of {len(rows)} images)" if missing else "ChestX-ray14",
        root=folder,
        cases=tuple(cases),
        shippable=True,
        citation=CITATION,
        folds=folds,
        split_name="train_val_list.txt and test_list.txt",
        official=bool(folds) and not missing,
        notes=tuple(notes),
    )


def _entry_table(folder: Path) -> Path:
    found = sorted(folder.glob("Data_Entry_2017*.csv"))
    if len(found) > 1:
        raise DataError(Problem.FOLDER, f"there are several: {', '.join(path.name for path in found)}", file=folder)
    return found[0] if found else folder / "Data_Entry_2017.csv"


def _image_folders(folder: Path) -> list[Path]:
    outer = [path for path in sorted(folder.glob("images*")) if path.is_dir()]
    inner = [path / "images" for path in outer if (path / "images").is_dir()]
    if not outer:
        raise DataError(Problem.FOLDER, "there is no folder images/ or images_001/", file=folder)
    return outer + inner


def _case(row: Row, path: Path, boxes: tuple[Box, ...]) -> Case:
    sex = row.optional("Patient Gender") or row.optional("Patient Sex")
    return Case(
        path=path,
        patient=_patient(row, "Patient ID"),
        labels=row.labels("Finding Labels"),
        boxes=boxes,
        view=row.optional("View Position"),
        sex=sex,
        age=row.age("Patient Age"),
        table=row.file,
        row=row.line,
    )


def _patient(row: Row, column: str) -> str:
    """One name in the whole set and in the folder: so a test patient of one is known in the other."""
    number = row.number(column)
    if number != int(number) or number < 0:
        raise row.error(Problem.VALUE, f"{column} is no whole number: {row.fields[column]!r}")
    return f"chestxray14:{int(number)}"


def _boxes(file: Path, known: set[str]) -> dict[str, tuple[Box, ...]]:
    if not file.is_file():
        return {}
    found: dict[str, tuple[Box, ...]] = {}
    for row in read_table(file, _BOX_COLUMNS, columns=_BOX_COLUMNS):
        name = row.text("Image Index")
        if name not in known:
            raise row.error(Problem.MISSING_IMAGE, f"a box on {name}, which the table of images does not name")
        label = row.text("Finding Label")
        edges = [row.number(column) for column in ("x", "y", "w", "h")]
        found[name] = (*found.get(name, ()), _box(row, _BOX_LABELS.get(label, label), edges))
    return found


def _box(row: Row, label: str, edges: Sequence[float]) -> Box:
    if label not in LABELS:
        raise row.error(Problem.UNKNOWN_LABEL, f"there is no label {label!r}")
    x, y, width, height = (edge / SIDE for edge in edges)
    box = Box(label, max(x, 0.0), max(y, 0.0), min(x + width, 1.0), min(y + height, 1.0))
    if not (box.left < box.right and box.top < box.bottom):
        raise row.error(Problem.VALUE, f"the box of {label} is empty or outside the image")
    return box


def _official_folds(folder: Path, cases: Sequence[Case], named: set[str]) -> dict[str, tuple[int, ...]]:
    """The lists, as indices; empty where neither list is here."""
    files = {"train_val": folder / "train_val_list.txt", "test": folder / "test_list.txt"}
    if not any(file.is_file() for file in files.values()):
        return {}
    where = {case.path.name: index for index, case in enumerate(cases)}
    folds: dict[str, tuple[int, ...]] = {}
    listed: dict[str, Path] = {}
    for fold, file in files.items():
        indices = []
        for line, name in read_lines(file):
            if name not in named:
                raise DataError(Problem.MISSING_IMAGE, f"{name} is not in the table of images", file=file, row=line)
            if name in listed:
                raise DataError(Problem.DUPLICATE, f"{name} is already in {listed[name].name}", file=file, row=line)
            listed[name] = file
            if name in where:
                indices.append(where[name])
        folds[fold] = tuple(indices)
    unlisted = sorted(set(where) - set(listed))
    if unlisted:
        raise DataError(Problem.SPLIT, f"{len(unlisted)} images are in neither list, first {unlisted[0]}", file=folder)
    return folds


def open_nih(folder: Path) -> Collection:
    """A folder of ChestX-ray14 images with `labels.csv`: image, labels, patient, age, sex, view, boxes_1024, fold."""
    table = folder / "labels.csv"
    rows = read_table(table, ("image", "labels", "patient", "boxes_1024", "fold"))
    images = index_files([folder], (".png", ".jpg", ".jpeg"))
    cases, folds = [], {"train": [], "val": [], "test": []}  # type: tuple[list[Case], dict[str, list[int]]]
    for row in rows:
        name, fold = row.text("image"), row.text("fold")
        if name not in images:
            raise row.error(Problem.MISSING_IMAGE, f"{name} is not in {folder}")
        if fold not in folds:
            raise row.error(Problem.SPLIT, f"there is no fold {fold!r}: {', '.join(folds)}")
        folds[fold].append(len(cases))
        cases.append(
            Case(
                path=images[name],
                patient=_patient(row, "patient"),
                labels=row.labels("labels"),
                boxes=_folder_boxes(row),
                view=row.optional("view"),
                sex=row.optional("sex"),
                age=row.age("age"),
                table=row.file,
                row=row.line,
            )
        )
    return Collection(
        name="NIH folder (of ChestX-ray14)",
        root=folder,
        cases=tuple(cases),
        shippable=True,
        citation=CITATION,
        folds={fold: tuple(indices) for fold, indices in folds.items()},
        split_name="fold column of labels.csv",
    )


def _folder_boxes(row: Row) -> tuple[Box, ...]:
    """`label:x,y,w,h`, several joined by bars or semicolons."""
    text = row.optional("boxes_1024")
    if text is None:
        return ()
    boxes = []
    for part in text.replace(";", "|").split("|"):
        label, _, numbers = part.partition(":")
        edges = [row.finite(number, "a box") for number in numbers.split(",")]
        if len(edges) != 4:
            raise row.error(Problem.VALUE, f"a box of {len(edges)} numbers")
        boxes.append(_box(row, _BOX_LABELS.get(label.strip(), label.strip()), edges))
    return tuple(boxes)
