"""Walks over the pieces of a PNG, JPEG or TIFF file before a library gets it.

Libraries take each piece in turn, some microseconds or a copy of all before it at a time: a few megabytes of empty
chunks, fill bytes, pages or scans cost them seconds to minutes. What real files hold of them is counted in tens.
PNG: ISO/IEC 15948 5.3; JPEG: ITU-T T.81 B.1.1; TIFF: revision 6.0, section 2.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from cxredge.errors import Code, InputError

__all__ = ["MOST_SCANS", "check_scans", "check_structure"]

MOST_CHUNKS = 50_000
"""Of a PNG: 100 megabytes in chunks of 8 KB are 12,800."""
MOST_SEGMENTS = 1_000
"""Of a JPEG before its picture; a colour profile takes up to 255."""
MOST_FILL = 10_000
MOST_METADATA = 16 << 20
"""Bytes of those segments."""
MOST_SCANS = 32
"""Of a JPEG: encoders write up to some fourteen. Each costs a pass over the whole picture, however short it is."""
MOST_ENTRIES = 5_000
MOST_VALUES = 200_000
"""Of one TIFF entry that is not mere bytes: a strip a row of the tallest picture, tenfold."""
_BYTES = frozenset({1, 2, 6, 7})
"""TIFF's types of one byte: BYTE, ASCII, SBYTE, UNDEFINED."""


def check_structure(kind: str | None, file: BinaryIO) -> None:
    """Refuse a file of too many pieces; the file is left at its start.

    A structure that is broken is let pass: it is the library's to say so.

    Raises:
        InputError: TOO_LARGE.
    """
    walk = {"PNG": _png, "JPEG": _jpeg, "TIFF": _tiff}.get(kind or "")
    if walk is not None:
        walk(file)
    file.seek(0)


def check_scans(stream: bytes) -> None:
    """Refuse a JPEG of more scans than any encoder writes.

    The marker cannot stand within a scan's data, where 0xFF is followed by a zero (T.81 B.1.1.5).

    Raises:
        InputError: TOO_LARGE.
    """
    _check(stream.count(b"\xff\xda"), MOST_SCANS, "scans")


def _check(count: int, most: int, what: str) -> None:
    if count > most:
        raise InputError(Code.TOO_LARGE, f"over {most} {what}")


def _png(file: BinaryIO) -> None:
    file.seek(8)
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        file.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    raise InputError(Code.TOO_LARGE, f"over {MOST_CHUNKS} chunks")


def _jpeg(file: BinaryIO) -> None:
    file.seek(2)
    fill = segments = 0
    while len(marker := file.read(2)) == 2:
        if marker == b"\xff\xda":  # the picture begins
            _check_scans_from(file)
            return
        if marker[0] != 0xFF or marker[1] in (0x00, 0xFF):  # libraries search on, a byte at a time
            fill += 1
            file.seek(-1, os.SEEK_CUR)
        else:
            segments += 1
            if not (marker[1] == 0x01 or 0xD0 <= marker[1] <= 0xD9):  # those stand alone
                file.seek(max(0, int.from_bytes(file.read(2), "big") - 2), os.SEEK_CUR)
        _check(fill, MOST_FILL, "fill bytes")
        _check(segments, MOST_SEGMENTS, "segments")
        _check(file.tell(), MOST_METADATA, "bytes before the picture")


def _check_scans_from(file: BinaryIO) -> None:
    """Count the scans of the rest, a megabyte at a time; the first is the one that the file stands behind."""
    count, last = 1, b""
    while chunk := file.read(1 << 20):
        count += (last + chunk).count(b"\xff\xda")
        _check(count, MOST_SCANS, "scans")
        last = chunk[-1:]


def _tiff(file: BinaryIO) -> None:
    """The first page's entries; whether there is a second page is asked of the library."""
    head = file.read(16)
    order, big = ("<" if head[:2] == b"II" else ">"), head[2:4] in (b"+\0", b"\0+")
    try:
        (at,) = struct.unpack_from(f"{order}Q", head, 8) if big else struct.unpack_from(f"{order}I", head, 4)
        file.seek(at)
        (count,) = struct.unpack(f"{order}Q", file.read(8)) if big else struct.unpack(f"{order}H", file.read(2))
    except (struct.error, OverflowError, ValueError, OSError):
        return
    _check(count, MOST_ENTRIES, "entries")
    form = struct.Struct(f"{order}HHQ8x" if big else f"{order}HHI4x")
    table = file.read(count * form.size)
    for _, kind, values in form.iter_unpack(table[: len(table) // form.size * form.size]):
        if kind not in _BYTES:
            _check(values, MOST_VALUES, "values of an entry")
