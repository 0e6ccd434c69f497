"""A TCP proxy that misbehaves as networks and servers do: between a sender that is tested and a real server."""

from __future__ import annotations

import enum
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Mood", "Proxy", "proxy"]

_BLOCK = 1 << 14


class Mood(enum.Enum):
    """What it does with a connection."""

    HONEST = "passes everything on"
    REFUSING = "has no one listening"
    DEAF = "takes the connection, and nothing after that"
    ABORTING = "resets the connection after `after` bytes from the sender"
    STALLING = "takes `after` bytes from the sender, and no more; the connection stays"
    SLOW = "passes on `rate` bytes a second"


class Proxy:
    """Listens on a port of its own; its mood may be changed at any time and holds for new connections."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.mood = Mood.HONEST
        self.after = 30_000
        self.rate = 400_000
        self.connections = 0
        self.broken = 0
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._closing = False
        self.port = 0
        self._listen()

    def be(self, mood: Mood) -> None:
        """Change its mood; connections that stand are ended."""
        self.mood = mood
        self._end_all()
        if mood is Mood.REFUSING:
            self._close_listener()
        elif self._listener is None:
            self._listen()

    def close(self) -> None:
        """End everything."""
        self._closing = True
        self._close_listener()
        self._end_all()

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BLOCK)  # what it does not take, the sender must keep
        listener.bind(("127.0.0.1", self.port))
        listener.listen(16)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _end_all(self) -> None:
        for one in self._open:
            _reset(one)
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(client)
            threading.Thread(target=self._serve, args=(client, self.mood), daemon=True).start()

    def _serve(self, client: socket.socket, mood: Mood) -> None:
        if mood is Mood.DEAF:
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=10)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        self._open.append(server)
        threading.Thread(target=_pass_on, args=(server, client), daemon=True).start()
        self._upstream(client, server, mood)

    def _upstream(self, client: socket.socket, server: socket.socket, mood: Mood) -> None:
        passed = 0
        with suppress(OSError):
            while data := client.recv(_BLOCK):
                passed += len(data)
                if mood is Mood.SLOW:
                    time.sleep(len(data) / self.rate)
                elif mood in (Mood.ABORTING, Mood.STALLING) and passed > self.after:
                    self.broken += 1
                    if mood is Mood.ABORTING:
                        _reset(client)
                        _reset(server)
                    return
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_BLOCK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _reset(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """A proxy in front of a port of the loopback interface."""
    made = Proxy(target)
    try:
        yield made
    finally:
        made.close()
