"""The received images: one row each, from the moment that success is answered until its results are delivered."""

from __future__ import annotations

import enum
import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from cxredge.node.database import Database

__all__ = ["Arrival", "Image", "Images", "State"]

MOST_ATTEMPTS = 2
"""An image that ends a worker is tried once more, then parked."""


class State(enum.StrEnum):
    """Where an image stands."""

    QUEUED = "queued"
    RUNNING = "running"
    ANALYSED = "analysed"
    ABSTAINED = "abstained"  # analysed too: the report says why there are no findings
    IGNORED = "ignored"  # nothing may be filed beside it: a result of cxredge, no radiograph
    PARKED = "parked"  # it failed; it waits for a person
    DROPPED = "dropped"  # a person gave it up


_SAME = "from images where sop_instance_uid = ? and sha256 = ? order by kept desc, received desc limit 1"
FINISHED = (State.ANALYSED, State.ABSTAINED, State.IGNORED)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An instance whose file is on disk."""

    id: str
    sop_instance_uid: str
    sop_class_uid: str
    sha256: str
    bytes: int
    sender: str
    stat: bool = False
    ignored: str | None = None  # the code of why it shall not be analysed


@dataclass(frozen=True, slots=True)
class Image:
    """A row. `code` and `reason` say why it was abstained on or parked."""

    id: str
    sop_instance_uid: str
    sop_class_uid: str
    sha256: str
    bytes: int
    sender: str
    stat: bool
    received: float
    state: State
    attempts: int
    code: str | None
    reason: str | None
    finished: float | None
    kept: bool
    results: bool


class Images:
    """The table of images."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, arrival: Arrival) -> bool:
        """Enter an instance; on disk when this returns.

        A sender that got no answer sends again. The same bytes of the same instance are one image: False is returned,
        the new file may go, and if the first one was parked or dropped it has its turn again.
        """
        now = time.time()
        with self._database.change() as cursor:
            known = cursor.execute(
                f"select id, state, kept {_SAME}", (arrival.sop_instance_uid, arrival.sha256)
            ).fetchone()
            if known and known["kept"]:
                if known["state"] in (State.PARKED, State.DROPPED):
                    _requeue(cursor, known["id"])
                return False
            if known and known["state"] in FINISHED:
                return False
            cursor.execute(
                "insert into images (id, sop_instance_uid, sop_class_uid, sha256, bytes, sender, urgency, received,"
                " state, code, finished) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    arrival.id,
                    arrival.sop_instance_uid,
                    arrival.sop_class_uid,
                    arrival.sha256,
                    arrival.bytes,
                    arrival.sender,
                    0 if arrival.stat else 1,
                    now,
                    State.IGNORED if arrival.ignored else State.QUEUED,
                    arrival.ignored,
                    now if arrival.ignored else None,
                ),
            )
            return True

    def take(self) -> Image | None:
        """The next image for a worker: stat before routine, then by arrival. It is RUNNING from here on."""
        with self._database.change() as cursor:
            row = cursor.execute(
                "select * from images where state = ? order by urgency, received limit 1", (State.QUEUED,)
            ).fetchone()
            if row is None:
                return None
            cursor.execute(
                "update images set state = ?, attempts = attempts + 1 where id = ?", (State.RUNNING, row["id"])
            )
            return _image(row)

    def finish(
        self,
        identifier: str,
        state: State,
        destinations: Iterable[str],
        *,
        code: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Its results lie in the spool (`destinations` is empty where there are none): deliver them from now on."""
        now = time.time()
        with self._database.change() as cursor:
            places = list(destinations)
            cursor.execute(
                "update images set state = ?, code = ?, reason = ?, finished = ?, results = ? where id = ?",
                (state, code, reason, now, int(bool(places)), identifier),
            )
            cursor.executemany(
                "insert or ignore into deliveries (image, destination, state, due) values (?, ?, 'waiting', ?)",
                [(identifier, place, now) for place in places],
            )

    def fail(self, identifier: str, code: str, reason: str, *, again: bool = True) -> State:
        """It could not be analysed: once more later, or parked, with why. Says which."""
        with self._database.change() as cursor:
            tried = cursor.execute("select attempts from images where id = ?", (identifier,)).fetchone()["attempts"]
            state = State.QUEUED if again and tried < MOST_ATTEMPTS else State.PARKED
            cursor.execute(
                "update images set state = ?, code = ?, reason = ?, finished = ? where id = ?",
                (state, code, reason, None if state == State.QUEUED else time.time(), identifier),
            )
            return state

    def give_back(self, identifiers: Iterable[str] | None = None) -> int:
        """Images whose worker was stopped through no fault of theirs have their turn again, and keep their attempts.

        Args:
            identifiers: which; None for all that run, as a starting node finds them. Says how many.
        """
        with self._database.change() as cursor:
            which = [(one,) for one in identifiers] if identifiers is not None else None
            update = "update images set state = 'queued', attempts = max(attempts - 1, 0) where state = 'running'"
            cursor.execute(update) if which is None else cursor.executemany(f"{update} and id = ?", which)
            return cursor.rowcount

    def retry(self, identifier: str) -> bool:
        """Give a parked or dropped image its turn again; False where it is neither, or its file is gone."""
        with self._database.change() as cursor:
            row = cursor.execute("select state, kept from images where id = ?", (identifier,)).fetchone()
            if row is None or not row["kept"] or row["state"] not in (State.PARKED, State.DROPPED):
                return False
            _requeue(cursor, identifier)
            return True

    def drop(self, identifier: str) -> bool:
        """Give up an image that is queued or parked; its file goes by retention. False where it is neither."""
        with self._database.change() as cursor:
            cursor.execute(
                "update images set state = 'dropped', finished = ? where id = ? and state in ('queued', 'parked')",
                (time.time(), identifier),
            )
            return cursor.rowcount == 1

    def same(self, sop_instance_uid: str, sha256: str) -> Image | None:
        """The row that `add` found for these bytes of this instance."""
        rows = self._database.rows(f"select * {_SAME}", (sop_instance_uid, sha256))
        return _image(rows[0]) if rows else None

    def get(self, identifier: str) -> Image | None:
        """One row."""
        rows = self._database.rows("select * from images where id = ?", (identifier,))
        return _image(rows[0]) if rows else None

    def list(self, states: Iterable[State] = tuple(State), limit: int = 100) -> list[Image]:
        """The rows in these states, the next in turn first."""
        query = (
            "select * from images where state in (select value from json_each(?)) order by urgency, received limit ?"
        )
        return [_image(row) for row in self._database.rows(query, (json.dumps(list(states)), limit))]

    def counts(self) -> dict[State, int]:
        """How many images are in each state."""
        rows = self._database.rows("select state, count(*) as images from images group by state")
        return {State(row["state"]): row["images"] for row in rows}

    def oldest_wait(self) -> float:
        """Seconds that the oldest queued image has waited; 0 where none waits."""
        row = self._database.rows("select min(received) as first from images where state = 'queued'")[0]
        return 0.0 if row["first"] is None else max(0.0, time.time() - row["first"])

    def known(self) -> set[str]:
        """The identifiers of all images whose file is kept."""
        return {row["id"] for row in self._database.rows("select id from images where kept")}


def _requeue(cursor: sqlite3.Cursor, identifier: str) -> None:
    cursor.execute(
        "update images set state = 'queued', attempts = 0, code = null, reason = null, finished = null where id = ?",
        (identifier,),
    )


def _image(row: sqlite3.Row) -> Image:
    values = dict(row)
    changed = {"state": State(values["state"]), "kept": bool(values["kept"]), "results": bool(values["results"])}
    return Image(stat=values.pop("urgency") == 0, **{**values, **changed})
