"""A disk that fails at each call of a C-STORE, SQLite's among them: no success, no partial file, and it heals."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from cxredge.node.events import Event
from cxredge.node.spool import Spool
from tests.support.failing_disk import CREATE, RENAME, SYNC, WRITE, FailingDisk
from tests.support.node_child import NodeChild, node_child, write_config
from tests.support.receiving import data_set_of, receiving
from tests.support.scu import Scu, small_dx

MOST_CALLS = 200
UID = "1.2.826.0.1.3680043.8.498.79.{}"


@dataclass
class Node:
    """A receiver in a process of its own, on a disk that can be told to fail."""

    child: NodeChild
    disk: FailingDisk
    spool: Spool
    stored: dict[str, bytes]

    def rows(self) -> dict[str, str]:
        """Identifier by SOP Instance UID, as another process sees the database."""
        with closing(sqlite3.connect(f"file:{self.spool.database}?mode=ro", uri=True)) as database:
            return {uid: name for name, uid in database.execute("select id, sop_instance_uid from images")}

    def check(self) -> None:
        """Every acknowledged image is whole; there is nothing else, neither rows nor files."""
        rows = self.rows()
        assert set(rows) == set(self.stored)
        assert set(self.spool.identifiers()) == set(rows.values())
        assert not list(self.spool.incoming.iterdir())
        for uid, data in self.stored.items():
            assert data_set_of(self.spool.image(rows[uid])) == data


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    (tmp_path / "build").mkdir()
    disk = FailingDisk(tmp_path / "spool", tmp_path / "build")
    with node_child(write_config(tmp_path, free_disk_mb=0), disk.environment) as child:
        yield Node(child, disk, Spool(tmp_path / "spool"), {})
        child.stop()
    disk.close()


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_every_call_fails_once(error: int, lasting: bool, node: Node) -> None:
    scu = Scu.connect(node.child.port)
    statuses = []
    for nth in range(1, MOST_CALLS):
        uid = UID.format(nth)
        data = small_dx(uid, 300_000)
        with node.disk.failing(nth, error, lasting=lasting):
            status = scu.store(uid, data)
        if not node.disk.failed:
            assert status == 0
            break
        statuses.append(status)
        # A success with a failed call is none that matters (SQLite tidies up), or it is a lie: `check` finds out.
        if status == 0:
            node.stored[uid] = data
        node.check()
        node.stored[uid] = data
        assert scu.store(uid, data) == 0  # it heals, without a restart
        node.check()
    else:
        pytest.fail("more calls than expected")
    if error == errno.EIO:
        assert set(statuses) <= {0, 0xA701}
    else:  # where a sync of its own finds the disk full, SQLite says no more than that it failed
        assert set(statuses) <= {0, 0xA700, 0xA701}
        assert statuses.count(0xA700) > statuses.count(0xA701)
    assert len(statuses) - statuses.count(0) >= 10  # part, head and body, sync, rename, folder, and SQLite's
    scu.release()


@pytest.mark.parametrize("kind", [WRITE, SYNC, RENAME, CREATE], ids=["write", "sync", "rename", "create"])
def test_the_first_call_of_each_kind_is_not_survived(kind: int, node: Node) -> None:
    """The shim reaches each of them: the test above would pass if it reached none."""
    scu = Scu.connect(node.child.port)
    assert scu.store(UID.format(1), small_dx(UID.format(1))) == 0
    for error, status in ((errno.EIO, 0xA701), (errno.ENOSPC, 0xA700)):
        with node.disk.failing(1, error, kind):
            assert scu.store(UID.format(2), small_dx(UID.format(2))) == status
        assert node.disk.failed


def test_no_sync_of_sqlite_is_taken_for_granted(node: Node) -> None:
    """File, folder, and the database's log: a failure of each, and only of it, is a refusal."""
    scu = Scu.connect(node.child.port)
    data = small_dx(UID.format(0))
    with node.disk.failing(MOST_CALLS, errno.EIO, SYNC):
        assert scu.store(UID.format(0), data) == 0  # SQLite makes and syncs its log at first
    statuses = []
    for nth in range(1, MOST_CALLS):
        uid = UID.format(nth)
        with node.disk.failing(nth, errno.EIO, SYNC):
            statuses.append(scu.store(uid, small_dx(uid)))
        if not node.disk.failed:
            break
    assert len(statuses) >= 4
    assert set(statuses[:-1]) == {0xA701}


def test_a_full_disk_is_found_before_anything_is_received(tmp_path: Path) -> None:
    with receiving(tmp_path, free_disk_mb=1 << 40) as node:
        scu = Scu.connect(node.port)
        for _ in range(3):
            assert scu.store(UID.format(1), small_dx(UID.format(1), 1_000_000)) == 0xA700
            assert node.nothing_left()
        node.await_codes(Event.STORE_REFUSED, *["disk_full"] * 3)
        node.spool.free_bytes = lambda: 1 << 62  # type: ignore[method-assign]
        assert scu.store(UID.format(1), small_dx(UID.format(1))) == 0
        scu.release()
