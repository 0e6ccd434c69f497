"""A fold of a data set as the table of cases that `cxredge site` and `python -m calibration` read."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

from cxredge.files import write_atomically
from cxredge.result import LABELS
from training.data.cases import Case

__all__ = ["write_cases"]


def write_cases(cases: Iterable[Case], path: Path) -> int:
    """Write the table; gives how many cases are in it.

    Paths are relative to the table's folder where the images lie below it, else absolute. The `patient` column holds
    the names that checkpoints keep hashes of, so whoever judges a graph can see that none of them trained it. Images
    without a header (JSRT) are left out: only training knows how to read their bytes.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["path", "patient", *LABELS])
    folder, count = path.resolve().parent, 0
    for case in cases:
        if case.raw is None:
            writer.writerow([_place(case.path, folder), case.patient, *map(_cell, case.labels)])
            count += 1
    write_atomically(path, file.getvalue().encode("utf-8"))
    return count


def _place(image: Path, folder: Path) -> str:
    whole = image.absolute()
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else str(whole)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else str(int(value))
