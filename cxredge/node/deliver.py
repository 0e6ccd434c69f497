"""The sending side of the node: a courier a destination, which tries until all results have arrived."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from cxredge.node.config import Destination, NodeConfig
from cxredge.node.deliveries import Deliveries, Delivery
from cxredge.node.events import Event, Watch
from cxredge.node.images import Images
from cxredge.node.pace import pause_after
from cxredge.node.sending import Channel, Outcome, Parcel, ResultFile, Unreachable
from cxredge.node.spool import Spool

__all__ = ["Couriers"]

_MOST_IMAGES = 32
_MOST_BYTES = 64 << 20
"""What one association or request carries at most."""
_LOOKS_EVERY = 1.0
_ENDS_WITHIN = 5.0


class Couriers:
    """All couriers of a node."""

    def __init__(self, config: NodeConfig, spool: Spool, images: Images, deliveries: Deliveries, watch: Watch) -> None:
        self._deliveries, self._watch = deliveries, watch
        self._couriers = [
            _Courier(destination, channel_to(destination, config.receiver.ae_title), spool, images, deliveries, watch)
            for destination in config.destinations
        ]

    def start(self) -> None:
        """Send what waits, from now on; what waits for a destination that is gone from the file is given up."""
        for one in self._deliveries.orphaned(courier.name for courier in self._couriers):
            self._watch(Event.GIVEN_UP, image=one.image, destination=one.destination, code="no_destination")
        for courier in self._couriers:
            courier.start()

    def wake(self) -> None:
        """There are new results. A destination that failed has its pause all the same."""
        for courier in self._couriers:
            courier.wake()

    def running(self) -> int:
        """How many of them are still at work."""
        return sum(courier.running for courier in self._couriers)

    def stop(self, seconds: float) -> None:
        """Begin nothing new, give what is under way so many seconds, then cut it off: it will be sent again."""
        until = time.monotonic() + seconds
        for courier in self._couriers:
            courier.stop()
        for courier in self._couriers:
            courier.end(max(0.0, until - time.monotonic()))


def channel_to(destination: Destination, calling_title: str) -> Channel:
    """The way that the destination's words ask for: DICOMweb with a `url`, else DIMSE."""
    if destination.url is not None:
        from cxredge.node.stow import StowChannel

        return StowChannel(destination)
    from cxredge.node.dimse import DimseChannel

    return DimseChannel(destination, calling_title)


