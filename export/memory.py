"""Memory that ran out, told as such: torch raises a plain RuntimeError, and each engine what it likes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from cxredge.errors import Code
from export.errors import ExportError, Problem

__all__ = ["memory_told", "out_of_memory"]

_MEMORY = re.compile(
    r"bad.?alloc|std::bad_array_new_length|can(?:no|')t allocate|failed to (?:allocate|map)"
    r"|(?:out.?of|not enough).?memory",
    re.I,
)


def out_of_memory(text: str) -> bool:
    """Whether a message or a log tells of memory that could not be had."""
    return _MEMORY.search(text) is not None


@contextmanager
def memory_told(doing: str) -> Iterator[None]:
    """Give memory that runs out inside its own code.

    Args:
        doing: what needed it, in words.

    Raises:
        ExportError: MEMORY, with the code OUT_OF_MEMORY.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not out_of_memory(str(error)):
            raise
        detail = f"not written: memory ran out while {doing}: close programs, or take a machine with more"
        raise ExportError(Problem.MEMORY, detail, code=Code.OUT_OF_MEMORY) from error
