"""Couriers on a spool that is full of results, and what a real Orthanc has of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cxredge.node.config import Destination
from cxredge.node.deliver import Couriers
from cxredge.node.deliveries import State
from cxredge.node.images import State as ImageState
from tests.support.orthanc import Orthanc
from tests.support.spooled import Spooled, spooled

__all__ = ["assert_arrived_once", "carrying", "data_set", "fill", "filled", "sent"]


def filled(folder: Path, result_sets: Sequence[dict[str, bytes]], *destinations: Destination) -> Spooled:
    """A spool where each set is the results of one image, and waits for these destinations."""
    here = spooled(folder, destinations=destinations)
    for number, results in enumerate(result_sets):
        fill(here, results, number)
    return here


def fill(here: Spooled, results: dict[str, bytes], number: int) -> str:
    """One more image with results."""
    identifier = here.add(f"image {number}".encode())
    here.spool.put_results(identifier, {f"{kind}.dcm": data for kind, data in results.items()})
    here.images.finish(identifier, ImageState.ANALYSED, [one.name for one in here.config.destinations])
    return identifier


@contextmanager
def carrying(here: Spooled) -> Iterator[Couriers]:
    """Couriers at work."""
    couriers = Couriers(here.config, here.spool, here.images, here.deliveries, here.watch)
    couriers.start()
    try:
        yield couriers
    finally:
        couriers.stop(5)


def sent(here: Spooled, name: str) -> int:
    """How many images a destination has the results of."""
    return here.deliveries.counts().get((name, State.SENT), 0)


def data_set(file: bytes) -> str:
    """The hash of a file's data set, which a PACS keeps as it is; the file's head is of whoever wrote the file."""
    length = int.from_bytes(file[140:144], "little")
    return hashlib.sha256(file[144 + length :]).hexdigest()


def assert_arrived_once(pacs: Orthanc, result_sets: Sequence[dict[str, bytes]], kinds: Sequence[str]) -> None:
    """Each object is there, once, to the byte, and nothing else is."""
    there = [data_set(pacs.get(f"/instances/{one}/file")[0]) for one in pacs.json("/instances")]
    assert sorted(there) == sorted(data_set(results[kind]) for results in result_sets for kind in kinds)
