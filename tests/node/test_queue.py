"""`cxredge queue`: what a person sees and decides, beside a node's own connection to the same tables."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cxredge.node.database import Database
from cxredge.node.deliveries import Deliveries
from cxredge.node.deliveries import State as DeliveryState
from cxredge.node.images import Arrival, Images, State
from cxredge.node.spool import Spool

IDS = [f"{number:032x}" for number in range(5)]
QUEUED, PARKED, DONE, HALF, GONE = IDS


@dataclass
class Table:
    config: Path
    images: Images
    deliveries: Deliveries

    def run(self, *arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-P", "-m", "cxredge", "queue", "--config", str(self.config), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def state(self, identifier: str) -> State:
        image = self.images.get(identifier)
        assert image is not None
        return image.state

    def listed(self, *arguments: str) -> dict[str, list[dict[str, object]]]:
        code, printed, errors = self.run("list", "--json", *arguments)
        assert (code, errors) == (0, "")
        found: dict[str, list[dict[str, object]]] = json.loads(printed)
        return found


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    """A node's tables, held open by it: an image of each kind."""
    config = tmp_path / "node.toml"
    config.write_text('spool = "spool"\n')
    spool = Spool(tmp_path / "spool")
    database = Database(spool.database)
    images, deliveries = Images(database), Deliveries(database)
    for identifier in (PARKED, DONE, HALF, GONE, QUEUED):
        images.add(Arrival(identifier, f"1.2.840.99.{identifier}", "1.2.840.5", identifier, 10, "CT"))
        spool.image(identifier).write_bytes(b"image")
        if identifier != QUEUED:
            assert images.take() is not None
    images.fail(PARKED, "worker_timeout", "it took 60 s", again=False)
    images.finish(DONE, State.ANALYSED, ["pacs"])
    images.finish(HALF, State.ABSTAINED, ["pacs", "web"], code="lateral_view")
    images.finish(GONE, State.ANALYSED, ["web"])
    for delivery in deliveries.of(DONE):
        deliveries.sent(delivery)
    deliveries.sent(deliveries.of(HALF)[0])
    deliveries.again(deliveries.of(HALF)[1], "refused", 3600)
    deliveries.give_up(deliveries.of(GONE)[0], "refused")
    yield Table(config, images, deliveries)
    database.close()


def test_list(table: Table) -> None:
    found = table.listed()
    assert [(one["id"], one["state"], one["code"]) for one in found["images"]] == [
        (PARKED, "parked", "worker_timeout"),
        (QUEUED, "queued", None),
    ]
    assert [(one["image"], one["destination"], one["state"]) for one in found["deliveries"]] == [
        (HALF, "web", "waiting"),
        (GONE, "web", "given_up"),
    ]
    assert found["image_counts"] == {"abstained": 1, "analysed": 2, "parked": 1, "queued": 1}
    assert found["delivery_counts"] == {"pacs": {"sent": 2}, "web": {"given_up": 1, "waiting": 1}}
    assert "1.2.840" not in json.dumps(found)
    assert [one["id"] for one in table.listed("--state", "abstained")["images"]] == [HALF]
    code, printed, _ = table.run("list")
    assert code == 0
    assert f"{PARKED}  parked" in printed
    assert "worker_timeout" in printed
    assert "to web: 1 given_up, 1 waiting" in printed
    assert "next in 1 h" in printed or "next in 60 min" in printed
    assert "1.2.840" not in printed


def test_retry(table: Table) -> None:
    assert table.run("retry", PARKED, HALF)[:2] == (0, "2 retried\n")
    assert table.state(PARKED) == State.QUEUED
    assert [one.image for one in table.deliveries.due("web")] == [HALF]
    assert table.run("retry", "--all-given-up")[:2] == (0, "1 retried\n")
    assert {one.state for one in table.deliveries.of(GONE)} == {DeliveryState.WAITING}
    code, _, errors = table.run("retry", DONE, "no-such-image")
    assert code == 1
    assert DONE in errors
    assert "no-such-image" in errors


def test_drop(table: Table) -> None:
    assert table.run("drop", "--all-parked", QUEUED)[:2] == (0, "2 dropped\n")
    assert table.state(PARKED) == table.state(QUEUED) == State.DROPPED
    assert table.run("drop", HALF, "--json")[0] == 0
    assert [one.state for one in table.deliveries.of(HALF)] == [DeliveryState.SENT, DeliveryState.GIVEN_UP]
    assert table.run("drop", QUEUED)[0] == 1
    assert table.run("retry", QUEUED)[0] == 0
    assert table.state(QUEUED) == State.QUEUED


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["retry"], "--all-parked"), (["list", "--state", "lost"], "queued"), (["drop"], "--all-parked")],
)
def test_wrong_usage(table: Table, arguments: list[str], said: str) -> None:
    code, printed, errors = table.run(*arguments)
    assert (code, printed) == (2, "")
    assert said in errors


def test_where_no_node_has_run(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('spool = "nowhere"\n')
    code, _, errors = Table(config, None, None).run("list")  # type: ignore[arg-type]
    assert code == 2
    assert "spool_unusable" in errors
    assert not (tmp_path / "nowhere").exists()
