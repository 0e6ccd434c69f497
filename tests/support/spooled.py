"""A node's spool with drawn films in it, and a watch that remembers: what workers and couriers are tested on."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.uid import generate_uid

from cxredge.node.config import ModelChoice, NodeConfig
from cxredge.node.database import Database
from cxredge.node.deliveries import Deliveries
from cxredge.node.events import Event, Fact
from cxredge.node.images import Arrival, Image, Images
from cxredge.node.spool import Spool

__all__ = ["MODEL", "Spooled", "Witness", "spooled"]

MODEL = ModelChoice(engine="onnxruntime", precision="fp32", threads=1)
"""The embedded bundle; no engine is measured."""


@dataclass
class Witness:
    """A watch: it keeps what it is told."""

    told: list[tuple[Event, dict[str, Fact]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event, **facts: Fact) -> None:
        with self._lock:
            self.told.append((event, facts))

    def of(self, event: Event, **facts: Fact) -> list[dict[str, Fact]]:
        """What was told of an event with these facts."""
        with self._lock:
            return [said for kind, said in self.told if kind == event and facts.items() <= said.items()]

    def text(self) -> str:
        """All of it."""
        with self._lock:
            return repr(self.told)


@dataclass
class Spooled:
    """A spool, its tables, and a way to put images there as receiving does."""

    config: NodeConfig

    def __post_init__(self) -> None:
        self.spool = Spool(self.config.spool)
        self.database = Database(self.spool.database)
        self.images, self.deliveries = Images(self.database), Deliveries(self.database)
        self.watch = Witness()

    def add(self, data: bytes, *, stat: bool = False) -> str:
        """An image that was received; its identifier."""
        identifier = self.spool.new_identifier()
        self.spool.part(identifier).write_bytes(data)
        self.spool.keep(identifier)
        sha256 = hashlib.sha256(data).hexdigest()
        assert self.images.add(
            Arrival(identifier, str(generate_uid()), "1.2.840.10008.5.1.4.1.1.1.1", sha256, len(data), "ct", stat)
        )
        return identifier

    def image(self, identifier: str) -> Image:
        """Its row."""
        image = self.images.get(identifier)
        assert image is not None
        return image

    def results(self, identifier: str) -> dict[str, bytes]:
        """The files of its results, by name."""
        folder = self.spool.results(identifier)
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.exists() else {}

    def close(self) -> None:
        """Close the tables."""
        self.database.close()


def spooled(folder: Path, **words: Any) -> Spooled:
    """A spool with a configuration of these words."""
    words.setdefault("model", MODEL)
    return Spooled(NodeConfig(spool=folder, **words))
