"""Picture files of many pieces: what real ones hold is let pass, and the limits hold to the piece."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from cxredge import structure
from cxredge.errors import Code, InputError
from cxredge.reading import open_source
from cxredge.structure import check_scans, check_structure

GREY = Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64))


def saved(form: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    GREY.save(buffer, form, **settings)
    return buffer.getvalue()


def outcome(kind: str | None, data: bytes) -> str:
    file = io.BytesIO(data)
    try:
        check_structure(kind, file)
    except InputError as error:
        assert error.code is Code.TOO_LARGE
        return error.detail
    assert file.tell() == 0
    return "passed"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("PNG", saved("PNG")),
        ("JPEG", saved("JPEG")),
        ("JPEG", saved("JPEG", progressive=True)),
        ("JPEG", saved("JPEG", icc_profile=bytes(10_000_000))),  # 153 segments
        ("TIFF", saved("TIFF")),
        ("TIFF", saved("TIFF", big_tiff=True)),
        ("TIFF", b"MM" + struct.pack(">HIH", 42, 8, 0) + bytes(4)),
        (None, b"anything"),
    ],
)
def test_what_programs_write_is_let_pass(kind: str | None, data: bytes) -> None:
    assert outcome(kind, data) == "passed"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("size", [0, 2, 3, 4, 8, 9, 15, 40, 130])
def test_what_is_cut_short_is_left_to_the_library(kind: str, size: int) -> None:
    assert outcome(kind, saved(kind)[:size]) == "passed"
    if kind == "TIFF":
        assert outcome(kind, saved(kind, big_tiff=True)[:size]) == "passed"


def chunks(count: int) -> bytes:
    return bytes(8) + (bytes(4) + b"abCd" + bytes(4)) * (count - 1) + bytes(4) + b"IEND"


def segments(count: int) -> bytes:
    return b"\xff\xd8" + b"\xff\xfe\0\2" * count + b"\xff\xda"


def fill(count: int) -> bytes:
    return b"\xff\xd8" + b"\xff" * count + b"\xff\xda"


def metadata(size: int) -> bytes:
    """Segments up to a place of the file, and the picture there."""
    whole, rest = divmod(size - 2, 0xFFFF + 2)
    return (
        b"\xff\xd8"
        + (b"\xff\xe1\xff\xff" + bytes(0xFFFD)) * whole
        + b"\xff\xe1"
        + struct.pack(">H", rest - 2)
        + bytes(rest - 4)
    )


def scans(count: int) -> bytes:
    return b"\xff\xd8" + b"\xff\xda" * count


def entries(count: int) -> bytes:
    return b"II*\0" + struct.pack("<IH", 8, count) + struct.pack("<HHII", 1, 3, 1, 0) * count


def values(count: int) -> bytes:
    return b"MM\0*" + struct.pack(">IH", 8, 1) + struct.pack(">HHII", 273, 4, count, 0)


def big_values(count: int) -> bytes:
    return b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 1) + struct.pack("<HHQQ", 273, 16, count, 0)


@pytest.mark.parametrize(
    ("kind", "make", "most"),
    [
        ("PNG", chunks, structure.MOST_CHUNKS),
        ("JPEG", segments, structure.MOST_SEGMENTS),
        ("JPEG", fill, structure.MOST_FILL),
        ("JPEG", metadata, structure.MOST_METADATA),
        ("JPEG", scans, structure.MOST_SCANS),
        ("TIFF", entries, structure.MOST_ENTRIES),
        ("TIFF", values, structure.MOST_VALUES),
        ("TIFF", big_values, structure.MOST_VALUES),
    ],
)
def test_the_limit_is_the_limit(kind: str, make: Callable[[int], bytes], most: int) -> None:
    assert outcome(kind, make(most)) == "passed"
    assert outcome(kind, make(most + 1)).startswith(f"over {most} ")


def test_a_text_of_a_tiff_may_be_long() -> None:
    """Bytes are kept as bytes: a colour profile or XMP of a megabyte is no harm."""
    assert outcome("TIFF", b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHII", 700, 1, 5_000_000, 0)) == "passed"


def test_a_scan_between_two_pieces_of_the_file_is_counted() -> None:
    """The file is read a megabyte at a time; a marker may lie across."""
    head = b"\xff\xd8\xff\xda"
    across = head + bytes((1 << 20) - 1) + b"\xff\xda" + b"\xff\xda" * (structure.MOST_SCANS - 2)
    assert outcome("JPEG", across) == "passed"
    assert outcome("JPEG", across + b"\xff\xda") == f"over {structure.MOST_SCANS} scans"
    check_scans(across)
    with pytest.raises(InputError):
        check_scans(across + b"\xff\xda")


def test_pages_of_a_tiff() -> None:
    one, two = saved("TIFF"), saved("TIFF", save_all=True, append_images=[GREY])
    assert open_source(one).rows == 64
    with pytest.raises(InputError) as caught:
        open_source(two)
    assert caught.value.code is Code.MULTI_FRAME
