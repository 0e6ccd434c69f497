"""The receiving side of the node: it listens, and every connection has a thread of its own, of which there are few."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

from cxredge.errors import Code, UsageError
from cxredge.node import wire
from cxredge.node.admission import Admission, Guest, address_of
from cxredge.node.adoption import adopt
from cxredge.node.association import House
from cxredge.node.channel import Basin, Channel
from cxredge.node.config import NodeConfig
from cxredge.node.events import Event, Watch
from cxredge.node.greeting import Refusal, greet
from cxredge.node.images import Images
from cxredge.node.spool import Spool
from cxredge.node.tls import server_context

__all__ = ["Receiver", "adopt"]

_LEAVING = 16
"""Threads beyond the connections: of those that have lost their place and are about to end."""
_BACKLOG = 128
_SHORT = 0.1


class Receiver:
    """Answers C-ECHO and C-STORE.

    Not built on pynetdicom's server: that one starts two threads for a connection before it knows who it is, polls, and
    takes as much memory as a PDU claims to need (`benchmarks/node_receive.py` measures it beside this one).
    """

    def __init__(
        self, config: NodeConfig, spool: Spool, images: Images, watch: Watch, wake: Callable[[], None]
    ) -> None:
        """`wake` is called, from any thread, when there is a new image.

        Raises:
            UsageError: NODE_CONFIG where a file of its TLS cannot be used.
        """
        self._config, self._watch = config, watch
        self._closing = threading.Event()
        self._admission = Admission(config)
        self._house = House(config, spool, images, watch, wake, self._admission, Basin(), self._closing.is_set)
        self._tls = server_context(config.receiver)
        self._places = threading.BoundedSemaphore(config.limits.connections + _LEAVING)
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept, name="receiver", daemon=True)

    def start(self) -> None:
        """Listen.

        Raises:
            UsageError: NODE_ADDRESS, with the system's reason.
        """
        place = self._config.receiver
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                place.address, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self._listener = socket.socket(family, kind, protocol)
            if os.name == "posix":  # elsewhere it would let another program listen at the same port
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(address)
            self._listener.listen(_BACKLOG)
        except OSError as error:
            raise UsageError(Code.NODE_ADDRESS, f"{place.address}:{place.port}: {error.strerror or error}") from None
        import_module("pydicom.filereader")  # not at the first image, and not by two threads at once
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        if self._listener is None:
            raise RuntimeError("not started")
        return int(self._listener.getsockname()[1])

    def stop(self, seconds: float) -> None:
        """Take nothing new from now on; an instance that is on its way may arrive within so many seconds."""
        until = time.monotonic() + seconds
        self._closing.set()
        if self._listener is not None:
            with suppress(OSError):  # wakes the thread that accepts
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        if self._thread.ident is not None:
            self._thread.join()
        for guest in self._admission.guests():
            if not guest.busy:
                guest.hang_up()
        while self._admission.guests() and time.monotonic() < until:
            time.sleep(_SHORT)
        for guest in self._admission.guests():
            guest.hang_up()
        until = time.monotonic() + 1
        while self._admission.guests() and time.monotonic() < until:
            time.sleep(_SHORT)

    def _accept(self) -> None:
        listener = self._listener
        assert listener is not None  # noqa: S101 - it was started by `start`
        while not self._closing.is_set():
            try:
                connection, peer = listener.accept()
            except OSError:  # closed, or no descriptor is left: others will end
                self._closing.wait(_SHORT)
                continue
            self._take_in(connection, peer)

    def _take_in(self, connection: socket.socket, peer: tuple[object, ...]) -> None:
        """Find it a place, or turn it away before a byte of it is read."""
        visit = _Visit(self._house, self._tls, connection, peer)
        if not self._admission.enter(visit.guest):
            self._watch(Event.CONNECTION_REFUSED, code="limit")
            visit.turn_away()
            return
        self._places.acquire()  # those that gave up their places end at once
        try:
            threading.Thread(target=self._host, args=(visit,), name="association", daemon=True).start()
        except RuntimeError:  # the system has no thread left
            self._places.release()
            self._admission.leave(visit.guest)
            visit.turn_away()

    def _host(self, visit: _Visit) -> None:
        try:
            visit.run()
        except Exception:
            self._watch(Event.FAILED, code="receive")
        finally:
            visit.close()
            self._admission.leave(visit.guest)
            self._places.release()


class _Visit:
    """A connection and its socket, which changes when TLS begins."""

    def __init__(
        self, house: House, tls: ssl.SSLContext | None, connection: socket.socket, peer: tuple[object, ...]
    ) -> None:
        self._house, self._tls, self._socket = house, tls, connection
        self.guest = Guest(address_of(peer), self.hang_up)

    def run(self) -> None:
        """All of it."""
        due = time.monotonic() + self._house.config.limits.handshake_s
        with suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._tls is not None:
                self._secure(self._tls, due)
            channel = Channel(self._socket, self._house.basin)
            channel.due = due
            association = greet(self._house, channel, self.guest)
        except Refusal as refusal:
            self._house.watch(Event.CONNECTION_REFUSED, code="limit" if self.guest.displaced else refusal.code)
            return
        self._house.watch(Event.ASSOCIATION_ENDED, code=association.run())

    def _secure(self, tls: ssl.SSLContext, due: float) -> None:
        try:
            # First the wrapper, then the handshake, so that `hang_up` reaches whoever lingers in it.
            self._socket = secured = tls.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
            secured.settimeout(max(_SHORT, due - time.monotonic()))
            secured.do_handshake()
        except (OSError, ValueError):
            raise Refusal("tls") from None

    def hang_up(self) -> None:
        """Wake its thread, whatever that waits for; from any thread."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def turn_away(self) -> None:
        """Say that there is no room, as far as that can be said without waiting, and close."""
        with suppress(OSError):
            self._socket.setblocking(False)
            if self._tls is None:
                self._socket.send(wire.reject(wire.Reject.LIMIT))
        self.close()

    def close(self) -> None:
        """Its end."""
        with suppress(OSError):
            self._socket.close()
