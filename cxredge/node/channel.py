"""One connection's bytes: read in bounded memory and bounded time, whatever lengths they claim."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

from cxredge.node.wire import Pdu, WireError

__all__ = ["Channel", "Ended", "Late"]

_FEW = 1 << 12
_MANY = 1 << 17
_FAREWELL = 2.0
_FAREWELL_READS = 256
_HEADER = struct.Struct(">BxL")
_KINDS = frozenset(Pdu)


class Ended(Exception):  # noqa: N818 - not an error
    """The peer has closed the connection, or it broke."""


class Late(Exception):  # noqa: N818
    """What was due did not come in time."""


class Channel:
    """Reads through one buffer of a fixed size: a length that a peer claims never decides how much memory is taken.

    `due` is the moment (of `time.monotonic`) until which every read must be done; whoever reads sets it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = memoryview(bytearray(_FEW))
        self._start = self._end = 0
        self.due = time.monotonic()

    def widen(self) -> None:
        """Read in large steps from now on: done once the peer is known."""
        wide = memoryview(bytearray(_MANY))
        unread = self._end - self._start
        wide[:unread] = self._buffer[self._start : self._end]
        self._buffer, self._start, self._end = wide, 0, unread

    def header(self) -> tuple[Pdu, int]:
        """The next PDU's kind and length; what it holds is next.

        Raises:
            WireError: it is of no kind that there is.
            Ended, Late: it did not come.
        """
        kind, length = _HEADER.unpack(self.take(6))
        if kind not in _KINDS:
            raise WireError("a PDU of no known kind")
        return Pdu(kind), length

    def take(self, count: int) -> bytes:
        """The next `count` bytes, copied: for what is small, or whose length has been checked."""
        if count <= self._end - self._start:
            self._start += count
            return bytes(self._buffer[self._start - count : self._start])
        return b"".join(map(bytes, self.pieces(count)))

    def pieces(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes, in pieces of at most the buffer's size; each is valid until the next is asked for."""
        while count:
            if self._start == self._end:
                self._fill()
            size = min(count, self._end - self._start)
            self._start += size
            count -= size
            yield self._buffer[self._start - size : self._start]

    def _fill(self) -> None:
        """Read what has come, and wait where nothing has."""
        left = self.due - time.monotonic()
        if left <= 0:
            raise Late
        try:
            self._connection.settimeout(left)
            self._end = self._connection.recv_into(self._buffer)
        except TimeoutError:
            raise Late from None
        except (OSError, ValueError):  # ValueError: closed meanwhile, within TLS
            raise Ended from None
        self._start = 0
        if self._end == 0:
            raise Ended

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
        with suppress(OSError, ValueError, Ended, Late):
            self.due = time.monotonic() + _FAREWELL
            self.send(data)
            socket.socket.shutdown(self._connection, socket.SHUT_WR)
            for _ in range(_FAREWELL_READS):
                self._fill()
