"""Files that are no DICOM, or not quite: preamble, meta information, transfer syntax, lengths, sequences."""

from __future__ import annotations

import zlib

import numpy as np

from cxredge.errors import Code
from tests.support import dicom_files as files
from tests.support.bad_inputs.film import cut, element, film, good, meta_element, put, swapped, with_meta
from tests.support.bad_inputs.table import Group, abstained, error, same

__all__ = ["BOMBS", "FILES", "SYNTAX", "nested", "nested_with_lengths"]

FILES = Group("The file")
SYNTAX = Group("The transfer syntax")
BOMBS = Group("Lengths, nesting and bombs")

_SYNTAX, _MEDIA_UID, _SOP_CLASS = 0x00020010, 0x00020003, 0x00080016
_PRIVATE = 0x00091001
_ITEM, _END_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
_OPEN = b"\xff\xff\xff\xff"

FILES.add("empty", "an empty file", error(Code.NOT_AN_IMAGE), lambda: b"")
FILES.add("text", "a text named .dcm", error(Code.NOT_AN_IMAGE), lambda: b"Dear colleague,\n" * 40)
FILES.add("pdf", "a PDF named .dcm", error(Code.NOT_AN_IMAGE), lambda: b"%PDF-1.7\n" + b"x" * 500)
FILES.add("program", "a program named .dcm", error(Code.NOT_AN_IMAGE), lambda: b"MZ\x90\0" + b"\0" * 600)
FILES.add("zeros", "a file of zeros", error(Code.NOT_AN_IMAGE), lambda: bytes(5000))


@FILES.case("no preamble and no DICM", same(Code.NO_PREAMBLE))
def no_preamble() -> bytes:
    return good(preamble=False)


@FILES.case("no preamble and no meta information", same(Code.NO_PREAMBLE, Code.SYNTAX_GUESSED))
def no_meta() -> bytes:
    return good(meta=False)


@FILES.case("a preamble that begins a program of Windows (MZ)", error(Code.PREAMBLE_EXECUTABLE))
def preamble_mz() -> bytes:
    return b"MZ\x90\0" + good()[4:]


@FILES.case("a preamble that begins a program of Linux (ELF)", error(Code.PREAMBLE_EXECUTABLE))
def preamble_elf() -> bytes:
    return b"\x7fELF\2\1\1" + good()[7:]


@FILES.case("a preamble that begins a script (#!)", error(Code.PREAMBLE_EXECUTABLE))
def preamble_script() -> bytes:
    return b"#!/bin/sh\n" + good()[10:]


@FILES.case("a preamble that begins a TIFF, as whole-slide scanners write it", same())
def preamble_tiff() -> bytes:
    return b"II*\0\x10\0\0\0" + good()[8:]


@FILES.case("ends within the preamble", error(Code.NOT_AN_IMAGE))
def ends_in_preamble() -> bytes:
    return good()[:130]


@FILES.case("ends within the meta information", error(Code.DICOM_BROKEN))
def ends_in_meta() -> bytes:
    return good()[:180]


@FILES.case("ends within the header", error(Code.DICOM_BROKEN))
def ends_in_header() -> bytes:
    data = good()
    return data[: data.index(b"\x28\0\x10\0") + 9]


@SYNTAX.case("no transfer syntax in the meta information", same(Code.SYNTAX_GUESSED))
def syntax_missing() -> bytes:
    return with_meta(meta_element(_MEDIA_UID, _uid()))


@SYNTAX.case("an unknown transfer syntax", error(Code.SYNTAX_UNSUPPORTED))
def syntax_unknown() -> bytes:
    return good(syntax="1.2.3.4", codestream=bytes(999))


@SYNTAX.case("a video's transfer syntax", error(Code.SYNTAX_UNSUPPORTED))
def syntax_video() -> bytes:
    return good(syntax="1.2.840.10008.1.2.4.102", codestream=bytes(999))


@SYNTAX.case("says Implicit VR, is Explicit VR", same(Code.SYNTAX_GUESSED))
def syntax_says_implicit() -> bytes:
    return with_meta(meta_element(_SYNTAX, files.IMPLICIT.encode()) + meta_element(_MEDIA_UID, _uid()))


@SYNTAX.case("says little endian, is big endian", same(Code.SYNTAX_GUESSED))
def syntax_says_little() -> bytes:
    data = good(syntax=files.BIG_ENDIAN)
    return swapped(data, files.BIG_ENDIAN.encode() + b"\0", files.EXPLICIT.encode() + b"\0")


