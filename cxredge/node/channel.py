"""One connection's bytes: read in bounded memory and bounded time, whatever lengths they claim."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from cxredge.node.wire import Pdu, WireError

__all__ = ["Basin", "Channel", "Ended", "Late"]

_NARROW = 1 << 14
_WIDE = 1 << 20
_BASINS = 24
_LITTLE_ROOM = 1 << 18
_FAREWELL = 2.0
_FAREWELL_READS = 256
_HEADER = struct.Struct(">BxL")
_KINDS = frozenset(Pdu)

Sink = Callable[[memoryview], None]


class Ended(Exception):  # noqa: N818 - not an error
    """The peer has closed the connection, or it broke."""


class Late(Exception):  # noqa: N818
    """What was due did not come in time."""


class Basin:
    """Large buffers for those that receive an image right now: few, and used again. Others make do with small ones."""

    def __init__(self, most: int = _BASINS) -> None:
        self._lock, self._left, self._free = threading.Lock(), most, list[memoryview]()

    def take(self) -> memoryview | None:
        """One, if any is left."""
        with self._lock:
            if self._free:
                return self._free.pop()
            if not self._left:
                return None
            self._left -= 1
        return memoryview(bytearray(_WIDE))

    def put(self, buffer: memoryview) -> None:
        """It is no longer used."""
        with self._lock:
            self._free.append(buffer)


class Channel:
    """Reads through one buffer: a length that a peer claims never decides how much memory is taken.

    `due` is the moment (of `time.monotonic`) until which every read must be done; whoever reads sets it.
    """

    def __init__(self, connection: socket.socket, basin: Basin | None = None) -> None:
        self._connection, self._basin = connection, basin
        self._small = self._buffer = memoryview(bytearray(_NARROW))
        self._start = self._end = 0  # what was read and not asked for yet
        self._poured = 0  # what lies at the buffer's front, on its way to the sink
        self._sink: Sink | None = None
        self.due = time.monotonic()

    def widen(self) -> None:
        """Read in large steps: something long is coming."""
        wide = self._basin.take() if self._basin is not None and self._buffer is self._small else None
        if wide is not None:
            self._change(wide)

    def narrow(self) -> None:
        """It has come; others may use the large buffer, unless more than fits into the small one has come behind it."""
        if self._buffer is not self._small and self._end - self._start <= _NARROW:
            wide = self._buffer
            self._change(self._small)
            if self._basin is not None:
                self._basin.put(wide)

    def _change(self, buffer: memoryview) -> None:
        unread = self._end - self._start
        buffer[:unread] = self._buffer[self._start : self._end]
        self._buffer, self._start, self._end = buffer, 0, unread

    def leave(self) -> None:
        """Nothing more will be read."""
        self._start = self._end = self._poured = 0
        self.narrow()

    def header(self) -> tuple[Pdu, int]:
        """The next PDU's kind and length; what it holds is next.

        Raises:
            WireError: it is of no kind that there is.
            Ended, Late: it did not come.
        """
        kind, length = _HEADER.unpack(self.take(_HEADER.size))
        if kind not in _KINDS:
            raise WireError("a PDU of no known kind")
        return Pdu(kind), length

    def take(self, count: int) -> bytes:
        """The next `count` bytes: for what is small, or whose length has been checked."""
        if count <= self._end - self._start:
            self._start += count
            return bytes(self._buffer[self._start - count : self._start])
        return b"".join(map(bytes, self._pieces(count)))

    def pour(self, count: int, sink: Sink) -> None:
        """The next `count` bytes go to the sink, now or together with those that are poured after them.

        They are moved to the buffer's front meanwhile: one call of the sink for many PDUs, as each of its steps (hash,
        write) gives other threads their turn and then has to wait for its own.
        """
        self._sink = sink
        for piece in self._pieces(count):
            self._buffer[self._poured : self._poured + len(piece)] = piece
            self._poured += len(piece)

    def flush(self) -> None:
        """All that was poured is with the sink when this returns."""
        poured, self._poured = self._poured, 0
        if poured and self._sink is not None:
            self._sink(self._buffer[:poured])

    def _pieces(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes, as they lie in the buffer; each piece is valid until the next is asked for."""
        while count:
            if self._start == self._end:
                self._fill()
            size = min(count, self._end - self._start)
            self._start += size
            count -= size
            yield self._buffer[self._start - size : self._start]

    def _fill(self) -> None:
        """Read what has come, and wait where nothing has. What was poured goes to its sink where it is in the way."""
        if not self._poured or len(self._buffer) - self._end < _LITTLE_ROOM:
            self.flush()
            self._start = self._end = 0
        left = self.due - time.monotonic()
        if left <= 0:
            raise Late
        try:
            self._connection.settimeout(left)
            count = self._connection.recv_into(self._buffer[self._end :])
        except TimeoutError:
            raise Late from None
        except (OSError, ValueError):  # ValueError: closed meanwhile, within TLS
            raise Ended from None
        if count == 0:
            raise Ended
        self._end += count

    def send(self, data: bytes) -> None:
        """Send it all.

        Raises:
            Ended, Late: it could not be sent.
        """
        left = self.due - time.monotonic()
        if left <= 0:
            raise Late
        try:
            self._connection.settimeout(left)
            self._connection.sendall(data)
        except TimeoutError:
            raise Late from None
        except (OSError, ValueError):
            raise Ended from None

    def say_last(self, data: bytes) -> None:
        """Send it, and wait a moment for the peer to close, as PS3.8 9.1.4 has an acceptor do.

        To close with bytes of the peer unread would reset the connection, and what was sent might not be read.
        """
        self._poured = 0
        with suppress(OSError, ValueError, Ended, Late):
            self.due = time.monotonic() + _FAREWELL
            self.send(data)
            socket.socket.shutdown(self._connection, socket.SHUT_WR)
            for _ in range(_FAREWELL_READS):
                self._fill()
