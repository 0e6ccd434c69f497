"""Who may connect, how many at a time, and how much each may send."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from cxredge.node.config import Limits, NodeConfig, Sender
from cxredge.node.wire import Reject

__all__ = ["Admission", "Guest", "address_of"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_HOME = 64
"""An IPv6 host has a network of 2^64 addresses to itself (RFC 6177), so that network is what is counted."""


def address_of(peer: tuple[object, ...]) -> Address:
    """A socket's peer; an IPv4 address that came in over IPv6 is the IPv4 address."""
    address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@dataclass(slots=True, eq=False)
class Guest:
    """One connection, from the moment that it was taken. `hang_up` ends it, from any thread.

    `settled`: it is an association of a known sender. `busy`: it waits for an answer. `displaced`: it lost its place.
    """

    address: Address
    hang_up: Callable[[], None]
    settled: bool = False
    busy: bool = False
    displaced: bool = False


@dataclass(slots=True)
class _Bucket:
    """So many images at once, refilled evenly over a minute."""

    most: float
    left: float
    filled: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        now = time.monotonic()
        self.left = min(self.most, self.left + (now - self.filled) * self.most / 60)
        self.filled = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Admission:
    """Counts connections from when they were taken, before a byte of them is read.

    Where all places are taken, one that has not become an association yet gives way, the oldest first: sockets that are
    opened and left idle hold up no one, as who wants to send asks for its association at once.
    """

    def __init__(self, config: NodeConfig) -> None:
        self._title = config.receiver.ae_title
        self._limits: Limits = config.limits
        self._senders = [(sender, sender.networks()) for sender in config.senders]
        self._guests: dict[Guest, object] = {}  # in the order in which they came
        self._homes: Counter[object] = Counter()
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()

    def enter(self, guest: Guest) -> bool:
        """A place for a new connection; False where none can be had."""
        home = _home(guest.address)
        with self._lock:
            leaving = None
            if self._homes[home] >= self._limits.connections_an_address:
                leaving = self._oldest_idle(home)
            elif len(self._guests) >= self._limits.connections:
                leaving = self._oldest_idle(None)
            else:
                self._sit(guest, home)
                return True
            if leaving is None:
                return False
            leaving.displaced = True
            self._rise(leaving)
            self._sit(guest, home)
        leaving.hang_up()
        return True

    def leave(self, guest: Guest) -> None:
        """Its place is free."""
        with self._lock:
            self._rise(guest)

    def settle(self, guest: Guest) -> bool:
        """It is an association now and keeps its place; False where it has just lost it."""
        with self._lock:
            guest.settled = guest in self._guests
            return guest.settled

    def guests(self) -> list[Guest]:
        """All that have a place."""
        with self._lock:
            return list(self._guests)

    def _sit(self, guest: Guest, home: object) -> None:
        self._guests[guest] = home
        self._homes[home] += 1

    def _rise(self, guest: Guest) -> None:
        home = self._guests.pop(guest, None)
        if home is not None:
            self._homes[home] -= 1
            if not self._homes[home]:
                del self._homes[home]

    def _oldest_idle(self, home: object | None) -> Guest | None:
        return next(
            (guest for guest, at in self._guests.items() if not guest.settled and home in (None, at)),
            None,
        )

    def knows(self, address: Address) -> bool:
        """Whether any sender may connect from there: what others send is not even parsed."""
        return any(address in network for _, networks in self._senders for network in networks)

    def sender(self, called: str, calling: str, address: Address) -> Sender | Reject:
        """Who it is, by its title and its address and the title that it calls; everyone else is rejected."""
        if called != self._title:
            return Reject.CALLED_TITLE
        for sender, networks in self._senders:
            if sender.ae_title == calling and any(address in network for network in networks):
                return sender
        return Reject.CALLING_TITLE

    def may_store(self, sender: Sender) -> bool:
        """Whether one more image of this sender is within its images a minute; counts it."""
        most = float(self._limits.images_a_minute)
        with self._lock:
            return self._buckets.setdefault(sender.ae_title, _Bucket(most, most)).take()


def _home(address: Address) -> object:
    if isinstance(address, ipaddress.IPv6Address):
        return ipaddress.ip_network((address, _HOME), strict=False)
    return address
