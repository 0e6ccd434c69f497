"""The metrics: text that Prometheus's own parser reads, and numbers that are those of the events."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")

from prometheus_client import parser

from cxredge.node.database import Database
from cxredge.node.deliveries import Deliveries
from cxredge.node.events import Event
from cxredge.node.exposition import MOST_SERIES, Counter, Histogram
from cxredge.node.images import Arrival, Images, State
from cxredge.node.metrics import COUNTED, TIMED, Metrics, SpoolGauges
from cxredge.node.spool import Spool


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels, as Prometheus reads it."""
    families = list(parser.text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    assert all(family.type != "unknown" and family.documentation for family in families), names
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


def nothing() -> Iterable[str]:
    return ()


def test_events_become_numbers() -> None:
    metrics = Metrics(nothing)
    for seconds in (0.004, 0.2, 0.2, 99.0):
        metrics(Event.RECEIVED, image="a", sender='CT \\ "X"\n', bytes=100, seconds=seconds)
    metrics(Event.SENT, image="a", destination="pacs", seconds=0.1, waited=61.0)
    metrics(Event.RETIRED, images=2, results=3, rows=4)
    metrics(Event.ABSTAINED, image="a", code="lateral_view", seconds=1.0, waited=2.0)
    found = parsed(metrics.text())
    sender = (("sender", 'CT \\ "X"\n'),)
    assert found["cxredge_received_total", sender] == 4
    assert found["cxredge_received_bytes_total", sender] == 400
    for bound, count in (("0.005", 1), ("0.1", 1), ("0.25", 3), ("30", 3), ("+Inf", 4)):
        assert found["cxredge_store_seconds_bucket", (("le", bound),)] == count
    assert found["cxredge_store_seconds_count", ()] == 4
    assert found["cxredge_store_seconds_sum", ()] == pytest.approx(99.404)
    place = (("destination", "pacs"),)
    assert found["cxredge_arrival_to_sent_seconds_bucket", (*place, ("le", "60"))] == 0
    assert found["cxredge_arrival_to_sent_seconds_bucket", (*place, ("le", "300"))] == 1
    assert found["cxredge_retired_total", (("what", "rows"),)] == 4
    assert found["cxredge_abstained_total", (("code", "lateral_view"),)] == 1
    assert found["cxredge_analysis_seconds_count", ()] == 1


def test_every_event_is_counted_or_need_not_be() -> None:
    assert set(Event) - set(COUNTED) == {Event.STARTED, Event.STOPPED, Event.RETIRED}
    assert {event for _, _, _, taken in TIMED.values() for event in taken} <= set(Event)


def test_labels_cannot_eat_the_memory() -> None:
    counter, histogram = Counter("c_total", "A count.", ("code",)), Histogram("h", "A time.", (1.0,), ("code",))
    for number in range(3 * MOST_SERIES):
        counter.add(1, str(number))
        histogram.observe(0.5, str(number))
    assert len(parsed("\n".join([*counter.lines(), ""]))) == MOST_SERIES
    assert len(histogram._counts) == MOST_SERIES


def test_the_spool_is_read_as_it_is(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    database = Database(spool.database)
    images, deliveries = Images(database), Deliveries(database)
    for number in range(3):
        images.add(Arrival(f"{number:032x}", f"1.2.{number}", "1.2", f"{number}", 1, "M"))
    taken = images.take()
    assert taken is not None
    images.finish(taken.id, State.ANALYSED, ["pacs"])
    gauges = SpoolGauges(spool, images, deliveries)
    found = parsed("\n".join([*gauges.lines(), ""]))
    assert found["cxredge_images", (("state", "queued"),)] == 2
    assert found["cxredge_images", (("state", "analysed"),)] == 1
    assert found["cxredge_images", (("state", "parked"),)] == 0
    assert found["cxredge_deliveries", (("destination", "pacs"), ("state", "waiting"))] == 1
    assert found["cxredge_oldest_wait_seconds", ()] >= 0
    assert found["cxredge_free_disk_bytes", ()] == pytest.approx(spool.free_bytes(), rel=0.2)
    images.take()
    assert parsed("\n".join([*gauges.lines(), ""]))["cxredge_images", (("state", "queued"),)] == 2  # fresh enough
    gauges._read = float("-inf")
    assert parsed("\n".join([*gauges.lines(), ""]))["cxredge_images", (("state", "queued"),)] == 1
    database.close()
