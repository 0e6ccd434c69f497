"""The bytes of the DICOM upper layer (PS3.8 9.3) and of command sets (PS3.7 6.3), as an acceptor needs them.

pynetdicom makes an object of every item and logs what it reads; a listener that strangers reach needs neither. The
tests hold what is here against pynetdicom's own reading and writing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

from cxredge.dicom.own import IMPLEMENTATION

__all__ = [
    "IMPLEMENTATION_VERSION",
    "MOST_REQUEST_BYTES",
    "Abort",
    "Command",
    "Context",
    "Operation",
    "Pdu",
    "Reject",
    "Request",
    "WireError",
    "abort",
    "accept",
    "answer",
    "is_uid",
    "read_command",
    "read_request",
    "read_titles",
    "reject",
    "release_answer",
]

MOST_REQUEST_BYTES = 1 << 18
"""Of an association request: 128 contexts with 40 transfer syntaxes each take half of it."""
_MOST_CONTEXTS = 128  # PS3.8 9.3.2.2: they are numbered by odd bytes
_FIXED = 68  # PS3.8 table 9-11: what comes before the items, behind the six bytes that every PDU begins with
IMPLEMENTATION_VERSION = "CXREDGE_NODE"
"""Implementation Version Name of the node, in associations and in the files that it receives."""
_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_NO_DATA_SET = 0x0101  # PS3.7 E.1


class WireError(Exception):
    """What came is not what the standard allows. It holds nothing of what was sent."""


class Pdu(IntEnum):
    """The kinds of PDU (PS3.8 9.3.1)."""

    REQUEST = 1
    ACCEPT = 2
    REJECT = 3
    DATA = 4
    RELEASE = 5
    RELEASE_ANSWER = 6
    ABORT = 7


class Reject(Enum):
    """Why an association is rejected: result, source and reason of PS3.8 table 9-21."""

    APPLICATION_CONTEXT = (1, 1, 2)
    CALLING_TITLE = (1, 1, 3)
    CALLED_TITLE = (1, 1, 7)
    PROTOCOL = (1, 2, 2)
    CONGESTED = (2, 3, 1)
    LIMIT = (2, 3, 2)


class Abort(IntEnum):
    """Why an association is aborted by the provider: the reason of PS3.8 table 9-26."""

    NOT_SPECIFIED = 0
    UNRECOGNISED_PDU = 1
    UNEXPECTED_PDU = 2
    INVALID_PARAMETER = 6


class Operation(IntEnum):
    """The command fields that are answered (PS3.7 E.1-1)."""

    STORE = 0x0001
    ECHO = 0x0030
    CANCEL = 0x0FFF


@dataclass(frozen=True, slots=True)
class Context:
    """A proposed presentation context."""

    number: int
    abstract: str
    syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """An association request: what its sender takes, and what it may send of."""

    contexts: tuple[Context, ...]
    longest_pdu: int  # 0: any


@dataclass(frozen=True, slots=True)
class Command:
    """A command set: what of it is used."""

    operation: int
    message: int
    has_data: bool
    sop_class: str
    sop_instance: str


def is_uid(text: str) -> bool:
    """Whether it has the form of a UID (PS3.5 9.1); leading zeros are let pass, as devices in use write them."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def read_titles(body: bytes) -> tuple[str, str]:
    """Called and calling AE title of an association request, without a look at what else it holds.

    Raises:
        WireError: it is too short.
    """
    if len(body) < _FIXED:
        raise WireError("a short request")
    called, calling = body[4:20], body[20:36]
    return called.decode("ascii", "replace").strip(" \0"), calling.decode("ascii", "replace").strip(" \0")


def read_request(body: bytes) -> Request | Reject:
    """An association request (PS3.8 9.3.2), or why it cannot be accepted, whatever it proposes.

    Raises:
        WireError: it is malformed.
    """
    if len(body) < _FIXED:
        raise WireError("a short request")
    if not body[1] & 1:
        return Reject.PROTOCOL
    contexts: list[Context] = []
    longest, application = 0, b""
    for kind, value in _items(memoryview(body)[_FIXED:]):
        if kind == 0x10:
            application = bytes(value).rstrip(b"\0 ")
        elif kind == 0x20:
            contexts.append(_context(value))
        elif kind == 0x50:
            longest = next((_long(part) for what, part in _items(value) if what == 0x51), 0)
        if len(contexts) > _MOST_CONTEXTS:
            raise WireError("too many contexts")
    if application != _APPLICATION_CONTEXT:
        return Reject.APPLICATION_CONTEXT
    numbers = {context.number for context in contexts}
    if len(numbers) < len(contexts) or any(number % 2 == 0 for number in numbers):
        raise WireError("contexts without a number of their own")
    return Request(tuple(contexts), longest)


