"""What goes wrong in the training workbench: the runtime's codes, and exceptions that say which part failed."""

from __future__ import annotations

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
