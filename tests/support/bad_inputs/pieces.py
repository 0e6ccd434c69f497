"""Pictures of too many pieces: a few megabytes that libraries take seconds to minutes over."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np

from cxredge.errors import Code
from tests.support import dicom_files as files
from tests.support.bad_inputs.film import good
from tests.support.bad_inputs.table import Group, error

__all__ = ["PIECES"]

PIECES = Group("Pictures of too many pieces")
_TOO_LARGE, _BROKEN = error(Code.TOO_LARGE), error(Code.CODESTREAM_BROKEN)
_SIDE = 64


def _chunk(kind: bytes, content: bytes = b"") -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def _png(before: bytes, behind: bytes) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0))
    rows = _chunk(b"IDAT", zlib.compress(bytes((_SIDE + 1) * _SIDE)))
    return b"\x89PNG\r\n\x1a\n" + head + before + rows + behind + _chunk(b"IEND")


PIECES.add("png_chunks", "a PNG of 300,000 empty chunks", _TOO_LARGE, lambda: _png(_chunk(b"abCd") * 300_000, b""))
PIECES.add(
    "png_chunks_behind",
    "the same behind its picture",
    _TOO_LARGE,
    lambda: _png(b"", _chunk(b"abCd") * 300_000),
)
PIECES.add(
    "jpeg_comments", "a JPEG of a million empty comments", _TOO_LARGE, lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 1_000_000
)
PIECES.add("jpeg_fill", "a JPEG of four million fill bytes", _TOO_LARGE, lambda: b"\xff\xd8" + b"\xff" * 4_000_000)
PIECES.add(
    "jpeg_exif",
    "a JPEG of 300,000 pieces of EXIF",
    _TOO_LARGE,
    lambda: b"\xff\xd8" + b"\xff\xe1\0\x0aExif\0\0ab" * 300_000,
)


_FLAT = np.zeros((2000, 2000), np.uint8)


def _progressive() -> bytes:
    """A progressive JPEG whose last scan, of 16 bytes, comes 2,000 times more: each is a pass over the picture."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(_FLAT).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 2_000 + data[-2:]


PIECES.add("jpeg_scans", "a JPEG of 2,000 scans", _TOO_LARGE, _progressive)
PIECES.add(
    "dicom_jpeg_scans",
    "the same in DICOM",
    _TOO_LARGE,
    lambda: good(_FLAT, syntax=files.JPEG_BASELINE, window=(128, 256), codestream=_progressive()),
)


@PIECES.case("a TIFF of 20,000 pages", error(Code.MULTI_FRAME))
def tiff_pages() -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.zeros((_SIDE, _SIDE), np.uint8)).save(buffer, "TIFF")
    made = bytearray(buffer.getvalue())
    (at,) = struct.unpack_from("<I", made, 4)
    (entries,) = struct.unpack_from("<H", made, at)
    page = bytes(made[at : at + 2 + 12 * entries])
    made[4:8] = struct.pack("<I", len(made))
    for left in reversed(range(20_000)):
        made += page + struct.pack("<I", len(made) + len(page) + 4 if left else 0)
    return bytes(made)


@PIECES.case("a TIFF of 65,535 entries", _TOO_LARGE)
def tiff_entries() -> bytes:
    return b"II*\0" + struct.pack("<IH", 8, 65_535) + struct.pack("<HHII", 270, 2, 4, 0x41414141) * 65_535 + bytes(4)


@PIECES.case("a TIFF with five million strips", _TOO_LARGE)
def tiff_strips() -> bytes:
    entries = [(256, 4, 1, _SIDE), (257, 4, 1, _SIDE), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 5_000_000, 200)]
    entries += [(278, 4, 1, 1), (279, 4, 5_000_000, 200)]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)).ljust(200, b"\0") + bytes(20_000_000)


PIECES.add(
    "dicom_jpeg_fill",
    "a JPEG of a million fill bytes, in DICOM",
    _BROKEN,
    lambda: good(syntax=files.JPEG_LOSSLESS, codestream=b"\xff\xd8" + b"\xff" * 1_000_000),
)
_J2K = b"\xff\x4f\xff\x51" + struct.pack(">HH8IH", 41, 0, 640, 640, 0, 0, 640, 640, 0, 0, 1) + bytes([11, 1, 1])
PIECES.add(
    "j2k_segments",
    "JPEG 2000 with a header of 300,000 empty segments",
    _TOO_LARGE,
    lambda: good(syntax=files.J2K_LOSSLESS, codestream=_J2K + b"\xff\x64\0\2" * 300_000),
)
PIECES.add(
    "jxl_boxes",
    "JPEG XL with 150,000 empty boxes before its code stream",
    _BROKEN,
    lambda: good(syntax=files.JXL_LOSSLESS, codestream=b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x08free" * 150_000),
)
