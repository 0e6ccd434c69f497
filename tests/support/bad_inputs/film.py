"""The good film that every bad input is made from, and the knives for it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.support import dicom_files as files
from tests.support.dicom_files import Pixels

__all__ = [
    "BITS",
    "TOP",
    "WINDOW",
    "cut",
    "element",
    "film",
    "good",
    "half",
    "meta_element",
    "put",
    "swapped",
    "tagged",
    "with_meta",
]

BITS = 12
TOP = (1 << BITS) - 1
WINDOW = (2048.0, 4096.0)
_SOURCE = Path(__file__).resolve().parents[3] / "examples" / "healthy.dcm"


@cache
def film() -> Pixels:
    """A drawn chest without findings, 640 x 640 of 12 bits, bright = dense."""
    from pydicom import dcmread

    pixels: Pixels = dcmread(_SOURCE).pixel_array.astype(np.uint16)
    pixels.flags.writeable = False
    return pixels


def half() -> Pixels:
    """The film in 8 bits."""
    return (film() >> 4).astype(np.uint8)


def good(pixels: Pixels | None = None, **options: Any) -> bytes:
    """The film as a file, or other pixels as the same file; options as of `dicom_bytes`."""
    options.setdefault("window", WINDOW)
    return files.dicom_bytes(film() if pixels is None else pixels, **options)


def tagged(**tags: Any) -> bytes:
    """The film with these attributes set; None removes one."""
    return good(tags=tags)


def element(tag: int, vr: bytes, value: bytes, *, length: int | None = None) -> bytes:
    """One data element in Explicit VR Little Endian; `length` is what it claims instead of the truth."""
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr
    count = len(value) if length is None else length
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return head + b"\0\0" + count.to_bytes(4, "little") + value
    return head + count.to_bytes(2, "little") + value


def meta_element(tag: int, value: bytes, vr: bytes = b"UI") -> bytes:
    """An element of group 0002, its value padded to an even length."""
    return element(tag, vr, value + b"\0" * (len(value) % 2))


def swapped(data: bytes, old: bytes, new: bytes) -> bytes:
    """The bytes with the one place of `old` replaced; a place that is not there is a mistake of the test."""
    assert data.count(old) >= 1, old
    return data.replace(old, new, 1)


def put(data: bytes, before: int, inserted: bytes) -> bytes:
    """The file with elements inserted before the first element of that tag."""
    key = (before >> 16).to_bytes(2, "little") + (before & 0xFFFF).to_bytes(2, "little")
    return swapped(data, key, inserted + key)


def cut(data: bytes, share: float) -> bytes:
    """The first part of it."""
    return data[: int(len(data) * share)]


def with_meta(elements: bytes, data: bytes | None = None) -> bytes:
    """The film behind a meta information that holds only these elements."""
    whole = good() if data is None else data
    return whole[:132] + elements + whole[whole.index(b"\x08\0\x16\0") :]
