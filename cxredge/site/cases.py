"""The table of a site's labelled cases, `CASES.csv`."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxredge.errors import Code, InputError
from cxredge.result import LABELS

__all__ = ["Cases", "read_cases"]

_VALUES = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "": float("nan")}


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """Labelled images.

    Attributes:
        paths: of the images; those that the table gives relative are below the table's own folder.
        patients: who belongs together: a hash of the table's `patient`, never the name itself. Without that column each
            image counts as a patient of its own.
        truth: [N, 14] of 1, 0 and not-a-number, in the order of LABELS.
        sha256: of the table as a file.
        clustered: whether the table has a `patient` column.
    """

    paths: tuple[Path, ...] = field(repr=False)
    patients: tuple[str, ...] = field(repr=False)
    truth: npt.NDArray[np.float64]
    sha256: str
    clustered: bool


def read_cases(path: str | os.PathLike[str]) -> Cases:
    """Read and check the whole table. Columns: `path`, `patient` if known, and the fourteen labels (1, 0 or empty).

    Other columns are not looked at. Messages name rows by number and never quote what stands there.

    Raises:
        InputError: CASES_UNUSABLE.
    """
    table = Path(path)
    try:
        data = table.read_bytes()
    except OSError as error:
        raise _bad(f"it cannot be read: {error.strerror}") from None
    try:
        rows = list(_rows(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _bad(f"it is not a CSV table in UTF-8: {type(error).__name__}") from None
    paths = tuple(table.parent / row.path for row in rows)
    _no_twins(paths, rows)
    return Cases(
        paths=paths,
        patients=tuple(row.patient for row in rows),
        truth=np.array([row.truth for row in rows], np.float64).reshape(-1, len(LABELS)),
        sha256=hashlib.sha256(data).hexdigest(),
        clustered=bool(rows) and rows[0].clustered,
    )


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    path: str
    patient: str
    clustered: bool
    truth: tuple[float, ...]


def _bad(detail: str) -> InputError:
    return InputError(Code.CASES_UNUSABLE, detail)


def _rows(reader: csv.DictReader[str]) -> Iterator[_Row]:
    names = list(reader.fieldnames or ())
    missing = [name for name in ("path", *LABELS) if name not in names]
    if missing:
        raise _bad(f"the header lacks {', '.join(missing)}")
    if len(set(names)) != len(names):
        raise _bad("a column stands twice")
    for row in reader:
        yield _row(row, reader.line_num, "patient" in names)


def _row(row: dict[str, str], line: int, clustered: bool) -> _Row:
    if None in row or None in row.values():
        raise _bad(f"line {line} has more or fewer cells than the header")
    path, patient = row["path"].strip(), row["patient"].strip() if clustered else f"line {line}"
    if not path or "\0" in path:
        raise _bad(f"line {line} has no path")
    if not patient:
        raise _bad(f"line {line} has no patient: fill the column, or leave it out for all")
    wrong = [label for label in LABELS if row[label].strip() not in _VALUES]
    if wrong:
        raise _bad(f"line {line}: {wrong[0]} is neither 1, 0 nor empty")
    tag = hashlib.sha256(f"cxredge.site:{patient}".encode()).hexdigest()[:16]
    return _Row(line, path, tag, clustered, tuple(_VALUES[row[label].strip()] for label in LABELS))


def _no_twins(paths: tuple[Path, ...], rows: list[_Row]) -> None:
    """An image that stands twice would count twice, or be true and false at once."""
    first: dict[str, int] = {}
    for path, row in zip(paths, rows, strict=True):
        other = first.setdefault(os.path.realpath(path), row.line)
        if other != row.line:
            raise _bad(f"lines {other} and {row.line} name the same image")
