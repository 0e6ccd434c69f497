"""The node's log: a JSON object a line, about images by the node's own identifiers, never about patients."""

from __future__ import annotations

import json
import logging
import queue
import re
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import IO

from cxredge.node.events import Event, Fact, Watch

__all__ = ["Logs", "level_of", "own_last_words", "silence_libraries"]

_ERRORS = frozenset({Event.PARKED, Event.GIVEN_UP, Event.FAILED})
_WARNINGS = frozenset(
    {Event.CONNECTION_REFUSED, Event.STORE_REFUSED, Event.RETRIED, Event.WORKER_ENDED, Event.SEND_FAILED}
)
_BY_STRANGERS = frozenset({Event.CONNECTION_REFUSED, Event.ASSOCIATION_ENDED, Event.STORE_REFUSED, Event.KNOWN})
"""Whoever reaches the port can cause these at will, and must not fill the disk that images are written to."""
_WINDOW_SECONDS, _LINES_A_WINDOW = 10.0, 50

# Facts are configured names, codes and identifiers of ours: anything else is a defect, and is not written.
_PLAIN = re.compile(r"[ -~]{1,64}")
_UID = re.compile(r"[0-2](\.[0-9]+){4,}")


def level_of(event: Event, facts: dict[str, Fact]) -> str:
    """`error` asks for a person, `warning` for a look, `info` for nothing."""
    if event in _ERRORS:
        return "error"
    return "warning" if event in _WARNINGS and facts.get("code") != "stopped" else "info"


class Logs:
    """A Watch that writes lines from a thread of its own: a slow reader of the log holds up nobody."""

    LONGEST = 10_000
    """Lines that may wait; what comes beyond is counted, and the count is said."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._lines: queue.Queue[str | None] = queue.Queue(self.LONGEST)
        self._lock = threading.Lock()
        self._unsaid = 0
        self._windows: dict[Event, tuple[float, int]] = {}
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def __call__(self, event: Event, **facts: Fact) -> None:
        """Write a line, soon."""
        with self._lock:
            if not self._has_room(event):
                self._unsaid += 1
                return
            try:
                self._lines.put_nowait(_line(event, facts, self._unsaid))
                self._unsaid = 0
            except queue.Full:
                self._unsaid += 1

    def _has_room(self, event: Event) -> bool:
        if event not in _BY_STRANGERS:
            return True
        began, lines = self._windows.get(event, (float("-inf"), 0))
        now = time.monotonic()
        if now - began > _WINDOW_SECONDS:
            began, lines = now, 0
        self._windows[event] = (began, lines + 1)
        return lines < _LINES_A_WINDOW

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            with suppress(OSError, ValueError):  # nobody listens, or the stream is closed: the node goes on
                self._stream.write(line)
                if self._lines.empty():
                    self._stream.flush()

    def close(self, seconds: float = 2.0) -> None:
        """Write what waits, as far as the reader lets it within this time."""
        with suppress(queue.Full):
            self._lines.put(None, timeout=seconds)
        self._thread.join(seconds)


def _line(event: Event, facts: dict[str, Fact], unsaid: int) -> str:
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry: dict[str, Fact] = {"time": moment, "level": level_of(event, facts), "event": str(event)}
    entry |= {name: _plain(value) for name, value in facts.items()}
    if unsaid:
        entry["lines_left_out"] = unsaid
    return json.dumps(entry) + "\n"


def _plain(value: Fact) -> Fact:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6) if value == value and abs(value) != float("inf") else 0.0
    text = str(value)
    return text if _PLAIN.fullmatch(text) and not _UID.fullmatch(text) else "?"


def silence_libraries() -> None:
    """Pynetdicom and pydicom log what peers and files say: AE titles, identifiers, values. All that matters is ours."""
    for name in ("pynetdicom", "pydicom", "highdicom"):
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)


def own_last_words(watch: Watch) -> None:
    """An exception that nobody caught is told by its type alone: its text and its frames may quote a file."""

    def told(kind: type[BaseException] | None) -> None:
        watch(Event.FAILED, code=kind.__name__ if kind is not None else "unknown")

    def of_process(kind: type[BaseException], _: BaseException, __: TracebackType | None) -> None:
        told(kind)

    def of_thread(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_type is not SystemExit:
            told(arguments.exc_type)

    sys.excepthook = of_process
    threading.excepthook = of_thread
    sys.unraisablehook = lambda unraisable: told(unraisable.exc_type)
