"""The headers of code streams in their rarer lawful forms, and those that claim what no film has."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from cxredge.dicom.codestream import jpeg_2000_info, jpeg_frame_marker, jpeg_info, jpeg_xl_info
from cxredge.errors import Code, CxredgeError
from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import open_source, read_plane
from tests.support import dicom_files as files
from tests.support.phantom import draw_phantom

IMAGE = draw_phantom(100, 90)
SIZ = b"\xff\x4f\xff\x51" + struct.pack(">HH8IH", 41, 0, 90, 100, 0, 0, 90, 100, 0, 0, 1) + bytes([11, 1, 1])


def plane(syntax: str, codestream: bytes) -> np.ndarray:
    data = files.dicom_bytes(IMAGE, syntax=syntax, codestream=codestream, window=(2048, 4096))
    return read_plane(open_source(data), Geometry(64, 64), Percentiles())[0]


@pytest.mark.parametrize("syntax", [files.JPEG_LOSSLESS, files.JPEG_LS])
def test_fill_bytes_before_a_marker(syntax: str) -> None:
    """T.81 B.1.1.2: any number of 0xFF may stand before a marker."""
    stream = files.encode(IMAGE, syntax, 12)
    filled = stream[:2] + b"\xff" * 7 + stream[2:]
    assert jpeg_info(filled) == jpeg_info(stream)
    np.testing.assert_array_equal(plane(syntax, filled), plane(syntax, stream))


def test_jpeg_2000_in_a_jp2_file() -> None:
    """Some writers put the whole file into the fragment."""
    stream = files.encode(IMAGE, files.J2K_LOSSLESS, 12)
    colour = struct.pack(">I4sBBBI", 15, b"colr", 1, 0, 0, 17)
    size = struct.pack(">I4sIIHBBBB", 22, b"ihdr", 100, 90, 1, 11, 7, 0, 0)
    boxes = struct.pack(">I4sI", 12, b"jP  ", 0x0D0A870A) + struct.pack(">I4s4sI4s", 20, b"ftyp", b"jp2 ", 0, b"jp2 ")
    boxes += struct.pack(">I4s", 8 + len(size) + len(colour), b"jp2h") + size + colour
    boxed = boxes + struct.pack(">I4s", 8 + len(stream), b"jp2c") + stream
    assert jpeg_2000_info(boxed) == jpeg_2000_info(stream)
    np.testing.assert_array_equal(plane(files.J2K_LOSSLESS, boxed), plane(files.J2K_LOSSLESS, stream))


def code_of(info: object, frame: bytes) -> Code:
    with pytest.raises(CxredgeError) as caught:
        info(frame)  # type: ignore[operator]
    return caught.value.code


def test_jpeg_2000_headers_that_are_refused() -> None:
    empty = SIZ.replace(struct.pack(">IIII", 90, 100, 0, 0), struct.pack(">IIII", 90, 100, 90, 0), 1)
    assert code_of(jpeg_2000_info, empty) is Code.CODESTREAM_BROKEN
    assert code_of(jpeg_2000_info, SIZ + b"\xff\x90" + bytes(20)) is Code.CODESTREAM_BROKEN  # no coding style
    parts = (b"\xff\x90" + struct.pack(">HHIBB", 10, 0, 14, 0, 1) + b"\xff\x93") * 500_001
    style = b"\xff\x52\0\x0c\0\0\0\1\0\5\4\4\0\1"
    assert code_of(jpeg_2000_info, SIZ + style + parts) is Code.TOO_LARGE


def test_jpeg_xl_in_a_container() -> None:
    """ISO/IEC 18181-2: the code stream whole, or in numbered parts, behind other boxes; sizes of 64 bits too."""
    stream = files.encode(IMAGE, files.JXL_LOSSLESS, 12)
    start = stream.find(b"\xff\x0a")
    bare = stream if start == 0 else stream[start:]
    head = b"\0\0\0\x0cJXL \r\n\x87\n" + struct.pack(">I4s4sI4s", 20, b"ftyp", b"jxl ", 0, b"jxl ")
    wanted = jpeg_xl_info(bare)
    assert (wanted.rows, wanted.columns) == (100, 90)
    whole = struct.pack(">I4s", 8 + len(bare), b"jxlc") + bare
    part = struct.pack(">I4sI", 12 + len(bare), b"jxlp", 1 << 31) + bare
    long = struct.pack(">I4sQ", 1, b"jxlc", 16 + len(bare)) + bare
    other = struct.pack(">I4sQ", 1, b"free", 24) + bytes(8)
    for boxes in (whole, part, long, other + whole):
        assert jpeg_xl_info(head + boxes) == wanted
    assert code_of(jpeg_xl_info, head + struct.pack(">I4s", 4, b"free") + bytes(20)) is Code.CODESTREAM_BROKEN


def test_a_header_of_too_many_pieces_has_no_frame() -> None:
    assert jpeg_frame_marker(b"\xff\xd8" + b"\xff\xfe\0\2" * 20_000 + b"\xff\xc3" + bytes(20)) == (0, 0)
