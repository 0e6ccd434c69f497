"""What goes wrong in the training workbench: the runtime's codes, and exceptions that say which part failed."""

from __future__ import annotations

from cxredge.errors import Code, CxredgeError, UsageError

__all__ = ["WeightsError", "bad"]


class WeightsError(CxredgeError):
    """A file of weights cannot be read, or is not one for this network."""


def bad(detail: str) -> UsageError:
    """The exception for an argument or an option that is not usable; the caller raises it."""
    return UsageError(Code.BAD_ARGUMENT, detail)
