"""Gathers the fragments of an encapsulated frame (PS3.5 A.4)."""

from __future__ import annotations

from typing import BinaryIO

from cxredge.dicom.header import PixelElement
from cxredge.errors import Code, InputError
from cxredge.sources import typed_errors

__all__ = ["read_frame"]

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_TAG = "(7FE0,0010)"


def read_frame(element: PixelElement) -> bytes:
    """The one frame's code stream: all fragments after the offset table, joined.

    A missing sequence delimiter at the end of the file is let pass; a fragment that ends early is not.

    Raises:
        InputError: DICOM_BROKEN; PIXELS_TRUNCATED where the file ends within a fragment; MULTI_FRAME where the offset
            table names several frames, whatever the tags say.
    """
    with typed_errors(Code.FILE_UNREADABLE, "pixel data"), element.blob.open() as file:
        file.seek(element.offset)
        offsets = _item(file, element.blob.size) or b""
        fragments = []
        while (fragment := _item(file, element.blob.size)) is not None:
            fragments.append(fragment)
    if len(offsets) >= 8:
        raise InputError(Code.MULTI_FRAME, f"{len(offsets) // 4} frames by the offset table", tag=_TAG)
    if not any(fragments):
        raise InputError(Code.NO_PIXEL_DATA, "no fragment", tag=_TAG)
    return fragments[0] if len(fragments) == 1 else b"".join(fragments)


def _item(file: BinaryIO, size: int) -> bytes | None:
    """The next item's value; None at the delimiter, or at the end of the file."""
    head = file.read(8)
    if head[:4] == _END or not head:
        return None
    if head[:4] != _ITEM or len(head) < 8:
        raise InputError(Code.DICOM_BROKEN, "no fragment where one should begin", tag=_TAG)
    length = int.from_bytes(head[4:], "little")
    if length > size - file.tell():
        raise InputError(Code.PIXELS_TRUNCATED, "a fragment ends early", tag=_TAG)
    return file.read(length)
