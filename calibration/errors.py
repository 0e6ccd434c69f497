"""What goes wrong between a graph and a sealed bundle."""

from __future__ import annotations

import enum
from typing import Any

from cxredge.errors import Code, CxredgeError

__all__ = ["CalibrationError", "Problem"]


class Problem(enum.StrEnum):
    """Which step failed; a program matches on this."""

    CASES = "cases"  # the table of labelled images cannot be used for this
    LEAK = "leak"  # a patient of the cases trained or calibrated the graph
    QUANTISE = "quantise"  # no INT8 graph can be made
    GATE = "gate"  # a variant answers too differently, or cannot run
    MACHINE = "machine"  # this processor does not compute it
    SCORES = "scores"  # a file of scores, thresholds or a gate report is not one, or of another graph
    KEY = "key"  # a key cannot be made or used
    SEAL = "seal"  # the parts do not make a bundle


class CalibrationError(CxredgeError):
    """What was wrong, and what to do, in one line.

    Attributes:
        problem: match on this.
    """

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(Code.BAD_ARGUMENT, detail)
        self.problem = problem

    @property
    def message(self) -> str:
        """The detail: it says what to do by itself."""
        return self.detail

    def __str__(self) -> str:
        return f"{self.message} [{self.problem}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return CalibrationError, (self.problem, self.detail)
