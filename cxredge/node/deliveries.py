"""What each destination still has to get: a row an image and destination, until it was sent or given up."""

from __future__ import annotations

import enum
import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass

from cxredge.node.database import Database

__all__ = ["Deliveries", "Delivery", "State"]


class State(enum.StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row: all results of one image, for one destination."""

    image: str
    destination: str
    state: State
    attempts: int
    due: float
    first_tried: float | None
    reason: str | None
    finished: float | None


class Deliveries:
    """The table of deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, destination: str, limit: int = 1) -> list[Delivery]:
        """What may be tried now: results of stat images first, then those that have waited longest."""
        query = (
            "select d.* from deliveries d join images i on i.id = d.image"
            " where d.destination = ? and d.state = 'waiting' and d.due <= ? order by i.urgency, i.received limit ?"
        )
        return [_delivery(row) for row in self._database.rows(query, (destination, time.time(), limit))]

    def sent(self, delivery: Delivery) -> None:
        """The destination has answered that it has them all."""
        self._finish(delivery, State.SENT, None)

    def give_up(self, delivery: Delivery, reason: str) -> None:
        """Nobody will try again but by `retry`."""
        self._finish(delivery, State.GIVEN_UP, reason)

    def again(self, delivery: Delivery, reason: str, pause: float) -> None:
        """It failed; try again after so many seconds."""
        now = time.time()
        with self._database.change() as cursor:
            cursor.execute(
                "update deliveries set attempts = attempts + 1, due = ?, first_tried = coalesce(first_tried, ?),"
                " reason = ? where image = ? and destination = ?",
                (now + pause, now, reason, delivery.image, delivery.destination),
            )

    def down(self, destination: str) -> None:
        """The destination does not answer: the time after which deliveries are given up begins for all that wait."""
        with self._database.change() as cursor:
            cursor.execute(
                "update deliveries set first_tried = ? where destination = ? and state = 'waiting'"
                " and first_tried is null",
                (time.time(), destination),
            )

    def expire(self, destination: str, hours: float) -> list[str]:
        """Give up what was first tried so long ago; the images, for whoever tells of it."""
        now = time.time()
        with self._database.change() as cursor:
            rows = cursor.execute(
                "update deliveries set state = 'given_up', finished = ? where destination = ? and state = 'waiting'"
                " and first_tried < ? returning image",
                (now, destination, now - hours * 3600),
            ).fetchall()
            return [row["image"] for row in rows]

    def orphaned(self, destinations: Iterable[str]) -> list[Delivery]:
        """Give up what waits for any destination but these, as nobody serves it; what was given up."""
        with self._database.change() as cursor:
            rows = cursor.execute(
                "update deliveries set state = 'given_up', finished = ?, reason = 'no longer a destination of the node'"
                " where state = 'waiting' and destination not in (select value from json_each(?)) returning *",
                (time.time(), json.dumps(list(destinations))),
            ).fetchall()
            return [_delivery(row) for row in rows]

    def retry(self, image: str) -> int:
        """Make all of an image's deliveries that are not sent due now; says how many.

        None where retention has removed the results.
        """
        with self._database.change() as cursor:
            cursor.execute(
                "update deliveries set state = 'waiting', due = 0, first_tried = null, finished = null"
                " where image = ? and state <> 'sent'"
                " and exists (select 1 from images where id = image and results)",
                (image,),
            )
            return cursor.rowcount

    def drop(self, image: str) -> int:
        """Give up what waits of an image, by a person's decision; says how many."""
        with self._database.change() as cursor:
            cursor.execute(
                "update deliveries set state = 'given_up', reason = 'dropped', finished = ?"
                " where image = ? and state = 'waiting'",
                (time.time(), image),
            )
            return cursor.rowcount

    def wake(self, destination: str) -> None:
        """The destination answers again: what waits for it need not wait longer."""
        with self._database.change() as cursor:
            cursor.execute(
                "update deliveries set due = 0 where destination = ? and state = 'waiting' and due > 0", (destination,)
            )

    def of(self, image: str) -> list[Delivery]:
        """An image's deliveries."""
        query = "select * from deliveries where image = ? order by destination"
        return [_delivery(row) for row in self._database.rows(query, (image,))]

    def counts(self) -> dict[tuple[str, State], int]:
        """How many deliveries each destination has in each state."""
        query = "select destination, state, count(*) as deliveries from deliveries group by destination, state"
        return {(row["destination"], State(row["state"])): row["deliveries"] for row in self._database.rows(query)}

    def list(self, states: Iterable[State], limit: int = 100) -> list[tuple[Delivery, float]]:
        """The rows in these states, each with the moment its image arrived; the next in turn first."""
        query = (
            "select d.*, i.received from deliveries d join images i on i.id = d.image"
            " where d.state in (select value from json_each(?)) order by i.urgency, i.received limit ?"
        )
        rows = self._database.rows(query, (json.dumps(list(states)), limit))
        return [(_delivery(row), row["received"]) for row in rows]

    def _finish(self, delivery: Delivery, state: State, reason: str | None) -> None:
        now = time.time()
        with self._database.change() as cursor:
            cursor.execute(
                "update deliveries set state = ?, attempts = attempts + 1, reason = ?, finished = ?,"
                " first_tried = coalesce(first_tried, ?) where image = ? and destination = ?",
                (state, reason, now, now, delivery.image, delivery.destination),
            )


def _delivery(row: sqlite3.Row) -> Delivery:
    values = {name: row[name] for name in Delivery.__dataclass_fields__}
    return Delivery(**{**values, "state": State(values["state"])})
