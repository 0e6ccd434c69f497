"""The rows: every step of an image and of its deliveries, over a database that is opened anew at each."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cxredge.errors import Code, CxredgeError
from cxredge.node.database import Database
from cxredge.node.deliveries import Deliveries, Delivery
from cxredge.node.deliveries import State as Delivered
from cxredge.node.images import Arrival, Images, State


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "node.db")


@pytest.fixture
def images(database: Database) -> Images:
    return Images(database)


@pytest.fixture
def deliveries(database: Database) -> Deliveries:
    return Deliveries(database)


def arrival(name: str, *, uid: str = "", sha256: str = "", stat: bool = False, ignored: str | None = None) -> Arrival:
    return Arrival(
        id=name,
        sop_instance_uid=uid or f"1.2.{name}",
        sop_class_uid="1.2.3",
        sha256=sha256 or name,
        bytes=5,
        sender="TESTER",
        stat=stat,
        ignored=ignored,
    )


def state(images: Images, name: str) -> State:
    image = images.get(name)
    assert image is not None
    return image.state


def test_stat_first_then_by_arrival(images: Images) -> None:
    for name, stat in (("1", False), ("2", False), ("3", True), ("4", False), ("5", True)):
        assert images.add(arrival(name, stat=stat))
    taken = [images.take() for _ in range(6)]
    assert [one and one.id for one in taken] == ["3", "5", "1", "2", "4", None]
    assert images.counts() == {State.RUNNING: 5}


def test_what_is_taken_is_taken_once(images: Images) -> None:
    for number in range(60):
        images.add(arrival(str(number)))
    taken: list[str] = []

    def work() -> None:
        while (one := images.take()) is not None:
            taken.append(one.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=int) == [str(number) for number in range(60)]


def test_the_same_bytes_of_the_same_instance_are_one(images: Images) -> None:
    assert images.add(arrival("1", uid="1.2", sha256="a"))
    assert not images.add(arrival("2", uid="1.2", sha256="a"))
    assert images.add(arrival("3", uid="1.2", sha256="b"))
    assert images.add(arrival("4", uid="1.3", sha256="a"))
    same = images.same("1.2", "a")
    assert same is not None
    assert same.id == "1"
    assert images.same("1.2", "c") is None
    assert images.known() == {"1", "3", "4"}


@pytest.mark.parametrize("given_up", ["parked", "dropped"])
def test_resending_gives_a_parked_image_its_turn_again(given_up: str, images: Images) -> None:
    images.add(arrival("1", uid="1.2", sha256="a"))
    if given_up == "dropped":
        assert images.drop("1")
    else:
        images.take()
        assert images.fail("1", "internal", "why", again=False) == State.PARKED
    assert not images.add(arrival("2", uid="1.2", sha256="a"))
    image = images.get("1")
    assert image is not None
    assert (image.state, image.attempts, image.code, image.reason) == (State.QUEUED, 0, None, None)


def test_what_was_finished_and_removed_is_still_known(database: Database, images: Images) -> None:
    images.add(arrival("1", uid="1.2", sha256="a"))
    images.take()
    images.finish("1", State.ANALYSED, ["pacs"])
    with database.change() as cursor:
        cursor.execute("update images set kept = 0")
    assert not images.add(arrival("2", uid="1.2", sha256="a"))
    with database.change() as cursor:
        cursor.execute("update images set state = 'dropped'")
    assert images.add(arrival("3", uid="1.2", sha256="a"))  # given up and gone: nothing to give a turn to


def test_an_image_is_tried_once_more_then_parked(images: Images) -> None:
    images.add(arrival("1"))
    assert (one := images.take()) is not None
    assert (one.id, images.fail("1", "worker_crashed", "why")) == ("1", State.QUEUED)
    assert images.take() is not None
    assert images.fail("1", "worker_crashed", "why") == State.PARKED
    assert images.take() is None
    assert images.retry("1")
    assert not images.retry("1")
    assert not images.retry("2")
    assert (one := images.take()) is not None
    assert one.attempts == 0


def test_a_worker_that_was_stopped_costs_no_attempt(images: Images) -> None:
    for name in ("1", "2", "3"):
        images.add(arrival(name))
        images.take()
    assert images.give_back(["2"]) == 1
    assert images.counts() == {State.QUEUED: 1, State.RUNNING: 2}
    assert images.give_back() == 2
    assert {image.attempts for image in images.list()} == {0}


def test_what_is_ignored_has_no_turn(images: Images) -> None:
    assert images.add(arrival("1", ignored="own_result"))
    assert images.take() is None
    image = images.get("1")
    assert image is not None
    assert (image.state, image.code) == (State.IGNORED, "own_result")
    assert image.finished is not None


def test_dropping(images: Images) -> None:
    images.add(arrival("1"))
    assert images.drop("1")
    assert not images.drop("1")
    assert images.retry("1")
    images.take()
    assert not images.drop("1")  # it runs


def test_waiting(images: Images) -> None:
    assert images.oldest_wait() == 0
    images.add(arrival("1"))
    time.sleep(0.02)
    assert 0.02 <= images.oldest_wait() < 60
    images.take()
    assert images.oldest_wait() == 0


def finished(images: Images, name: str, *places: str, stat: bool = False) -> None:
    images.add(arrival(name, stat=stat))
    images.take()
    images.finish(name, State.ANALYSED, places)


def one_due(deliveries: Deliveries, place: str) -> Delivery:
    (one,) = deliveries.due(place)
    return one


def test_deliveries_are_by_destination_and_stat_first(images: Images, deliveries: Deliveries) -> None:
    finished(images, "1", "pacs", "web")
    finished(images, "2", "pacs")
    finished(images, "3", "pacs", stat=True)
    assert [one.image for one in deliveries.due("pacs", 9)] == ["3", "1", "2"]
    assert [one.image for one in deliveries.due("web", 9)] == ["1"]
    deliveries.sent(one_due(deliveries, "web"))
    assert not deliveries.due("web")
    assert deliveries.counts() == {("pacs", Delivered.WAITING): 3, ("web", Delivered.SENT): 1}


def test_a_delivery_waits_and_is_woken(images: Images, deliveries: Deliveries) -> None:
    finished(images, "1", "pacs")
    deliveries.again(one_due(deliveries, "pacs"), "refused", 1000)
    assert not deliveries.due("pacs")
    deliveries.wake("pacs")
    again = one_due(deliveries, "pacs")
    assert (again.attempts, again.reason) == (1, "refused")
    first = again.first_tried
    assert first is not None
    deliveries.again(again, "refused again", -1)
    assert one_due(deliveries, "pacs").first_tried == first
    deliveries.give_up(one_due(deliveries, "pacs"), "too long")
    assert not deliveries.due("pacs")
    assert deliveries.retry("1") == 1
    assert one_due(deliveries, "pacs").first_tried is None


def test_what_was_sent_is_not_sent_again(images: Images, deliveries: Deliveries) -> None:
    finished(images, "1", "pacs")
    deliveries.sent(one_due(deliveries, "pacs"))
    assert deliveries.retry("1") == 0
    images.finish("1", State.ANALYSED, ["pacs"])  # a step that was done twice
    assert [one.state for one in deliveries.of("1")] == [Delivered.SENT]


def test_a_transaction_is_whole_or_not_there(database: Database, images: Images) -> None:
    with pytest.raises(ZeroDivisionError), database.change() as cursor:
        cursor.execute("insert into images values ('1','1','1','1',1,'A',1,1,'queued',0,null,null,null,1,0)")
        raise ZeroDivisionError
    assert images.list() == []
    images.add(arrival("1"))
    with pytest.raises(sqlite3.IntegrityError):
        images.add(arrival("1", sha256="other"))
    assert len(images.list()) == 1
    images.add(arrival("2"))


def test_what_was_committed_outlives_the_process(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom cxredge.node.database import Database\n"
        "from cxredge.node.images import Arrival, Images\n"
        "images = Images(Database(Path(sys.argv[1])))\n"
        "images.add(Arrival('1', '1.2', '1.3', 'a', 5, 'A'))\nos.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code, str(tmp_path / "node.db")]).returncode == -9
    assert Images(Database(tmp_path / "node.db")).known() == {"1"}


def test_commits_wait_for_the_disk(database: Database) -> None:
    assert database.rows("pragma journal_mode")[0][0] == "wal"
    assert database.rows("pragma synchronous")[0][0] == 2  # FULL


def test_a_database_that_is_damaged_or_newer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "damaged.db").write_bytes(b"no database at all, but some text in its place" * 100)
    newer = Database(tmp_path / "newer.db")
    with newer.change() as cursor:
        cursor.execute("pragma user_version = 99")
    newer.close()
    for name, said in (("damaged.db", "not a database"), ("newer.db", "99"), ("missing/node.db", "unable to open")):
        with pytest.raises(CxredgeError, match=said) as caught:
            Database(tmp_path / name)
        assert caught.value.code is Code.SPOOL_UNUSABLE
