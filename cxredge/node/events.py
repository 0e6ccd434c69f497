"""What happens in a node, by name: one call each, which logs and metrics are made of.

Facts hold nothing of a patient: the node's own identifier of an image, the configured name of a sender or destination,
a code, a number. No name, no UID, no AE title or text that a peer chose.
"""

from __future__ import annotations

import enum
from typing import Protocol

__all__ = ["Event", "Fact", "Watch"]

Fact = str | int | float


class Event(enum.StrEnum):
    """All that a node tells of; each with the facts that come with it."""

    STARTED = "started"  # seconds
    STOPPED = "stopped"
    CONNECTION_REFUSED = "connection_refused"  # code: address, limit, title, tls, pdu, late, left (before it asked)
    ASSOCIATION_ENDED = "association_ended"  # code: released, aborted, idle, pdu
    RECEIVED = "received"  # image, sender, bytes, seconds (of the C-STORE, from its request to its answer)
    KNOWN = "known"  # sender: it had been received before
    STORE_REFUSED = "store_refused"  # sender, code: disk_full, disk_error, too_large, rate, not_an_image, uid
    ADOPTED = "adopted"  # image: its file was found without its row
    ANALYSED = "analysed"  # image, seconds, waited (seconds from its arrival)
    ABSTAINED = "abstained"  # image, code, seconds, waited
    IGNORED = "ignored"  # image, code
    RETRIED = "retried"  # image, code: it failed, and has one more turn
    PARKED = "parked"  # image, code
    WORKER_ENDED = "worker_ended"  # code: timeout, memory, crashed, stopped
    SENT = "sent"  # image, destination, seconds, waited
    SEND_FAILED = "send_failed"  # image, destination, code
    GIVEN_UP = "given_up"  # image, destination, code
    RETIRED = "retired"  # images, results, rows: how many of each
    FAILED = "failed"  # code: something that should not happen; the node goes on


class Watch(Protocol):
    """Whoever is told. Called from any thread; never raises, and never waits for long."""

    def __call__(self, event: Event, **facts: Fact) -> None:
        """Tell of an event."""
