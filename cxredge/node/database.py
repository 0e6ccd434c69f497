"""The node's SQLite file: opened durably, changed in whole transactions, from any thread."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cxredge.errors import Code, CxredgeError

__all__ = ["Database"]

VERSION = 1
_SCHEMA = """
create table images (
    id text primary key,             -- also the name of the file: never anything of the patient
    sop_instance_uid text not null,
    sop_class_uid text not null,
    sha256 text not null,            -- of the data set, as it came
    bytes integer not null,          -- of the data set
    sender text not null,
    urgency integer not null,        -- 0 before 1
    received real not null,          -- seconds since 1970, as all moments here
    state text not null,             -- see images.State
    attempts integer not null default 0,
    code text,                       -- why it was abstained on or parked
    reason text,
    finished real,
    kept integer not null default 1, -- whether the image's file is still there
    results integer not null default 0
) strict;
create index images_by_turn on images (state, urgency, received);
create index images_by_uid on images (sop_instance_uid);
create table deliveries (
    image text not null references images (id) on delete cascade,
    destination text not null,
    state text not null,             -- see deliveries.State
    attempts integer not null default 0,
    due real not null,
    first_tried real,
    reason text,
    finished real,
    primary key (image, destination)
) strict, without rowid;
create index deliveries_by_turn on deliveries (destination, state, due);
"""


class Database:
    """One connection, one change at a time: a transaction that returned is on disk (`synchronous=FULL`)."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it.

        Raises:
            CxredgeError: SPOOL_UNUSABLE where it cannot be opened, is damaged, or was written by a newer version.
        """
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode=wal", "synchronous=full", "foreign_keys=on", "trusted_schema=off"):
                self._connection.execute(f"pragma {pragma}").fetchall()
            self._prepare(path)
        except sqlite3.Error as error:
            raise CxredgeError(Code.SPOOL_UNUSABLE, f"{path}: {error}") from error

    def _prepare(self, path: Path) -> None:
        with self.change() as cursor:
            version = cursor.execute("pragma user_version").fetchone()[0]
            if version > VERSION:
                raise CxredgeError(
                    Code.SPOOL_UNUSABLE, f"{path} has version {version}; this cxredge knows {VERSION} at most"
                )
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    cursor.execute(statement)
                cursor.execute(f"pragma user_version = {VERSION}")

    @contextmanager
    def change(self) -> Generator[sqlite3.Cursor]:
        """A transaction: on disk when the block ends, undone when it raises."""
        with self._lock:
            cursor = self._connection.cursor()
            cursor.execute("begin immediate")
            try:
                yield cursor
                cursor.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    cursor.execute("rollback")
                raise
            finally:
                cursor.close()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """What a query finds."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Close it; what was committed stays."""
        with self._lock:
            self._connection.close()
