"""Whatever the line and the PACS do, all results arrive, once: over DIMSE and over DICOMweb, in a real Orthanc."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cxredge.node.config import Destination
from cxredge.node.deliveries import State
from cxredge.node.events import Event
from tests.support.couriers import assert_arrived_once, carrying, fill, filled, sent
from tests.support.nodes import wait_for
from tests.support.orthanc import Orthanc
from tests.support.proxy import Mood, Proxy, proxy

KINDS = ("sr", "seg", "sc", "pr")
WAYS = ("dimse", "dicomweb")


def destination(way: str, port: int, **words: Any) -> Destination:
    words = {"name": "pacs", "objects": KINDS, "timeout_s": 2.0, "longest_pause_s": 0.5} | words
    if way == "dimse":
        return Destination(ae_title="ORTHANC", host="127.0.0.1", port=port, **words)
    return Destination(url=f"http://127.0.0.1:{port}/dicom-web", **words)


def server_port(pacs: Orthanc, way: str) -> int:
    return pacs.dimse if way == "dimse" else pacs.http


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_all_in_one_association_or_request(
    tmp_path: Path, pacs: Orthanc, result_sets: Sequence[dict[str, bytes]], way: str
) -> None:
    with proxy(server_port(pacs, way)) as line:
        here = filled(tmp_path, result_sets, destination(way, line.port))
        with carrying(here):
            wait_for(lambda: sent(here, "pacs") == len(result_sets), "all are sent")
        assert line.connections == 1
    assert_arrived_once(pacs, result_sets, KINDS)
    assert len(here.watch.of(Event.SENT, destination="pacs")) == len(result_sets)
    assert not here.watch.of(Event.SEND_FAILED)
    here.close()


def troubled(line: Proxy) -> list[tuple[Mood, str]]:
    """What goes wrong, one after the other, and the code that is told of it."""
    return [
        (Mood.REFUSING, "unreachable"),
        (Mood.DEAF, "rejected timeout"),
        (Mood.ABORTING, "aborted"),
        (Mood.STALLING, "timeout"),
    ]


def test_through_all_troubles(tmp_path: Path, pacs: Orthanc, result_sets: Sequence[dict[str, bytes]], way: str) -> None:
    with proxy(server_port(pacs, way)) as line:
        here = filled(tmp_path, result_sets, destination(way, line.port))
        line.be(Mood.REFUSING)
        with carrying(here):
            for mood, codes in troubled(line):
                told = len(here.watch.told)
                line.be(mood)

                def failed(told: int = told, codes: str = codes) -> bool:
                    facts = [facts for event, facts in here.watch.told[told:] if event is Event.SEND_FAILED]
                    return len([one for one in facts if one["code"] in codes.split()]) >= 2

                wait_for(failed, f"{mood.value}: it is told of")
                assert sent(here, "pacs") < len(result_sets)
            line.rate = 3_000_000
            line.be(Mood.SLOW)
            wait_for(lambda: sent(here, "pacs") == len(result_sets), "all are sent")
    assert_arrived_once(pacs, result_sets, KINDS)
    assert not here.watch.of(Event.FAILED)
    here.close()


def test_a_line_slower_than_the_timeout(
    tmp_path: Path, pacs: Orthanc, result_sets: Sequence[dict[str, bytes]], way: str
) -> None:
    """What moves is not cut: the picture alone takes longer than the timeout, and goes through at the first try."""
    size = len(result_sets[0]["sc"])
    with proxy(server_port(pacs, way)) as line:
        line.mood, line.rate = Mood.SLOW, size // 4
        here = filled(tmp_path, result_sets[:1], destination(way, line.port, objects=("sc",)))
        with carrying(here):
            wait_for(lambda: sent(here, "pacs") == 1, "it is sent")
        assert line.connections == 1
    (facts,) = here.watch.of(Event.SENT)
    assert float(facts["seconds"]) > 3.0
    assert_arrived_once(pacs, result_sets[:1], ("sc",))
    here.close()


def test_a_restart_while_the_pacs_is_down(
    tmp_path: Path, pacs: Orthanc, result_sets: Sequence[dict[str, bytes]]
) -> None:
    """What waits, waits on disk: other couriers on the same spool send it, after those that had sent a part."""
    with proxy(pacs.dimse) as line:
        line.after = sum(map(len, result_sets[0].values())) + 50_000
        line.be(Mood.ABORTING)
        here = filled(tmp_path, result_sets, destination("dimse", line.port))
        with carrying(here):
            wait_for(lambda: sent(here, "pacs") >= 1 and here.watch.of(Event.SEND_FAILED), "some are sent")
        assert 1 <= sent(here, "pacs") < len(result_sets)
        line.be(Mood.HONEST)
        with carrying(here):
            wait_for(lambda: sent(here, "pacs") == len(result_sets), "all are sent")
    assert_arrived_once(pacs, result_sets, KINDS)
    here.close()


def test_stopping_does_not_wait_for_a_line_that_hangs(
    tmp_path: Path, pacs: Orthanc, result_sets: Sequence[dict[str, bytes]], way: str
) -> None:
    with proxy(server_port(pacs, way)) as line:
        line.be(Mood.STALLING)
        here = filled(tmp_path, result_sets, destination(way, line.port, timeout_s=600.0))
        with carrying(here) as couriers:
            wait_for(lambda: line.broken, "it hangs")
            couriers.stop(0.2)
            assert not couriers.running()
    assert sent(here, "pacs") == 0
    here.close()


def test_each_destination_by_itself(tmp_path: Path, pacs: Orthanc, result_sets: Sequence[dict[str, bytes]]) -> None:
    """One that is down holds up no other, and gets what it takes when it is up; then nothing is left to do."""
    with proxy(pacs.dimse) as line:
        line.be(Mood.REFUSING)
        down = destination("dimse", line.port, name="down", objects=("sr", "pr"))
        up = destination("dicomweb", pacs.http, name="up", objects=("seg",))
        here = filled(tmp_path, result_sets[:3], down, up)
        with carrying(here) as couriers:
            wait_for(lambda: sent(here, "up") == 3, "the other has its own")
            assert sent(here, "down") == 0
            assert_arrived_once(pacs, result_sets[:3], ("seg",))
            line.be(Mood.HONEST)
            wait_for(lambda: sent(here, "down") == 3, "and now this one")
            fill(here, result_sets[3], 3)
            couriers.wake()
            wait_for(lambda: sent(here, "down") == 4 and sent(here, "up") == 4, "a new one goes to both")
    assert_arrived_once(pacs, result_sets[:4], ("seg", "sr", "pr"))
    here.close()


def test_giving_up_after_some_hours(tmp_path: Path, result_sets: Sequence[dict[str, bytes]]) -> None:
    """Only where the file says so; those behind the first one are given up too, and another try may be asked for."""
    with proxy(9) as line:
        line.be(Mood.REFUSING)
        words = {"give_up_after_hours": 1.0 / 3600}
        here = filled(tmp_path, result_sets[:3], destination("dimse", line.port, **words))
        with carrying(here):
            wait_for(lambda: here.deliveries.counts() == {("pacs", State.GIVEN_UP): 3}, "all are given up")
        assert len(here.watch.of(Event.GIVEN_UP, code="expired")) == 3
        image = here.images.list()[0].id
        assert here.deliveries.retry(image) == 1
        (delivery,) = here.deliveries.of(image)
        assert (delivery.state, delivery.first_tried) == (State.WAITING, None)
    here.close()


def test_a_destination_that_leaves_the_file(tmp_path: Path, result_sets: Sequence[dict[str, bytes]]) -> None:
    """What waits for it would wait for ever, and its files with it; when it is back, a person may send them."""
    old = destination("dimse", 9, name="old")
    here = filled(tmp_path, result_sets[:2], destination("dimse", 9), old)
    here.config = replace(here.config, destinations=(destination("dimse", 9),))
    with carrying(here):
        assert here.deliveries.counts()[("old", State.GIVEN_UP)] == 2
        assert here.deliveries.counts()[("pacs", State.WAITING)] == 2
    assert len(here.watch.of(Event.GIVEN_UP, destination="old", code="no_destination")) == 2
    image = here.images.list()[0].id
    assert here.deliveries.retry(image) == 2
    assert [one.state for one in here.deliveries.of(image)] == [State.WAITING, State.WAITING]
    here.close()