@SYNTAX.case("says JPEG, holds uncompressed pixels", error(Code.DICOM_BROKEN))
def syntax_says_jpeg() -> bytes:
    return with_meta(meta_element(_SYNTAX, files.JPEG_BASELINE.encode()) + meta_element(_MEDIA_UID, _uid()))


@SYNTAX.case("says uncompressed, holds a code stream", error(Code.DICOM_BROKEN))
def syntax_says_raw() -> bytes:
    whole = good(syntax=files.JPEG_LOSSLESS)
    return with_meta(meta_element(_SYNTAX, files.EXPLICIT.encode()) + meta_element(_MEDIA_UID, _uid()), whole)


@SYNTAX.case("says JPEG Lossless, holds JPEG 2000", error(Code.CODESTREAM_BROKEN))
def syntax_says_other_codec() -> bytes:
    return good(syntax=files.JPEG_LOSSLESS, codestream=files.encode(film(), files.J2K_LOSSLESS, 12))


@SYNTAX.case("the syntax's own VR is UN", same())
def meta_vr_un() -> bytes:
    return with_meta(meta_element(_MEDIA_UID, _uid()) + meta_element(_SYNTAX, files.EXPLICIT.encode(), b"UN"), good())


@SYNTAX.case("a VR in group 0002 that does not exist", same())
def meta_vr_unknown() -> bytes:
    return with_meta(meta_element(_MEDIA_UID, _uid()) + meta_element(_SYNTAX, files.EXPLICIT.encode(), b"ZZ"), good())


@SYNTAX.case("a VR in group 0002 of two zero bytes", error(Code.DICOM_BROKEN))
def meta_vr_zero() -> bytes:
    return with_meta(meta_element(_SYNTAX, files.EXPLICIT.encode(), b"\0\0") + meta_element(_MEDIA_UID, _uid()))


@SYNTAX.case("a group length in group 0002 that is wrong", same())
def meta_length_wrong() -> bytes:
    data = good()
    at = data.index(b"\x02\0\0\0UL\x04\0") + 8
    return data[:at] + (9999).to_bytes(4, "little") + data[at + 4 :]


@BOMBS.case("an element that claims more bytes than the file has", error(Code.DICOM_BROKEN))
def length_beyond_file() -> bytes:
    return put(good(), 0x00100010, element(_PRIVATE, b"OB", b"abcd", length=0x7FFFFFF0))


@BOMBS.case("a sequence that claims more bytes than the file has", error(Code.DICOM_BROKEN))
def sequence_beyond_file() -> bytes:
    return put(good(), 0x00100010, element(_PRIVATE, b"SQ", b"", length=0x7FFFFFF0))


@BOMBS.case("a sequence that never ends", error(Code.DICOM_BROKEN))
def sequence_open() -> bytes:
    return put(good(), 0x00100010, b"\x09\0\x01\x10SQ\0\0" + _OPEN + _ITEM + _OPEN)


@BOMBS.case("an item longer than its sequence", error(Code.DICOM_BROKEN))
def item_beyond_sequence() -> bytes:
    item = _ITEM + (5000).to_bytes(4, "little") + element(0x00080100, b"SH", b"T-D3000 ")
    return put(_no_body_part(), 0x00100010, element(0x00082218, b"SQ", item))


def nested(levels: int) -> bytes:
    """Sequences of undefined length, one within the other."""
    head = b"\x09\0\x01\x10SQ\0\0" + _OPEN + _ITEM + _OPEN
    return head * levels + (_END_ITEM + _END) * levels


def nested_with_lengths(levels: int) -> bytes:
    """The same of defined lengths, from the inside out."""
    inner = b""
    for _ in range(levels):
        inner = element(_PRIVATE, b"SQ", _ITEM + len(inner).to_bytes(4, "little") + inner)
    return inner


BOMBS.add("nested_64", "sequences nested 64 deep", same(), lambda: put(good(), 0x00100010, nested(64)))
BOMBS.add(
    "nested_64_defined", "the same, with lengths", same(), lambda: put(good(), 0x00100010, nested_with_lengths(64))
)
BOMBS.add(
    "nested_5000",
    "sequences nested 5,000 deep",
    error(Code.DICOM_BROKEN),
    lambda: put(good(), 0x00100010, nested(5000)),
)
BOMBS.add(
    "nested_200000",
    "sequences nested 200,000 deep",
    error(Code.DICOM_BROKEN),
    lambda: put(good(), 0x00100010, nested(200_000)),
)


