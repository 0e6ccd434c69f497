"""What stands before a received data set in its file: preamble and meta information (PS3.10 7.1)."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

from cxredge.dicom.own import IMPLEMENTATION
from cxredge.node.wire import IMPLEMENTATION_VERSION

__all__ = ["FileHead", "file_head", "read_file_head"]

_BEFORE = 128 + 4 + 12  # preamble, prefix, the group's length
_MOST = 1 << 12
_CLASS, _INSTANCE, _SYNTAX, _SENDER = 0x00020002, 0x00020003, 0x00020010, 0x00020016


@dataclass(frozen=True, slots=True)
class FileHead:
    """What it says; the data set begins at `offset`."""

    sop_class: str
    sop_instance: str
    syntax: str
    sender: str
    offset: int


def file_head(sop_class: str, sop_instance: str, syntax: str, sender: str) -> bytes:
    """The bytes before the data set. `sender` is Source Application Entity Title (0002,0016)."""
    values = (
        _element(0x0001, b"OB", b"\0\1"),
        _element(0x0002, b"UI", sop_class.encode("ascii")),
        _element(0x0003, b"UI", sop_instance.encode("ascii")),
        _element(0x0010, b"UI", syntax.encode("ascii")),
        _element(0x0012, b"UI", IMPLEMENTATION.encode("ascii")),
        _element(0x0013, b"SH", IMPLEMENTATION_VERSION.encode("ascii")),
        _element(0x0016, b"AE", sender.encode("ascii")),
    )
    group = b"".join(values)
    return bytes(128) + b"DICM" + _element(0x0000, b"UL", struct.pack("<L", len(group))) + group


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    """PS3.5 7.1.2: explicit VR, little endian."""
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    length = struct.pack("<xxL", len(value)) if vr == b"OB" else struct.pack("<H", len(value))
    return struct.pack("<HH", 2, number) + vr + length + value


def read_file_head(file: BinaryIO) -> FileHead | None:
    """What `file_head` wrote; None where the file begins otherwise."""
    from pydicom.filereader import data_element_generator

    before = file.read(_BEFORE)
    if len(before) < _BEFORE or before[128:132] != b"DICM":
        return None
    length = int.from_bytes(before[-4:], "little")
    if length > _MOST:
        return None
    try:
        said = {int(one.tag): one.value for one in data_element_generator(io.BytesIO(file.read(length)), False, True)}
    except Exception:  # pydicom's reader raises whatever broken bytes lead it to
        return None
    values = [said.get(tag) for tag in (_CLASS, _INSTANCE, _SYNTAX, _SENDER)]
    sop_class, instance, syntax, sender = (
        value.decode("ascii", "replace").strip("\0 ") if isinstance(value, bytes) else "" for value in values
    )
    if not all((sop_class, instance, syntax, sender)):
        return None
    return FileHead(sop_class, instance, syntax, sender, _BEFORE + length)
