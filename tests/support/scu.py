"""A sender made of bytes: says what it is told to, right or wrong. Nothing of it comes from the node's own code."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

DX = "1.2.840.10008.5.1.4.1.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
PDV_HEADER = 6


class RejectedError(Exception):
    """A-ASSOCIATE-RJ: result, source and reason."""


class AbortedError(Exception):
    """A-ABORT: source and reason."""


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxL", kind, len(body)) + body


def request(called: str, calling: str, contexts: Sequence[tuple[str, Sequence[str]]], longest: int = 16384) -> bytes:
    """A-ASSOCIATE-RQ; contexts are numbered 1, 3, 5 and so on."""
    items = item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, (abstract, syntaxes) in enumerate(contexts):
        names = b"".join(item(0x40, syntax.encode()) for syntax in syntaxes)
        items += item(0x20, bytes((2 * number + 1, 0, 0, 0)) + item(0x30, abstract.encode()) + names)
    user = item(0x51, struct.pack(">L", longest)) + item(0x52, b"1.2.3.4") + item(0x55, b"TESTS")
    titles = called.encode().ljust(16) + calling.encode().ljust(16)
    return pdu(1, struct.pack(">HH", 1, 0) + titles + bytes(32) + items + item(0x50, user))


def command(**elements: int | str) -> bytes:
    """A command set; `e0100=...` is (0000,0100). Numbers are US, texts are UI."""
    coded = b""
    for name, value in sorted(elements.items()):
        data = struct.pack("<H", value) if isinstance(value, int) else value.encode()
        data += b"\0" * (len(data) % 2)
        coded += struct.pack("<HHL", 0, int(name[1:], 16), len(data)) + data
    return struct.pack("<HHLL", 0, 0, 4, len(coded)) + coded


def data_pdus(context: int, control: int, data: bytes | memoryview, longest: int) -> bytes:
    """P-DATA-TF PDUs of one PDV each; `control` is 1 for a command, 0 for a data set."""
    out, step = bytearray(), longest - PDV_HEADER
    for start in range(0, max(len(data), 1), step):
        piece = data[start : start + step]
        last = 2 if start + step >= len(data) else 0
        out += struct.pack(">BxLLBB", 4, len(piece) + 6, len(piece) + 2, context, control | last)
        out += piece
    return bytes(out)


def store_message(
    context: int, message: int, sop_class: str, instance: str, data: bytes | memoryview, longest: int
) -> bytes:
    """All PDUs of a C-STORE."""
    asked = command(e0002=sop_class, e0100=1, e0110=message, e0700=0, e0800=0, e1000=instance)
    return data_pdus(context, 1, asked, longest) + data_pdus(context, 0, data, longest)


def parsed_items(data: bytes) -> list[tuple[int, bytes]]:
    found, place = [], 0
    while place < len(data):
        kind, length = struct.unpack_from(">BxH", data, place)
        found.append((kind, data[place + 4 : place + 4 + length]))
        place += 4 + length
    return found


def parsed_command(data: bytes) -> dict[int, bytes]:
    found, place = {}, 0
    while place < len(data):
        _, element, length = struct.unpack_from("<HHL", data, place)
        found[element] = data[place + 8 : place + 8 + length]
        place += 8 + length
    return found


@dataclass
class Scu:
    """An association. `syntaxes` holds the chosen transfer syntax of each accepted context, by its number."""

    connection: socket.socket
    longest: int = 0
    syntaxes: dict[int, str] = field(default_factory=dict)
    results: dict[int, int] = field(default_factory=dict)

    @classmethod
    def connect(
        cls,
        port: int,
        called: str = "CXREDGE",
        calling: str = "TESTER",
        contexts: Sequence[tuple[str, Sequence[str]]] = ((VERIFICATION, (EXPLICIT,)), (DX, (EXPLICIT,))),
        *,
        source: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        timeout: float = 60,
    ) -> Self:
        """Raises RejectedError, AbortedError or OSError."""
        connection = dial(port, source, timeout)
        if tls is not None:
            connection = tls.wrap_socket(connection, server_hostname="localhost")
        one = cls(connection)
        one.send(request(called, calling, contexts))
        one._accepted(one.read(2))
        return one

    def _accepted(self, body: bytes) -> None:
        for kind, value in parsed_items(body[68:]):
            if kind == 0x21:
                self.results[value[0]] = value[2]
                if value[2] == 0:
                    self.syntaxes[value[0]] = dict(parsed_items(value[4:]))[0x40].decode()
            elif kind == 0x50:
                self.longest = int.from_bytes(dict(parsed_items(value))[0x51], "big")

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            piece = self.connection.recv(count - len(found))
            if not piece:
                raise ConnectionResetError("closed by the peer")
            found += piece
        return found

    def read(self, expected: int) -> bytes:
        """The body of the next PDU, which must be of that kind."""
        kind, length = struct.unpack(">BxL", self._exactly(6))
        body = self._exactly(length)
        if kind == 3 != expected:
            raise RejectedError(*body[1:])
        if kind == 7 != expected:
            raise AbortedError(*body[2:])
        assert kind == expected, kind
        return body

    def answer(self) -> dict[int, bytes]:
        """The command set of the next answer."""
        return parsed_command(self.read(4)[6:])

    def status(self) -> int:
        """The status of the next answer."""
        return int.from_bytes(self.answer()[0x0900], "little")

    def echo(self, context: int = 1) -> int:
        asked = command(e0002=VERIFICATION, e0100=0x30, e0110=7, e0800=0x0101)
        self.send(data_pdus(context, 1, asked, self.longest))
        return self.status()

    def store(self, instance: str, data: bytes, *, context: int = 3, sop_class: str = DX, message: int = 1) -> int:
        self.send(store_message(context, message, sop_class, instance, data, self.longest))
        return self.status()

    def release(self) -> None:
        self.send(pdu(5, bytes(4)))
        self.read(6)
        self.connection.close()

    def close(self) -> None:
        self.connection.close()


def dial(port: int, source: str = "127.0.0.1", timeout: float = 60) -> socket.socket:
    """A connection from one of the loopback interface's many addresses."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(source, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def explicit(elements: Mapping[int, tuple[str, bytes]]) -> bytes:
    """A data set in explicit VR, little endian; values are padded by the caller."""
    out = b""
    for tag, (vr, value) in sorted(elements.items()):
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
        long = vr in ("OB", "OW", "SQ", "UN", "UT")
        out += head + (struct.pack("<xxL", len(value)) if long else struct.pack("<H", len(value))) + value
    return out


def uid_bytes(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


def small_dx(instance: str, size: int = 2000, sop_class: str = DX, **more: tuple[str, bytes]) -> bytes:
    """A data set with nothing but identifiers and `size` bytes of pixels."""
    elements = {
        0x00080016: ("UI", uid_bytes(sop_class)),
        0x00080018: ("UI", uid_bytes(instance)),
        0x00080060: ("CS", b"DX"),
        0x00100010: ("PN", b"Canary^Bird "),
        0x7FE00010: ("OW", bytes(size)),
    }
    return explicit(elements | {int(name[1:], 16): value for name, value in more.items()})
