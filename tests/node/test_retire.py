"""Retention removes what every destination has, after its days, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cxredge.node.config import Destination, Limits
from cxredge.node.images import State
from cxredge.node.retire import Retired, Retirement
from tests.support.spooled import Spooled, spooled

PLACES = tuple(Destination(name=name, url="http://127.0.0.1:9") for name in ("one", "two"))
NAMES = ("one", "two")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Spooled]:
    spool = spooled(tmp_path / "spool", destinations=PLACES, limits=Limits(free_disk_mb=0))
    yield spool
    spool.close()


def analysed(here: Spooled, days_ago: float, sent: tuple[str, ...] = NAMES, given_up: tuple[str, ...] = ()) -> str:
    """An image that was analysed so long ago, and what became of its deliveries."""
    identifier = here.add(f"{days_ago} {sent} {given_up}".encode())
    here.spool.put_results(identifier, {"sr.dcm": b"results"})
    here.images.finish(identifier, State.ANALYSED, NAMES)
    for delivery in here.deliveries.of(identifier):
        if delivery.destination in sent:
            here.deliveries.sent(delivery)
        elif delivery.destination in given_up:
            here.deliveries.give_up(delivery, "expired")
    age(here, identifier, days_ago)
    return identifier


def age(here: Spooled, identifier: str, days: float) -> None:
    with here.database.change() as cursor:
        cursor.execute("update images set finished = finished - ? where id = ?", (days * 86400, identifier))
        cursor.execute("update deliveries set finished = finished - ? where image = ?", (days * 86400, identifier))


def look(here: Spooled, **limits: Any) -> Retired:
    config = here.config
    if limits:
        from msgspec.structs import replace

        config = replace(config, limits=Limits(**limits))
    return Retirement(config, here.spool, here.database, here.watch).look()


def there(here: Spooled, identifier: str) -> tuple[bool, bool, bool]:
    """Whether the image's file, its results and its row are there."""
    return (
        here.spool.image(identifier).exists(),
        bool(here.results(identifier)),
        here.images.get(identifier) is not None,
    )


def test_everything_has_its_days(here: Spooled) -> None:
    young, day, week, quarter = (analysed(here, days) for days in (0.9, 1.1, 7.1, 91.0))
    assert look(here) == Retired(images=3, results=2, rows=1)
    assert there(here, young) == (True, True, True)
    assert there(here, day) == (False, True, True)
    assert there(here, week) == (False, False, True)
    assert there(here, quarter) == (False, False, False)
    assert not here.deliveries.of(quarter)
    assert look(here) == Retired()
    assert not here.image(day).kept and not here.image(week).results
    assert here.deliveries.retry(week) == 0


def test_what_waits_stays(here: Spooled) -> None:
    """For a destination, for a worker, or for a person; whatever its age."""
    waits = analysed(here, 1000, sent=("one",))
    queued, parked, dropped = (here.add(name) for name in (b"queued", b"parked", b"dropped"))
    with here.database.change() as cursor:
        cursor.execute("update images set received = 1.0")
    here.images.fail(parked, "dicom_broken", "why", again=False)
    here.images.drop(dropped)
    age(here, parked, 1000)
    age(here, dropped, 2)
    assert look(here) == Retired(images=1)
    assert there(here, waits) == (True, True, True)
    assert there(here, queued)[0] and there(here, parked)[0]
    assert not there(here, dropped)[0]
    assert not here.images.retry(dropped)
    (delivery,) = (one for one in here.deliveries.of(waits) if one.destination == "two")
    here.deliveries.sent(delivery)
    assert look(here) == Retired()  # its days begin when the last destination has it
    age(here, waits, 91)
    assert look(here) == Retired(images=1, results=1, rows=1)
    assert there(here, waits) == (False, False, False)


def test_a_disk_that_is_nearly_full(here: Spooled) -> None:
    """What has arrived everywhere goes early; what has not stays, and what was given up is not delivered either."""
    arrived, waits, given_up = (
        analysed(here, 0.0),
        analysed(here, 0.0, sent=("one",)),
        analysed(here, 0.0, sent=("one",), given_up=("two",)),
    )
    more_than_there_is = here.spool.free_bytes() >> 20
    assert look(here, free_disk_mb=more_than_there_is) == Retired(images=1, results=1)
    assert there(here, arrived) == (False, False, True)
    assert there(here, waits) == (True, True, True)
    assert there(here, given_up) == (True, True, True)


def test_many_go_in_small_steps(here: Spooled) -> None:
    with here.database.change() as cursor:
        cursor.executemany(
            "insert into images (id, sop_instance_uid, sop_class_uid, sha256, bytes, sender, urgency, received, state,"
            " finished) values (?, '1.2', '1.2', ?, 1, 'ct', 1, 1.0, 'analysed', 1.0)",
            [(f"{number:032x}", str(number)) for number in range(250)],
        )
    assert look(here) == Retired(images=250, results=0, rows=250)


def test_a_node_that_was_killed_in_between(here: Spooled) -> None:
    """Rows change before files go: what was left behind goes with the row."""
    identifier = analysed(here, 91.0)
    with here.database.change() as cursor:
        cursor.execute("update images set kept = 0, results = 0")
    assert look(here) == Retired(rows=1)
    assert there(here, identifier) == (False, False, False)
    assert not any(path.is_file() for path in (here.config.spool / "images").rglob("*"))
    assert not any(path.is_file() for path in (here.config.spool / "results").rglob("*"))