class _Courier:
    """A thread that serves one destination.

    What fails is tried again: the destination as a whole after a pause that grows while nothing succeeds, and an
    image that was on its way, or was refused, after a longer one, so that the others behind it have their turn first.
    """

    def __init__(
        self,
        destination: Destination,
        channel: Channel,
        spool: Spool,
        images: Images,
        deliveries: Deliveries,
        watch: Watch,
    ) -> None:
        self._to = destination
        self._channel = channel
        self._spool = spool
        self._images = images
        self._deliveries = deliveries
        self._watch = watch
        self._failures = 0
        self._suspect: str | None = None
        self._down = False
        self._most = _MOST_IMAGES
        self._began = 0.0
        self._called = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"courier {destination.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def name(self) -> str:
        """Of its destination."""
        return self._to.name

    @property
    def running(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Look now."""
        self._called.set()

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping.set()
        self._called.set()
        self._channel.stop()

    def end(self, seconds: float) -> None:
        """After `stop`: wait, then cut off."""
        if not self._thread.is_alive():
            return
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._channel.abort()
            self._thread.join(_ENDS_WITHIN)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._round()
            except Exception as error:  # a disk that is full, a table that is locked: the thread lives on
                self._watch(Event.FAILED, code=type(error).__name__)
                self._rest()

    def _round(self) -> None:
        """Send what is due, or wait a moment."""
        self._called.clear()
        due = self._deliveries.due(self._to.name, self._most)
        if not due:
            self._called.wait(_LOOKS_EVERY)
            return
        parcels = self._parcels(due)
        if not parcels:
            return
        self._began = time.monotonic()
        try:
            self._channel.send(parcels, self._told)
        except Unreachable as problem:
            if not self._stopping.is_set():
                self._unreachable(parcels[0], problem)
        except Exception as error:  # of the parcels in this round one may be why
            self._watch(Event.FAILED, code=type(error).__name__)
            self._unreachable(parcels[0], Unreachable("internal", f"{type(error).__name__} while sending", parcels[0]))

    def _parcels(self, due: Sequence[Delivery]) -> list[Parcel]:
        """As many as go together; what cannot be read waits for itself alone."""
        parcels: list[Parcel] = []
        room = _MOST_BYTES
        for delivery in due:
            parcel = self._parcel(delivery)
            if parcel is None:
                continue
            room -= parcel.bytes
            if parcels and room < 0:
                break
            parcels.append(parcel)
        return parcels

    def _parcel(self, delivery: Delivery) -> Parcel | None:
        paths = self._spool.result_files(delivery.image, self._to.objects)
        if not paths:
            self._deliveries.give_up(delivery, "there are no results of the kinds that it takes")
            self._watch(Event.GIVEN_UP, image=delivery.image, destination=self._to.name, code="no_results")
            return None
        try:
            return Parcel(delivery, tuple(ResultFile.of(path) for path in paths))
        except Exception as error:
            self._again(delivery, "results_unreadable", f"the results cannot be read: {type(error).__name__}", 0.0)
            return None

    def _told(self, parcel: Parcel, outcome: Outcome) -> None:
        delivery = parcel.delivery
        if outcome is not None:
            self._again(delivery, outcome.code, outcome.reason, 0.0)
            self._expire()
            return
        self._deliveries.sent(delivery)
        image = self._images.get(delivery.image)
        waited = max(0.0, time.time() - image.received) if image is not None else 0.0
        now = time.monotonic()
        facts = {"seconds": now - self._began, "waited": waited}
        self._began = now
        self._watch(Event.SENT, image=delivery.image, destination=self._to.name, **facts)
        self._recovered()

    def _recovered(self) -> None:
        """It takes something: what failed because it took nothing need not wait longer."""
        if self._down:
            self._deliveries.wake(self._to.name)
        self._down, self._failures, self._suspect = False, 0, None
        self._most = min(_MOST_IMAGES, 4 * self._most)

    def _unreachable(self, first: Parcel, problem: Unreachable) -> None:
        """Nothing goes through for now, unless it is the fault of what was on its way."""
        self._failures += 1
        pause = pause_after(self._failures, self._to.longest_pause_s)
        suspect = problem.parcel
        image = suspect.delivery.image if suspect is not None else None
        # One image that never gets through is that image; two in a row, or none on its way, is the destination.
        self._down |= image is None or self._suspect not in (None, image)
        self._suspect = image
        self._most = 1
        if suspect is None:
            self._deliveries.again(first.delivery, problem.reason, 0.0)
            self._tell_failure(first.delivery, problem.code)
        else:
            self._again(suspect.delivery, problem.code, problem.reason, 2 * pause)
        self._deliveries.down(self._to.name)
        self._expire()
        self._stopping.wait(pause)

    def _again(self, delivery: Delivery, code: str, reason: str, at_least: float) -> None:
        pause = max(at_least, pause_after(delivery.attempts + 1, self._to.longest_pause_s))
        self._deliveries.again(delivery, reason, pause)
        self._tell_failure(delivery, code)

    def _tell_failure(self, delivery: Delivery, code: str) -> None:
        self._watch(Event.SEND_FAILED, image=delivery.image, destination=self._to.name, code=code)

    def _expire(self) -> None:
        hours = self._to.give_up_after_hours
        if hours is None:
            return
        for image in self._deliveries.expire(self._to.name, hours):
            self._watch(Event.GIVEN_UP, image=image, destination=self._to.name, code="expired")

    def _rest(self) -> None:
        self._failures += 1
        self._stopping.wait(pause_after(self._failures, self._to.longest_pause_s))
