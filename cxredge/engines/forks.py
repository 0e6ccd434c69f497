"""What becomes of an open engine where its process forks.

A fork copies the memory of a process and one of its threads. The copy of an engine lacks the threads that it waits for:
to run it hangs (OpenVINO), and to free it may (ONNX Runtime). So in the child every open session is lost: it refuses to
run, and what it held stays where it is until the child ends.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["watch"]


class Losable(Protocol):
    """A session that can be lost."""

    def lose(self) -> object:
        """Refuse every later call; returns what must never be freed."""


_OPEN: weakref.WeakSet[Losable] = weakref.WeakSet()


def watch(session: Losable) -> None:
    """Lose this session in every process that is forked while it is there."""
    _OPEN.add(session)


def _in_child() -> None:
    import ctypes

    for session in list(_OPEN):
        # Held for ever: a list of ours would be freed when the interpreter ends, and what it holds with it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session.lose()))
    _OPEN.clear()


if hasattr(os, "register_at_fork"):  # systems that can fork
    os.register_at_fork(after_in_child=_in_child)
