"""A site's own data: one CSV of DICOM or image paths with a column a label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cxredge.result import LABELS
from training.data.cases import UNKNOWN, Case, Collection, MaskSource
from training.data.tables import Row, read_table
from training.errors import DataError, Problem

__all__ = ["open_csv"]

_OTHERS = ("image", "patient", "labels", "fold", "view", "sex", "age", "lungs_mask", "heart_mask")
_FOLDS = ("train", "val", "test")


def open_csv(folder: Path, *, table: str = "cases.csv", ignore: Sequence[str] = ()) -> Collection:
    """A table of images.

    Columns: `image` (a path, relative to the table's folder or absolute) and `patient`; then either `labels` (names
    joined by bars, or No Finding: all 14 are then known) or a column a label with 1, 0 or nothing (unknown). May be
    there: `fold` (train, val, test), `view`, `sex`, `age`, `lungs_mask`, `heart_mask`.

    Args:
        folder: the table's folder, or the table itself.
        table: the table's name where `folder` is a folder.
        ignore: further columns that the table may have. Any other column is an error: it may be a label misspelt.
    """
    file = folder if folder.is_file() else folder / table
    rows = read_table(file, ("image", "patient"))
    if not rows:
        raise DataError(Problem.TABLE, "the table has no rows", file=file)
    _check_columns(rows[0], set(ignore))
    cases = tuple(_case(row, file.parent) for row in rows)
    return Collection(
        name=f"CSV {file.stem}",
        root=file.parent,
        cases=cases,
        shippable=True,
        citation="the site's own data: whether weights trained on it may be shipped is the site's to say",
        folds=_folds(rows),
        split_name=f"fold column of {file.name}",
    )


def _check_columns(row: Row, ignored: set[str]) -> None:
    columns = set(row.fields) - ignored
    labels = columns & set(LABELS)
    unknown = sorted(columns - labels - set(_OTHERS))
    if unknown:
        detail = f"column {unknown[0]!r} is neither a label nor known; leave it out with ignore"
        raise DataError(Problem.UNKNOWN_LABEL, detail, file=row.file, row=1)
    if labels and "labels" in columns:
        raise DataError(Problem.TABLE, "labels come twice: joined, and a column each", file=row.file, row=1)


def _case(row: Row, root: Path) -> Case:
    lungs, heart = row.optional("lungs_mask"), row.optional("heart_mask")
    masks = MaskSource(lungs=root / lungs if lungs else None, heart=root / heart if heart else None)
    for path in masks.files:
        if not path.is_file():
            raise row.error(Problem.MISSING_MASK, f"{path} is not there")
    image = root / row.text("image")
    if not image.is_file():
        raise row.error(Problem.MISSING_IMAGE, f"{image} is not there")
    return Case(
        path=image,
        patient=f"csv:{row.text('patient')}",
        labels=row.labels("labels") if "labels" in row.fields else tuple(_value(row, label) for label in LABELS),
        masks=masks if masks.files else None,
        view=row.optional("view"),
        sex=row.optional("sex"),
        age=row.age("age"),
        table=row.file,
        row=row.line,
    )


def _value(row: Row, label: str) -> float:
    text = row.optional(label)
    if text is None:
        return UNKNOWN
    value = row.finite(text, label)
    if value not in (0.0, 1.0):
        raise row.error(Problem.VALUE, f"{label} is {text}: it must be 1, 0 or nothing")
    return value


def _folds(rows: Sequence[Row]) -> dict[str, tuple[int, ...]]:
    if "fold" not in rows[0].fields:
        return {}
    folds: dict[str, list[int]] = {fold: [] for fold in _FOLDS}
    for index, row in enumerate(rows):
        fold = row.text("fold")
        if fold not in folds:
            raise row.error(Problem.SPLIT, f"there is no fold {fold!r}: {', '.join(_FOLDS)}")
        folds[fold].append(index)
    return {fold: tuple(indices) for fold, indices in folds.items()}
