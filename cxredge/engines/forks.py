"""What becomes of engines where their process forks.

A fork copies the memory of a process and one of its threads. The copy of a session lacks the threads that it waits
for: to run it hangs (OpenVINO), and to free it may (ONNX Runtime). So in the child every open session is lost: it
refuses to run, and what it held stays where it is until the child ends. So does what the parent had thrown away and not
freed yet: a session may be among it, and the child's collector would free it there.

Some libraries keep threads, or a device, for the whole process, and give them to the next session: OpenVINO hands a
child's first graph to threads that only its parent has, whether or not the parent closed what it had opened. Such an
engine is lost as a whole to whatever is forked after it was at work, which takes another one.

A fork also copies the locks that other threads hold in a vendor's library at that instant, and nobody ever opens those.
So it waits until no session is opened, run or closed, and those wait until it is done.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["at_work", "lost", "running", "watch"]

PATIENCE = 5.0
"""Seconds that a fork waits for such calls at most: an engine that hangs must not hold up whoever would end it."""


class Losable(Protocol):
    """A session that can be lost."""

    def lose(self) -> object:
        """Refuse every later call; returns what must never be freed."""


_OPEN: weakref.WeakSet[Losable] = weakref.WeakSet()
_AT_WORK: dict[str, object] = {}
_LOST: set[str] = set()


def watch(session: Losable) -> None:
    """Lose this session in every process that is forked while it is there."""
    _OPEN.add(session)


def at_work(engine: str, library: object = None) -> None:
    """Lose this engine in every process that is forked from now on, where what stands for its library is not freed."""
    _AT_WORK[engine] = library


def lost(engine: str) -> bool:
    """Whether an engine cannot be used because it was at work before this process was forked."""
    return engine in _LOST


class _Runs:
    """Calls into all engines of this process: none begins while it forks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._going, self._forking = 0, 0

    def begin(self) -> None:
        with self._changed:
            while self._forking:
                self._changed.wait()
            self._going += 1

    def end(self) -> None:
        with self._changed:
            self._going -= 1
            if self._forking:
                self._changed.notify_all()

    def before_fork(self) -> None:
        with self._changed:
            self._forking += 1
            self._changed.wait_for(lambda: not self._going, PATIENCE)

    def after_fork(self) -> None:
        with self._changed:
            self._forking -= 1
            self._changed.notify_all()


_runs = _Runs()


@contextmanager
def running() -> Iterator[None]:
    """Around every call that opens, runs or closes a session: waits for a fork, and a fork waits for it."""
    runs = _runs
    runs.begin()
    try:
        yield
    finally:
        runs.end()


def _in_child() -> None:
    import gc

    gc.freeze()
    global _runs  # those that were going on are the parent's, and so may be the lock
    _runs = _Runs()
    for session in list(_OPEN):
        _keep(session.lose())
    _OPEN.clear()
    for library in _AT_WORK.values():
        _keep(library)
    _LOST.update(_AT_WORK)
    _AT_WORK.clear()


def _keep(what: object) -> None:
    """Never free it: a list of ours would be freed when the interpreter ends, and what it holds with it."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(what))


if hasattr(os, "register_at_fork"):  # systems that can fork
    os.register_at_fork(
        before=lambda: _runs.before_fork(), after_in_parent=lambda: _runs.after_fork(), after_in_child=_in_child
    )