def _items(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Items and sub-items: kind, an unused byte, two bytes of length, the value."""
    place = 0
    while place < len(data):
        if place + 4 > len(data):
            raise WireError("a cut item")
        kind, length = struct.unpack_from(">BxH", data, place)
        place += 4 + length
        if place > len(data):
            raise WireError("an item that is longer than what holds it")
        yield kind, data[place - length : place]


def _context(value: memoryview) -> Context:
    if len(value) < 4:
        raise WireError("a short context")
    parts = list(_items(value[4:]))
    abstract = next((_text(part) for kind, part in parts if kind == 0x30), "")
    return Context(value[0], abstract, tuple(_text(part) for kind, part in parts if kind == 0x40))


def _text(value: memoryview) -> str:
    return bytes(value).decode("ascii", "replace").strip("\0 ")


def _long(value: memoryview) -> int:
    if len(value) != 4:
        raise WireError("a length that is not of four bytes")
    return int.from_bytes(value, "big")


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _pdu(kind: Pdu, body: bytes) -> bytes:
    return struct.pack(">BxL", kind, len(body)) + body


def accept(request_body: bytes, answers: Sequence[tuple[int, int, str]], longest_pdu: int) -> bytes:
    """A-ASSOCIATE-AC (PS3.8 9.3.3).

    Args:
        request_body: the request; its titles go back as they came.
        answers: number, result and transfer syntax of each context.
        longest_pdu: what the sender may send.
    """
    contexts = (
        _item(0x21, bytes((number, 0, result, 0)) + _item(0x40, syntax.encode("ascii", "replace")))
        for number, result, syntax in answers
    )
    user = (
        _item(0x51, struct.pack(">L", longest_pdu))
        + _item(0x52, IMPLEMENTATION.encode("ascii"))
        + _item(0x55, IMPLEMENTATION_VERSION.encode("ascii"))
    )
    fixed = struct.pack(">HH", 1, 0) + request_body[4:36] + bytes(32)
    items = _item(0x10, _APPLICATION_CONTEXT) + b"".join(contexts) + _item(0x50, user)
    return _pdu(Pdu.ACCEPT, fixed + items)


def reject(why: Reject) -> bytes:
    """A-ASSOCIATE-RJ."""
    return _pdu(Pdu.REJECT, bytes((0, *why.value)))


def abort(why: Abort) -> bytes:
    """A-ABORT by the provider."""
    return _pdu(Pdu.ABORT, bytes((0, 0, 2, why)))


def release_answer() -> bytes:
    """A-RELEASE-RP."""
    return _pdu(Pdu.RELEASE_ANSWER, bytes(4))


def read_command(data: bytes) -> Command:
    """A command set: implicit VR, little endian, whatever the context's transfer syntax (PS3.7 6.3.1).

    Raises:
        WireError: it is malformed, or says not what it commands.
    """
    values: dict[int, bytes] = {}
    place = 0
    while place < len(data):
        if place + 8 > len(data):
            raise WireError("a cut command")
        group, element, length = struct.unpack_from("<HHL", data, place)
        place += 8 + length
        if group != 0 or place > len(data):
            raise WireError("no command set")
        values[element] = data[place - length : place]
    numbers = [values.get(element, b"") for element in (0x0100, 0x0110, 0x0800)]
    if any(len(number) != 2 for number in numbers):
        raise WireError("a command without what each must have")
    operation, message, data_set = (int.from_bytes(number, "little") for number in numbers)
    uids = [values.get(element, b"").decode("ascii", "replace").rstrip("\0 ") for element in (0x0002, 0x1000)]
    return Command(operation, message, data_set != _NO_DATA_SET, *uids)


def answer(context: int, command: Command, status: int) -> bytes:
    """The P-DATA-TF PDU that answers a C-STORE or C-ECHO (PS3.7 9.3.1.2, 9.3.5.2); UIDs that are none are left out."""
    elements: list[tuple[int, str | int]] = [
        (0x0002, command.sop_class if is_uid(command.sop_class) else ""),
        (0x0100, command.operation | 0x8000),
        (0x0120, command.message),
        (0x0800, _NO_DATA_SET),
        (0x0900, status),
        (0x1000, command.sop_instance if is_uid(command.sop_instance) else ""),
    ]
    coded = b"".join(_element(number, value) for number, value in elements if value != "")
    whole = struct.pack("<HHLL", 0, 0, 4, len(coded)) + coded
    return _pdu(Pdu.DATA, struct.pack(">LBB", len(whole) + 2, context, 0b11) + whole)


def _element(number: int, value: str | int) -> bytes:
    if isinstance(value, int):
        coded = struct.pack("<H", value)
    else:
        coded = value.encode("ascii")
        coded += b"\0" * (len(coded) % 2)
    return struct.pack("<HHL", 0, number, len(coded)) + coded
