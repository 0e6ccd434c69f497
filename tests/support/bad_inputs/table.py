"""What a row of the table of bad inputs is: how the file is made, and its one right answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from cxredge.errors import Code

__all__ = ["Answer", "BadInput", "Group", "abstained", "error", "ok", "same"]

Status = Literal["ok", "abstained", "error"]
Maker = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """The one right answer.

    Attributes:
        status: of the result.
        reason: the code, where there is no result.
        warnings: exactly these come with it.
        score: "same": the probabilities are the good film's within 1e-4; "own": they are not; None: not compared.
        anonymous: whether the result must name no SOP Instance UID.
    """

    status: Status
    reason: Code | None = None
    warnings: frozenset[Code] = frozenset()
    score: Literal["same", "own"] | None = None
    anonymous: bool = False


def ok(*warnings: Code, own: bool = False, anonymous: bool = False) -> Answer:
    """A result with these warnings; `own`: its probabilities have to differ from the good film's."""
    return Answer("ok", None, frozenset(warnings), "own" if own else None, anonymous)


def same(*warnings: Code, anonymous: bool = False) -> Answer:
    """The good film's own result, with these warnings."""
    return Answer("ok", None, frozenset(warnings), "same", anonymous)


def abstained(reason: Code, *warnings: Code) -> Answer:
    """No result, for a reason in what the image is."""
    return Answer("abstained", reason, frozenset(warnings))


def error(reason: Code, *warnings: Code) -> Answer:
    """No result, for a fault of the file."""
    return Answer("error", reason, frozenset(warnings))


@dataclass(frozen=True, slots=True)
class BadInput:
    """One row.

    Attributes:
        name: of the file, and of its tests.
        what: for a reader.
        make: gives the file's bytes.
        answer: the right one.
        real: ask the embedded bundle, as the score or its gate matters; else the tiny one, which is quick.
    """

    name: str
    what: str
    make: Maker
    answer: Answer
    real: bool = False


@dataclass(slots=True)
class Group:
    """Rows that belong together, under a title."""

    title: str
    rows: list[BadInput] = field(default_factory=list)

    def case(self, what: str, answer: Answer, *, real: bool = False) -> Callable[[Maker], Maker]:
        """Make a row of a function that gives a file's bytes; the row has the function's name."""

        def add(make: Maker) -> Maker:
            self.add(make.__name__.strip("_"), what, answer, make, real=real)
            return make

        return add

    def add(self, name: str, what: str, answer: Answer, make: Maker, *, real: bool = False) -> None:
        """A row."""
        self.rows.append(BadInput(name, what, make, answer, real))