@BOMBS.case("a sequence of a million empty items", error(Code.TOO_LARGE))
def million_items() -> bytes:
    items = (_ITEM + b"\0\0\0\0") * 1_000_000
    return put(good(), 0x00100010, b"\x09\0\x01\x10SQ\0\0" + _OPEN + items + _END)


@BOMBS.case("a sequence that is read, of a million items", error(Code.TOO_LARGE))
def million_regions() -> bytes:
    items = (_ITEM + b"\0\0\0\0") * 1_000_000
    return put(_no_body_part(), 0x00100010, element(0x00082218, b"SQ", items))


@BOMBS.case("a sequence that is read, of 5,000 items", error(Code.TOO_LARGE))
def many_regions() -> bytes:
    items = (_ITEM + b"\0\0\0\0") * 5_000
    return put(_no_body_part(), 0x00100010, b"\x08\0\x18\x22SQ\0\0" + _OPEN + items + _END)


@BOMBS.case("two million elements", error(Code.TOO_LARGE))
def million_elements() -> bytes:
    return put(good(), 0x00100010, element(_PRIVATE, b"LO", b"") * 2_000_000)


@BOMBS.case("a deflated data set of 1000:1", error(Code.TOO_LARGE))
def deflate_bomb() -> bytes:
    """1.2 GB of zeros in a private element before the pixels."""
    whole = good(syntax=files.DEFLATED)
    return whole[: _meta_end(whole)] + _packed_zeros(1_200_000_000)


@BOMBS.case("a deflated data set that ends early", error(Code.DICOM_BROKEN))
def deflate_cut() -> bytes:
    return cut(good(syntax=files.DEFLATED), 0.8)


@BOMBS.case("65,535 rows and columns, and few bytes", error(Code.TOO_LARGE))
def rows_65535() -> bytes:
    return good(tags={"Rows": 65535, "Columns": 65535})


@BOMBS.case("a JPEG that claims 65,500 x 65,500 under tags of 640 x 640", error(Code.TOO_LARGE))
def jpeg_claims() -> bytes:
    stream = bytearray(files.encode((film() >> 4).astype(np.uint8), files.JPEG_BASELINE, 8))
    at = stream.index(b"\xff\xc0") + 5
    stream[at : at + 4] = (65_500).to_bytes(2, "big") * 2
    return good((film() >> 4).astype(np.uint8), syntax=files.JPEG_BASELINE, codestream=bytes(stream))


@BOMBS.case("a PNG that claims 65,535 x 65,535", error(Code.TOO_LARGE))
def png_claims() -> bytes:
    head = (65535).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(bytes(9))) + _chunk(b"IEND", b"")
    )


@BOMBS.case("a PNG of 16,000 x 10,000 zeros in 1 MB", error(Code.TOO_LARGE))
def png_bomb() -> bytes:
    head = (16_000).to_bytes(4, "big") + (10_000).to_bytes(4, "big") + b"\x08\0\0\0\0"
    rows = zlib.compress(bytes(16_001 * 10_000), 1)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


@BOMBS.case("a deflated frame that inflates beyond its image", error(Code.PIXELS_DISAGREE_WITH_TAGS))
def frame_bomb() -> bytes:
    return good(syntax=files.DEFLATED_FRAME, codestream=_packed_zeros(400_000_000))


@BOMBS.case("a lateral view behind a bomb of text: nothing of it is kept", abstained(Code.LATERAL_VIEW))
def long_text() -> bytes:
    return put(good(tags={"ViewPosition": "LL"}), 0x00100010, element(_PRIVATE, b"UT", b"x" * 5_000_000))


def _no_body_part() -> bytes:
    return good(tags={"BodyPartExamined": None})


def _uid() -> bytes:
    whole = good()
    at = whole.index(b"\x02\0\x03\0UI") + 8
    return whole[at : at + int.from_bytes(whole[at - 2 : at], "little")].rstrip(b"\0")


def _meta_end(whole: bytes) -> int:
    at = whole.index(b"\x02\0\0\0UL\x04\0") + 8
    return at + 4 + int.from_bytes(whole[at : at + 4], "little")


def _packed_zeros(count: int) -> bytes:
    """A raw deflate stream of an element's head and that many zeros, ten million at a time."""
    machine = zlib.compressobj(9, wbits=-15)
    head = machine.compress(element(_PRIVATE, b"OB", b"", length=count)) + machine.flush(zlib.Z_FULL_FLUSH)
    block = machine.compress(bytes(10_000_000)) + machine.flush(zlib.Z_FULL_FLUSH)  # needs nothing of those before it
    return head + block * (count // 10_000_000) + machine.flush()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
