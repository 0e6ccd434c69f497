"""One node a spool: two would send everything twice and sweep each other's half-received files."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from cxredge.errors import Code, CxredgeError

__all__ = ["SpoolLock"]


class SpoolLock:
    """Held from its making to its end, by the system: a crash releases it too, and no stale file can keep it."""

    def __init__(self, folder: Path) -> None:
        """Take it.

        Raises:
            CxredgeError: SPOOL_BUSY where another process holds it, SPOOL_UNUSABLE where it cannot be made.
        """
        path = folder / "node.lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # not inherited by workers (PEP 446)
        except OSError as error:
            raise CxredgeError(Code.SPOOL_UNUSABLE, f"{path}: {error.strerror}") from error
        try:
            _take(self._descriptor)
        except OSError:
            os.close(self._descriptor)
            raise CxredgeError(Code.SPOOL_BUSY, str(folder)) from None

    def release(self) -> None:
        """Let another have it."""
        with suppress(OSError):
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.release()


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
