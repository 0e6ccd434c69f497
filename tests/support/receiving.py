"""A receiver in this process, with all that it told of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cxredge.node.config import Limits, NodeConfig, Sender
from cxredge.node.config import Receiver as Place
from cxredge.node.database import Database
from cxredge.node.events import Event, Fact
from cxredge.node.images import Image, Images
from cxredge.node.receive import Receiver
from cxredge.node.spool import Spool

WITHIN = 60.0
"""Seconds that a test waits for what takes a moment, on however busy a machine."""
SENDERS = (Sender(ae_title="TESTER"), Sender(ae_title="STORESCU"), Sender(ae_title="ECHOSCU"))


@dataclass
class Receiving:
    """A running one."""

    config: NodeConfig
    spool: Spool
    images: Images
    receiver: Receiver
    events: list[dict[str, Any]] = field(default_factory=list)
    woken: list[float] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.receiver.port

    def codes(self, event: Event) -> list[str]:
        """The codes that came with an event, in order."""
        return [str(one["code"]) for one in list(self.events) if one["event"] == event]

    def await_codes(self, event: Event, *codes: str) -> None:
        await_true(lambda: self.codes(event) == list(codes), lambda: f"{event}: {self.codes(event)}, not {codes}")

    def only(self) -> Image:
        (image,) = self.images.list(limit=1000)
        return image

    def nothing_left(self) -> bool:
        """Whether no file lies in the spool for which there is no row."""
        return not list(self.spool.incoming.iterdir()) and set(self.spool.identifiers()) == self.images.known()


def await_true(question: Callable[[], bool], told: Callable[[], str] = lambda: "it did not happen") -> None:
    """Wait until it holds."""
    until = time.monotonic() + WITHIN
    while not question():
        assert time.monotonic() < until, told()
        time.sleep(0.02)


@contextmanager
def receiving(
    folder: Path, *, place: Place | None = None, senders: tuple[Sender, ...] = SENDERS, **limits: Any
) -> Iterator[Receiving]:
    """Start one on a free port of the loopback interface; `limits` are those of `Limits`."""
    config = NodeConfig(
        spool=folder / "spool",
        receiver=msgspec.structs.replace(place or Place(), port=0),
        senders=senders,
        limits=Limits(**{"free_disk_mb": 0} | limits),
    )
    spool = Spool(config.spool)
    database = Database(spool.database)
    images = Images(database)
    events: list[dict[str, Any]] = []
    woken: list[float] = []

    def watch(event: Event, **facts: Fact) -> None:
        events.append({"event": event, **facts})

    receiver = Receiver(config, spool, images, watch, lambda: woken.append(time.monotonic()))
    receiver.start()
    try:
        yield Receiving(config, spool, images, receiver, events, woken)
    finally:
        receiver.stop(5)
        database.close()


def data_set_of(path: Path) -> bytes:
    """What follows the meta information of a Part 10 file, by the length that the group says."""
    data = path.read_bytes()
    assert data[128:132] == b"DICM"
    assert data[132:140] == b"\x02\0\0\0UL\x04\0"
    return data[144 + int.from_bytes(data[140:144], "little") :]
