"""Retention: what every destination has goes after its days, and nothing else ever does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cxredge.node.config import NodeConfig
from cxredge.node.database import Database
from cxredge.node.events import Event, Watch
from cxredge.node.spool import Spool

__all__ = ["Retired", "Retirement"]

_EVERY = 600.0
_EVERY_WHILE_PRESSED = 30.0
_AT_ONCE = 100
_DAY = 86400.0

# An image is done with when nobody will look at its file again: analysed (or dropped by a person), and no destination
# waits. Parked images wait for a person, so they are not. Its days begin with the last delivery.
_DONE = "state in ('analysed', 'abstained', 'ignored', 'dropped')"
_SINCE = (
    "finished < :before and not exists (select 1 from deliveries d where d.image = images.id"
    " and (d.state = 'waiting' or d.finished >= :before))"
)
# Where the disk is nearly full, days count no more; but only what has arrived everywhere may go then.
_ALL_ARRIVED = (
    "state in ('analysed', 'abstained', 'ignored')"
    " and not exists (select 1 from deliveries d where d.image = images.id and d.state <> 'sent')"
)


@dataclass(frozen=True, slots=True)
class Retired:
    """How much went: image files, folders of results, rows."""

    images: int = 0
    results: int = 0
    rows: int = 0

    def __add__(self, other: Retired) -> Retired:
        return Retired(self.images + other.images, self.results + other.results, self.rows + other.rows)


class Retirement:
    """A thread that looks every ten minutes; every half minute while the disk is nearly full."""

    def __init__(self, config: NodeConfig, spool: Spool, database: Database, watch: Watch) -> None:
        self._days = config.retention
        self._room = config.limits.free_disk_mb << 20
        self._spool = spool
        self._database = database
        self._watch = watch
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retirement", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End; what is under way is a matter of moments."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def look(self) -> Retired:
        """Remove what has had its days, the oldest first."""
        retired = Retired(
            images=self._all(self._images, _DONE, self._days.images_days),
            results=self._all(self._results, _DONE, self._days.results_days),
            rows=self._all(self._rows, _DONE, self._days.rows_days),
        )
        if self._pressed():
            retired += Retired(images=self._all(self._images, _ALL_ARRIVED, 0.0, self._pressed))
        if self._pressed():
            retired += Retired(results=self._all(self._results, _ALL_ARRIVED, 0.0, self._pressed))
        return retired

    def _run(self) -> None:
        while True:
            try:
                retired = self.look()
                if retired != Retired():
                    self._watch(Event.RETIRED, images=retired.images, results=retired.results, rows=retired.rows)
                pause = _EVERY_WHILE_PRESSED if self._pressed() else _EVERY
            except Exception as error:  # a table that is locked, a disk that fails: the next look may do better
                self._watch(Event.FAILED, code=type(error).__name__)
                pause = _EVERY_WHILE_PRESSED
            if self._stopping.wait(pause):
                return

    def _pressed(self) -> bool:
        """Whether the disk is near the point where no image is accepted any more."""
        return self._spool.free_bytes() < 2 * self._room

    def _all(
        self,
        remove: Callable[[str, float], int],
        which: str,
        days: float,
        go_on: Callable[[], bool] = lambda: True,
    ) -> int:
        """Few at a time, so that receiving never waits long for the tables."""
        before, total = time.time() - days * _DAY, 0
        while not self._stopping.is_set() and go_on():
            removed = remove(which, before)
            total += removed
            if removed < _AT_ONCE:
                break
        return total

    def _images(self, which: str, before: float) -> int:
        """The row first: whoever asks for another try from then on is told that the file is gone."""
        chosen = self._marked("kept", which, before)
        for identifier in chosen:
            self._spool.forget_image(identifier)
        return len(chosen)

    def _results(self, which: str, before: float) -> int:
        chosen = self._marked("results", which, before)
        for identifier in chosen:
            self._spool.forget_results(identifier)
        return len(chosen)

    def _marked(self, column: str, which: str, before: float) -> list[str]:
        # The words are this file's own, the numbers are bound.
        query = (
            f"update images set {column} = 0 where id in (select id from images where {column}"  # noqa: S608
            f" and {which} and {_SINCE} order by finished limit {_AT_ONCE}) returning id"
        )
        with self._database.change() as cursor:
            return [row["id"] for row in cursor.execute(query, {"before": before}).fetchall()]

    def _rows(self, which: str, before: float) -> int:
        """The files were removed before; where the node was killed in between, they go now."""
        query = (
            "delete from images where id in (select id from images where not kept and not results"  # noqa: S608
            f" and {which} and {_SINCE} limit {_AT_ONCE}) returning id"
        )
        with self._database.change() as cursor:
            gone = [row["id"] for row in cursor.execute(query, {"before": before}).fetchall()]
        for identifier in gone:
            self._spool.forget_image(identifier)
            self._spool.forget_results(identifier)
        return len(gone)
