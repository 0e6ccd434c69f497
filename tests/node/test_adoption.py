"""A starting node makes files and rows agree, whatever the last one was stopped at."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxredge.node.adoption import adopt
from cxredge.node.config import Sender
from cxredge.node.database import Database
from cxredge.node.events import Event, Fact
from cxredge.node.images import Images, State
from cxredge.node.spool import Spool
from tests.support.receiving import receiving
from tests.support.scu import Scu, small_dx

UID = "1.2.826.0.1.3680043.8.498.82"

BROKEN = bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0\x20\0\0\0" + b"\x02\0\x10\0UI\xff\xff" + bytes(100)


class Site:
    """A spool that holds one image, left by a node that has stopped."""

    def __init__(self, folder: Path, data: bytes = small_dx(UID, 70_000)) -> None:
        with receiving(folder) as node:
            assert Scu.connect(node.port).store(UID, data) == 0
            self.before = node.only()
        self.spool = Spool(folder / "spool")
        self.database = Database(self.spool.database)
        self.images = Images(self.database)
        self.told: list[tuple[Event, dict[str, Fact]]] = []

    def watch(self, event: Event, **facts: Fact) -> None:
        self.told.append((event, facts))

    def forget_rows(self) -> None:
        with self.database.change() as cursor:
            cursor.execute("delete from images")

    def adopt(self, *senders: Sender) -> int:
        return adopt(self.spool, self.images, self.watch, senders)


def test_a_file_without_a_row_gets_the_row_that_it_would_have_had(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.forget_rows()
    assert site.adopt() == 1
    after = site.images.get(site.before.id)
    assert after is not None
    names = ("sop_instance_uid", "sop_class_uid", "sha256", "bytes", "sender", "stat", "state", "kept")
    assert [getattr(after, name) for name in names] == [getattr(site.before, name) for name in names]
    assert site.told == [(Event.ADOPTED, {"image": site.before.id})]
    assert site.adopt() == 0


def test_urgency_is_not_forgotten(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.forget_rows()
    assert site.adopt(Sender(ae_title="TESTER", order="stat")) == 1
    assert site.images.list()[0].stat


def test_a_file_that_came_twice_goes(tmp_path: Path) -> None:
    """It was renamed and had no row yet; its sender sent it again to the next node, and that one entered it."""
    site = Site(tmp_path)
    other = site.spool.image("00" * 16)
    other.write_bytes(site.spool.image(site.before.id).read_bytes())
    assert site.adopt() == 0
    assert not other.exists()
    assert set(site.spool.identifiers()) == {site.before.id}
    assert site.told == []


def test_a_row_without_a_file_waits_for_a_person_and_its_resending_is_a_new_image(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.spool.image(site.before.id).unlink()
    assert site.adopt() == 0
    assert [(one.id, one.state, one.code) for one in site.images.list()] == [
        (site.before.id, State.PARKED, "file_not_found")
    ]
    assert site.told == [(Event.PARKED, {"image": site.before.id, "code": "file_not_found"})]
    site.database.close()
    with receiving(tmp_path) as node:
        assert Scu.connect(node.port).store(UID, small_dx(UID, 70_000)) == 0
        assert node.only().state == State.QUEUED
        assert node.nothing_left()


def test_a_file_that_was_to_be_removed_is(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.database.change() as cursor:
        cursor.execute("update images set state = 'analysed', kept = 0")
    assert site.adopt() == 0
    assert not list(site.spool.identifiers())


@pytest.mark.parametrize("data", [b"", b"someone's notes", bytes(200), bytes(128) + b"DICM" + b"\xff" * 12, BROKEN])
def test_what_the_node_did_not_write_is_left_and_told_of(data: bytes, tmp_path: Path) -> None:
    site = Site(tmp_path)
    odd = site.spool.image("ab" * 16)
    odd.write_bytes(data)
    assert site.adopt() == 0
    assert odd.read_bytes() == data
    assert site.told == [(Event.FAILED, {"code": "adopt"})]


def test_parts_are_swept(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.spool.part("ab" * 16).write_bytes(b"half")
    assert site.spool.sweep() == 1
    assert site.adopt() == 0
    assert site.images.known() == {site.before.id}
