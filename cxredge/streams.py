"""The way that many inputs take: one thread a run, and as many runs at once as there are cores.

One run on all cores is what a single image wants. Many images are through sooner when each core has one of its own: no
core waits for another within a run, and reading, decoding and deciding fill what gaps there are.
"""

from __future__ import annotations

import logging
import operator
import threading
from collections.abc import Callable, Iterable
from typing import Any

from cxredge.engines.base import EngineRequest, Graph, Session, usable_cores
from cxredge.engines.opening import open_session
from cxredge.errors import CxredgeError

__all__ = ["FEWEST", "Streams", "streams_for"]

_LOG = logging.getLogger("cxredge.engines")
FEWEST = 16
"""From so many inputs on a second session is worth what opening it takes."""


class Streams:
    """A second session, opened when it is first needed; safe to use from several threads."""

    def __init__(self, opening: Callable[[], Session], count: int) -> None:
        """How to open it, and how many runs at once it is for."""
        self.count = count
        self._opening = opening
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._failed = False

    def for_inputs(self, sources: Iterable[Any]) -> Session | None:
        """The session, where there are enough inputs; None where one after another is better or all that there is."""
        if operator.length_hint(sources, 0) < FEWEST:
            return None
        with self._lock:
            if self._session is None and not self._failed:
                self._session = self._open()
            return self._session

    def _open(self) -> Session | None:
        """What runs is the same engine at the same precision either way, so a failure costs speed and nothing else."""
        try:
            return self._opening()
        except CxredgeError as error:
            self._failed = True
            _LOG.warning("images are run one at a time: no session for %d at once (%s)", self.count, error.code)
            return None

    def close(self) -> None:
        """Give its memory back, if it was opened."""
        with self._lock:
            session, self._session, self._failed = self._session, None, True
        if session is not None:
            session.close()


def streams_for(asked: EngineRequest, graph: Graph, chosen: EngineRequest, running: Session) -> Streams | None:
    """Streams beside a running session; None where they would not help.

    A processor with several cores gains, unless the user said how many threads to take.
    """
    cores = usable_cores()
    if asked.threads is not None or running.info.device != "cpu" or cores < 2:
        return None
    request = EngineRequest(chosen.engine, "cpu", chosen.precision, threads=1, streams=cores)
    return Streams(lambda: open_session(graph, request), cores)
