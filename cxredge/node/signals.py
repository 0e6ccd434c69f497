"""SIGTERM and SIGINT as something a main thread can wait for."""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress
from types import FrameType

__all__ = ["StopSignals"]

EXIT_AT_ONCE = 1


class StopSignals:
    """The first asks to end well, a second ends the process at once.

    A socket and not an event: setting an event in a handler can wait for a lock that the interrupted code holds.
    """

    def __init__(self) -> None:
        """Take over both signals; in the main thread only."""
        self._end, self._handler_end = socket.socketpair()
        self._handler_end.setblocking(False)
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heard)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            os._exit(EXIT_AT_ONCE)  # all that must last is on disk; nothing waits for anything
        self.asked = True
        with suppress(OSError):
            self._handler_end.send(b"!")

    def wait(self, seconds: float) -> bool:
        """Wait so long at most; whether the end was asked for."""
        if not self.asked:
            select.select([self._end], [], [], seconds)
        return self.asked
