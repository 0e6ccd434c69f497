"""A person's view of a node's tables, and decisions about them: in another process than the node, or without one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from cxredge.errors import Code, CxredgeError, UsageError
from cxredge.node.config import NodeConfig
from cxredge.node.database import Database
from cxredge.node.deliveries import Deliveries
from cxredge.node.deliveries import State as DeliveryState
from cxredge.node.images import Image, Images, State

__all__ = ["SCHEMA", "Queue"]

SCHEMA = "cxredge.queue/1"
_OPEN = (State.QUEUED, State.RUNNING, State.PARKED)
_ALL = 1 << 31


class Queue:
    """The tables of one spool. A node that runs on it sees every change within a second."""

    def __init__(self, config: NodeConfig) -> None:
        """Open them; nothing is made where no node has run yet.

        Raises:
            CxredgeError: SPOOL_UNUSABLE.
        """
        path = config.spool / "node.db"
        try:
            there = path.is_file()
        except OSError as error:
            raise CxredgeError(Code.SPOOL_UNUSABLE, f"{path}: {error.strerror}") from error
        if not there:
            raise CxredgeError(Code.SPOOL_UNUSABLE, f"{config.spool}: no node has run here yet")
        self._database = Database(path)
        self._images, self._deliveries = Images(self._database), Deliveries(self._database)

    def found(self, states: Sequence[str], limit: int) -> dict[str, Any]:
        """What is not done yet, or the images in these states: identifiers of the node's own, states, codes, ages.

        Raises:
            UsageError: BAD_ARGUMENT for a state that there is not.
        """
        now = time.time()
        images = self._images.list(_states(states), limit)
        deliveries = self._deliveries.list((DeliveryState.WAITING, DeliveryState.GIVEN_UP), limit)
        places: dict[str, dict[str, int]] = {}
        for (place, state), number in sorted(self._deliveries.counts().items()):
            places.setdefault(place, {})[str(state)] = number
        return {
            "schema": SCHEMA,
            "image_counts": {str(state): number for state, number in self._images.counts().items()},
            "delivery_counts": places,
            "images": [_image(image, now) for image in images],
            "deliveries": [
                {
                    "image": delivery.image,
                    "destination": delivery.destination,
                    "state": str(delivery.state),
                    "attempts": delivery.attempts,
                    "age_s": round(max(0.0, now - received), 1),
                    "next_s": round(max(0.0, delivery.due - now), 1),
                }
                for delivery, received in deliveries
            ],
        }

    def parked(self) -> list[str]:
        """The identifiers of all parked images."""
        return [image.id for image in self._images.list((State.PARKED,), _ALL)]

    def given_up(self) -> list[str]:
        """The identifiers of all images with a delivery that was given up."""
        rows = self._deliveries.list((DeliveryState.GIVEN_UP,), _ALL)
        return list(dict.fromkeys(delivery.image for delivery, _ in rows))

    def retry(self, identifier: str) -> bool:
        """Analyse it again if it is parked or dropped, and try its deliveries now; False where there is neither."""
        again = self._images.retry(identifier)
        return self._deliveries.retry(identifier) > 0 or again

    def drop(self, identifier: str) -> bool:
        """Give it up if it is queued or parked, and what waits to be delivered of it; False where there is neither."""
        dropped = self._images.drop(identifier)
        return self._deliveries.drop(identifier) > 0 or dropped

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._database.close()


def _states(names: Sequence[str]) -> tuple[State, ...]:
    try:
        return tuple(State(name) for name in names) or _OPEN
    except ValueError:
        raise UsageError(Code.BAD_ARGUMENT, f"states are {', '.join(State)}") from None


def _image(image: Image, now: float) -> dict[str, Any]:
    return {
        "id": image.id,
        "state": str(image.state),
        "stat": image.stat,
        "age_s": round(max(0.0, now - image.received), 1),
        "attempts": image.attempts,
        "code": image.code,
        "bytes": image.bytes,
        "kept": image.kept,
    }
