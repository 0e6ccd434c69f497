"""What goes wrong on the way from a checkpoint to a graph and to an engine."""

from __future__ import annotations

import enum
from typing import Any

from cxredge.errors import Code, CxredgeError

__all__ = ["ExportError", "Problem"]


class Problem(enum.StrEnum):
    """Which step failed; a program matches on this."""

    EXPORT = "export"  # the network could not be traced
    GRAPH = "graph"  # a file is no graph with the face that every method has
    PARITY = "parity"  # the graph does not answer as the network does
    MEMORY = "memory"  # there was not enough
    COMPILE = "compile"  # an engine could not make its own form of the graph
    LABELS = "labels"  # published weights do not know all fourteen findings
    WEIGHTS = "weights"  # published weights of another layout


class ExportError(CxredgeError):
    """Nothing was written: what was wrong, and what to do, in one line.

    Attributes:
        problem: match on this.
        code: the runtime's code, where an engine gave one.
    """

    def __init__(self, problem: Problem, detail: str, *, code: Code = Code.BAD_ARGUMENT) -> None:
        super().__init__(code, detail)
        self.problem = problem

    @property
    def message(self) -> str:
        """The detail: it says what to do by itself."""
        return self.detail

    def __str__(self) -> str:
        return f"{self.message} [{self.problem}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return _export_error, (self.problem, self.detail, self.code)


def _export_error(problem: Problem, detail: str, code: Code) -> ExportError:
    """Rebuild the exception on the other side of a process."""
    return ExportError(problem, detail, code=code)
