"""What becomes of an open engine where its process forks.

A fork copies the memory of a process and one of its threads. The copy of an engine lacks the threads that it waits for:
to run it hangs (OpenVINO), and to free it may (ONNX Runtime). So in the child every open session is lost: it refuses to
run, and what it held stays where it is until the child ends. So does what the parent had thrown away and not freed
yet: an engine may be among it, and the child's collector would free it there.

It also copies the locks that other threads hold in a vendor's library at that instant, and nobody ever opens those: a
child that was forked while OpenVINO ran could not even load an engine of its own. So a fork waits until no engine is
opened, run or closed, and those wait until it is done.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

__all__ = ["running", "watch"]

PATIENCE = 5.0
"""Seconds that a fork waits for such calls at most: an engine that hangs must not hold up whoever would end it."""
REST = 1.0
"""Seconds after a call in which a vendor's own threads may still be on their way to sleep."""
CALM = 2.0
"""Seconds that a fork waits for those at most: foreign threads that never sleep must not hold it up for long."""
QUIET = 0.02
"""Seconds without a move of theirs after which they sleep."""
STEP = 0.002
"""Seconds between two looks at them."""


class Losable(Protocol):
    """A session that can be lost."""

    def lose(self) -> object:
        """Refuse every later call; returns what must never be freed."""


_OPEN: weakref.WeakSet[Losable] = weakref.WeakSet()


def watch(session: Losable) -> None:
    """Lose this session in every process that is forked while it is there."""
    _OPEN.add(session)


class _Runs:
    """Calls into all engines of this process: none begins while it forks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._going, self._forking, self._ended = 0, 0, 0.0

    def begin(self) -> None:
        with self._changed:
            while self._forking:
                self._changed.wait()
            self._going += 1

    def end(self) -> None:
        with self._changed:
            self._going -= 1
            self._ended = time.monotonic()
            if self._forking:
                self._changed.notify_all()

    def before_fork(self) -> None:
        with self._changed:
            self._forking += 1
            self._changed.wait_for(lambda: not self._going, PATIENCE)
            recent = time.monotonic() < self._ended + REST
        if recent:
            _until_others_sleep()

    def after_fork(self) -> None:
        with self._changed:
            self._forking -= 1
            self._changed.notify_all()


_runs = _Runs()


def _until_others_sleep() -> None:
    """Until no vendor's thread of this process has moved for QUIET, or CALM is over."""
    end, seen, since = time.monotonic() + CALM, None, time.monotonic()
    while (now := time.monotonic()) < end:
        before, seen = seen, _asleep()
        if seen is None or seen != before:
            since = now
        elif now - since >= QUIET:
            return
        time.sleep(STEP)


def _asleep() -> dict[str, bytes] | None:
    """How often each vendor's thread has gone to sleep by now, by proc(5); None where one is awake or held up.

    One that is held up (by a page that is read, say) holds its locks like one that runs. Threads of Python are left
    out: none of them is in an engine now, and on a busy machine one of them always runs. Where there is no such
    folder, none is known to be awake.
    """
    ours = {str(thread.native_id) for thread in threading.enumerate()}
    slept = {}
    for task in Path("/proc/self/task").glob("[0-9]*"):
        if task.name in ours:
            continue
        try:
            told = (task / "status").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if _field(told, b"State:")[:1] not in (b"S", b"Z", b"X"):
            return None
        slept[task.name] = _field(told, b"\nvoluntary_ctxt_switches:")
    return slept


def _field(told: bytes, name: bytes) -> bytes:
    """The first word behind a name."""
    return (told.partition(name)[2].split(maxsplit=1) or [b""])[0]


@contextmanager
def running() -> Iterator[None]:
    """Around every call that opens, runs or closes an engine: waits for a fork, and a fork waits for it."""
    runs = _runs
    runs.begin()
    try:
        yield
    finally:
        runs.end()


def _in_child() -> None:
    import ctypes
    import gc

    gc.freeze()
    global _runs  # those that were going on are the parent's, and so may be the lock
    _runs = _Runs()
    for session in list(_OPEN):
        # Held for ever: a list of ours would be freed when the interpreter ends, and what it holds with it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session.lose()))
    _OPEN.clear()


if hasattr(os, "register_at_fork"):  # systems that can fork
    os.register_at_fork(
        before=lambda: _runs.before_fork(), after_in_parent=lambda: _runs.after_fork(), after_in_child=_in_child
    )
