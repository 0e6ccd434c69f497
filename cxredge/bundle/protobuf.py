"""Just enough of protobuf's wire format to look into an ONNX file without any library that would load it."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Field", "WireError", "fields", "integer", "message", "text"]

Field = tuple[int, "int | memoryview"]


class WireError(ValueError):
    """The bytes are not protobuf."""


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("a number is cut short")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data: memoryview) -> Iterator[Field]:
    """Each field's number with its value: a number, or the bytes of a string, packed list or inner message.

    Raises:
        WireError: while iterating, where the bytes are damaged.
    """
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise WireError("field number 0")
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise WireError(f"wire type {wire}")
        if size > end - at:
            raise WireError("a field is cut short")
        yield number, data[at : at + size]
        at += size


def message(value: int | memoryview) -> memoryview:
    """The bytes of an inner message.

    Raises:
        WireError: where a number stands.
    """
    if isinstance(value, int):
        raise WireError("a number where a message belongs")
    return value


def text(value: int | memoryview) -> str:
    """A string field.

    Raises:
        WireError: where it is no UTF-8 text.
    """
    try:
        return bytes(message(value)).decode("utf-8")
    except UnicodeDecodeError:
        raise WireError("a name is not text") from None


def integer(value: int | memoryview) -> int:
    """A number field.

    Raises:
        WireError: where bytes stand.
    """
    if not isinstance(value, int):
        raise WireError("bytes where a number belongs")
    return value
