"""Gathers the fragments of an encapsulated frame (PS3.5 A.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from cxredge.dicom.header import PixelElement
from cxredge.errors import Code, InputError
from cxredge.sources import typed_errors

__all__ = ["read_frame"]

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_TAG = "(7FE0,0010)"


_MOST_FRAGMENTS = 100_000
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
"""What an image in JPEG and one in JPEG 2000 begins with; neither can stand anywhere else in its code stream."""


def read_frame(element: PixelElement, most: int) -> bytes:
    """The one frame's code stream: all fragments after the offset table, joined.

    A missing sequence delimiter at the end of the file is let pass; a fragment that ends early is not.

    Args:
        element: where the pixel data lies.
        most: bytes that the code stream may have.

    Raises:
        InputError: DICOM_BROKEN; PIXELS_TRUNCATED where the file ends within a fragment; MULTI_FRAME where the offset
            table or the fragments hold several frames, whatever the tags say; TOO_LARGE.
    """
    with typed_errors(Code.FILE_UNREADABLE, "pixel data"), element.blob.open() as file:
        file.seek(element.offset)
        offsets = _item(file, element.blob.size, most) or b""
        _check_offsets(offsets)
        fragments = list(_fragments(file, element.blob.size, most))
    frames = sum(fragment.startswith(_STARTS) for fragment in fragments)
    if frames > 1:
        raise InputError(Code.MULTI_FRAME, f"{frames} frames by the fragments", tag=_TAG)
    if not fragments:
        raise InputError(Code.NO_PIXEL_DATA, "no fragment", tag=_TAG)
    return fragments[0] if len(fragments) == 1 else b"".join(fragments)


def _check_offsets(table: bytes) -> None:
    """PS3.5 A.4: an offset of 32 bits for each frame, the first of them 0. One frame needs none: it may be wrong."""
    if len(table) <= 4 and len(table) % 4 == 0:
        return
    if len(table) % 4 or table[:4] != b"\0\0\0\0":
        raise InputError(Code.DICOM_BROKEN, "no offset table where one should be", tag=_TAG)
    raise InputError(Code.MULTI_FRAME, f"{len(table) // 4} frames by the offset table", tag=_TAG)


def _fragments(file: BinaryIO, size: int, most: int) -> Iterator[bytes]:
    """The fragments that are not empty."""
    for _ in range(_MOST_FRAGMENTS):
        fragment = _item(file, size, most)
        if fragment is None:
            return
        most -= len(fragment)
        if fragment:
            yield fragment
    raise InputError(Code.TOO_LARGE, f"over {_MOST_FRAGMENTS} fragments", tag=_TAG)


def _item(file: BinaryIO, size: int, most: int) -> bytes | None:
    """The next item's value; None at the delimiter, or at the end of the file."""
    head = file.read(8)
    if head[:4] == _END or not head:
        return None
    if head[:4] != _ITEM or len(head) < 8:
        raise InputError(Code.DICOM_BROKEN, "no fragment where one should begin", tag=_TAG)
    length = int.from_bytes(head[4:], "little")
    if length > size - file.tell():
        raise InputError(Code.PIXELS_TRUNCATED, "a fragment ends early", tag=_TAG)
    if length > most:
        raise InputError(Code.TOO_LARGE, "the code stream is larger than its image", tag=_TAG)
    return file.read(length)
