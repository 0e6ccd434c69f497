"""Reading the makers' tables strictly: each row knows its line, and what cannot be read is named with it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxredge.result import LABELS
from training.data.cases import labels_of
from training.errors import DataError, Problem

__all__ = ["NO_FINDING", "Row", "assert_unique", "folder_of", "index_files", "read_lines", "read_table"]

NO_FINDING = "No Finding"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: its fields by column, its line, and readers that name both when they fail."""

    file: Path
    line: int
    fields: dict[str, str]

    def error(self, problem: Problem, detail: str) -> DataError:
        """An error that names this row."""
        return DataError(problem, detail, file=self.file, row=self.line)

    def text(self, column: str) -> str:
        """A field that must not be empty."""
        value = self.fields[column]
        if not value:
            raise self.error(Problem.VALUE, f"{column} is empty")
        return value

    def optional(self, column: str) -> str | None:
        """A field that may be empty, or a column that may be absent."""
        return self.fields.get(column) or None

    def number(self, column: str) -> float:
        """A finite number."""
        return self.finite(self.text(column), column)

    def finite(self, text: str, what: str) -> float:
        """The finite number that a text is."""
        try:
            number = float(text)
        except ValueError:
            raise self.error(Problem.VALUE, f"{what} is no number: {text!r}") from None
        if not math.isfinite(number):
            raise self.error(Problem.VALUE, f"{what} is {text}")
        return number

    def age(self, column: str) -> float | None:
        """Years, from `58`, `058Y`, `011M` (months), `003W` or `012D`; None where empty."""
        text = self.optional(column)
        if text is None:
            return None
        units = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
        unit = units.get(text[-1].upper())
        return self.finite(text, column) if unit is None else self.finite(text[:-1], column) / unit

    def labels(self, column: str) -> tuple[float, ...]:
        """Labels joined by bars, or `No Finding`."""
        names = [name.strip() for name in self.text(column).split("|")]
        if len(set(names)) != len(names):
            raise self.error(Problem.DUPLICATE, f"a label comes twice in {column}")
        if NO_FINDING in names:
            if len(names) > 1:
                raise self.error(Problem.VALUE, f"{column} says {NO_FINDING} and something else")
            names = []
        try:
            return labels_of(names)
        except KeyError as error:
            known = f"known are {', '.join(LABELS)} and {NO_FINDING}"
            raise self.error(Problem.UNKNOWN_LABEL, f"there is no label {error.args[0]!r}: {known}") from None


def _records(file: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            for record in reader:
                if any(cell.strip() for cell in record):
                    yield reader.line_num, [cell.strip() for cell in record]
    except FileNotFoundError:
        raise DataError(Problem.FOLDER, "the table is not there", file=file) from None
    except UnicodeDecodeError:
        raise DataError(Problem.TABLE, "the table is not UTF-8", file=file) from None
    except (OSError, csv.Error) as error:
        raise DataError(Problem.TABLE, f"the table cannot be read: {error}", file=file) from None


def read_table(file: Path, required: Sequence[str], *, columns: Sequence[str] = ()) -> list[Row]:
    """Every row of a CSV file.

    Args:
        file: the table; UTF-8, a header line first.
        required: columns that must be there.
        columns: names by position, where the maker's own header is not usable; the first is compared with the header.

    Raises:
        DataError: the table is not there, lacks a column, names one twice, or has a row of another length.
    """
    records = _records(file)
    _, header = next(records, (0, []))
    if columns:
        if header[:1] != [columns[0]]:
            raise DataError(Problem.TABLE, f"the first column is not {columns[0]!r}", file=file, row=1)
        header = [*columns, *[""] * (len(header) - len(columns))]
    absent = [name for name in required if name not in header]
    if absent:
        raise DataError(Problem.TABLE, f"there is no column {', '.join(map(repr, absent))}", file=file, row=1)
    names = [name for name in header if name]
    if len(set(names)) != len(names):
        raise DataError(Problem.TABLE, "a column comes twice", file=file, row=1)
    # Trailing commas are common in these tables; a row may leave them out, but nothing that has a name.
    last = max(index for index, name in enumerate(header) if name) + 1
    rows = []
    for line, record in records:
        if len(record) < last or any(record[max(last, len(header)) :]):
            raise DataError(Problem.TABLE, f"{len(record)} fields where {last} are named", file=file, row=line)
        rows.append(Row(file, line, {name: cell for name, cell in zip(header, record, strict=False) if name}))
    return rows


def assert_unique(rows: Sequence[Row], column: str) -> None:
    """Refuse a table that names one thing in two rows."""
    lines: dict[str, int] = {}
    for row in rows:
        name = row.text(column)
        if name in lines:
            raise row.error(Problem.DUPLICATE, f"{name} is already in line {lines[name]}")
        lines[name] = row.line


def read_lines(file: Path) -> list[tuple[int, str]]:
    """The lines of a list of names, with their numbers; empty ones are left out."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(Problem.FOLDER, "the list is not there", file=file) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(Problem.TABLE, f"the list cannot be read: {type(error).__name__}", file=file) from None
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def folder_of(folder: Path, *names: str) -> Path | None:
    """The first of these folders below `folder` that is there ("" is the folder itself)."""
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def index_files(folders: Sequence[Path], suffixes: Sequence[str]) -> dict[str, Path]:
    """Name -> path of every file with one of the suffixes (lower case) in these folders.

    Raises:
        DataError: one name is in two folders.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in suffixes or path.name.startswith("."):
                continue
            if path.name in found:
                raise DataError(Problem.DUPLICATE, f"the same name is in {found[path.name].parent}", file=path)
            found[path.name] = path
    return found
