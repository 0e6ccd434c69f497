"""What goes wrong in the training workbench: the runtime's codes, and exceptions that say which part failed."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

from cxredge.errors import Code, CxredgeError, UsageError

__all__ = ["CheckpointError", "DivergedError", "LeakError", "RecipeError", "WeightsError", "bad"]


class WeightsError(CxredgeError):
    """A file of weights cannot be read, or is not one for this network."""


class CheckpointError(CxredgeError):
    """A checkpoint cannot be read or must not be written."""


class RecipeError(CxredgeError):
    """A recipe is not one, or does not fit the method, the data or the run that it should go on with."""


class DivergedError(CxredgeError):
    """The loss is not a number any more. The last good checkpoint is kept."""


class LeakError(CxredgeError):
    """The weights have seen the patients that they should be tested on."""


def bad(detail: str) -> UsageError:
    """The exception for an argument or an option that is not usable; the caller raises it."""
    return UsageError(Code.BAD_ARGUMENT, detail)


class Problem(enum.StrEnum):
    """What is wrong with a data set; a program matches on this."""

    FOLDER = "folder"  # the folder or one of its tables is not there
    TABLE = "table"  # a table lacks a column, a row has too few fields
    VALUE = "value"  # a number that is none, not-a-number, out of range
    UNKNOWN_LABEL = "unknown_label"
    DUPLICATE = "duplicate"  # one image in two rows
    MISSING_IMAGE = "missing_image"
    MISSING_MASK = "missing_mask"
    UNREADABLE = "unreadable"  # an image or a mask that cannot be read, or shows nothing
    SPLIT = "split"  # a split that cannot be made, or is empty
    PATIENT_ON_BOTH_SIDES = "patient_on_both_sides"
    NO_POSITIVE = "no_positive"  # a disease without a positive in a fold
    CACHE = "cache"


class DataError(CxredgeError):
    """A data set cannot be used as it is. The message names the file and the row, and so may name a patient.

    Attributes:
        problem: what is wrong; match on this.
        file: the table or the image at fault.
        row: the line of the table, counted from 1 as an editor does (the header is line 1).
        code: the runtime's code, where the runtime refused an image.
    """

    def __init__(
        self,
        problem: Problem,
        detail: str,
        *,
        file: Path | None = None,
        row: int | None = None,
        code: Code = Code.BAD_ARGUMENT,
    ) -> None:
        super().__init__(code, detail)
        self.problem, self.file, self.row = problem, file, row

    @property
    def message(self) -> str:
        """Where it is, and what is wrong: one line for a person."""
        where = "" if self.file is None else f"{self.file}: " if self.row is None else f"{self.file}, line {self.row}: "
        return where + self.detail

    def __str__(self) -> str:
        return f"{self.message} [{self.problem}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return _data_error, (self.problem, self.detail, self.file, self.row, self.code)


def _data_error(problem: Problem, detail: str, file: Path | None, row: int | None, code: Code) -> DataError:
    """Rebuild the exception on the other side of a process."""
    return DataError(problem, detail, file=file, row=row, code=code)
