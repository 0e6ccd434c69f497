"""Finds its way through a DICOM file up to the pixel data: preamble, meta information, data set (PS3.10, PS3.5).

pydicom's element generator walks the data set; the values that are not wanted are skipped, and nothing past the
beginning of the pixel data is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from cxredge.dicom import syntaxes
from cxredge.dicom.sequences import MOST_IN_A_SEQUENCE, Budget, walk_sequence
from cxredge.dicom.tags import PIXEL_DATA, WANTED, Tags, tag_text
from cxredge.errors import Code, InputError
from cxredge.result import Notice, notice
from cxredge.sources import Blob, BytesBlob, Limits, typed_errors

__all__ = ["Header", "PixelElement", "looks_like_dicom", "read_header"]

_TRANSFER_SYNTAX = 0x00020010
_MEDIA_UID = 0x00020003
_CHARACTER_SET = 0x00080005
_UNDEFINED = 0xFFFFFFFF
_LONGEST_VALUE = 4 << 20
"""Of an attribute that is read; lookup tables are the longest, of 128 KB each."""
_EXECUTABLE = (b"MZ", b"\x7fELF", b"#!", b"\xfe\xed\xfa", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""What programs of Windows, Linux, shells and macOS begin with; PS3.10 7.1 lets a preamble begin so too."""
_FIRST_PIXEL_TAG = 0x7FE00008  # float, double and integer pixel data follow one another


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixel data lies.

    Attributes:
        blob: the bytes that hold it.
        offset: of its value, from the start of the blob.
        length: of its value; None where undefined (encapsulated).
        word_swapped: 8-bit pixels stored as big-endian 16-bit words (PS3.5 8.1.1, OW).
    """

    blob: Blob
    offset: int
    length: int | None
    word_swapped: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """A data set without its pixels.

    Attributes:
        tags: the wanted attributes.
        syntax: transfer syntax UID; None where the file names none and the pixels are encapsulated.
        big_endian: byte order of the data set, and of raw pixels.
        pixels: where they lie; None where there are none.
        overlays: whether the data set holds overlay planes (60xx,3000).
        warnings: what was odd on the way.
        media_uid: the SOP Instance UID that the file meta information names; None where it names none.
    """

    tags: Tags
    syntax: str | None
    big_endian: bool
    pixels: PixelElement | None
    overlays: bool
    warnings: tuple[Notice, ...]
    media_uid: str | None = None


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file that begins so (132 bytes or more) is DICOM, with or without preamble and meta information."""
    return head[128:132] == b"DICM" or head[:4] == b"DICM" or syntaxes.sniff_encoding(head) is not None


def read_header(blob: Blob, limits: Limits, wanted: Sequence[int] = WANTED) -> Header:
    """Read a file up to its pixel data.

    Args:
        blob: the file.
        limits: the largest that a deflated one may become.
        wanted: the attributes that are read; the others are skipped.

    Raises:
        InputError: DICOM_BROKEN, PREAMBLE_EXECUTABLE, or TOO_LARGE where a deflated data set inflates beyond the
            limits, or where there are more elements than they allow.
    """
    with blob.open() as file, typed_errors(Code.DICOM_BROKEN, "unreadable data set"):
        warnings = [notice(Code.NO_PREAMBLE)] if _skip_preamble(file) else []
        budget = Budget(limits.max_elements)
        meta = _read_meta(file, budget)
        if not meta.present and not warnings:
            warnings.append(notice(Code.NO_PREAMBLE))
        if meta.syntax == syntaxes.DEFLATED:
            blob = BytesBlob(_inflate(file, blob.size, limits))
            with blob.open() as inflated:
                return _read_data_set(inflated, blob, meta, warnings, budget, wanted)
        return _read_data_set(file, blob, meta, warnings, budget, wanted)


def _skip_preamble(file: BinaryIO) -> bool:
    """Move to where the meta information should be; True where the preamble is missing."""
    head = file.read(132)
    if head[128:] == b"DICM":
        if head.startswith(_EXECUTABLE):
            raise InputError(Code.PREAMBLE_EXECUTABLE)
        return False
    file.seek(4 if head[:4] == b"DICM" else 0)
    return True


@dataclass(frozen=True, slots=True)
class _Meta:
    """What group 0002 says; the file is left behind it."""

    present: bool
    syntax: str | None = None
    media_uid: str | None = None


def _read_meta(file: BinaryIO, budget: Budget) -> _Meta:
    from pydicom.filereader import data_element_generator

    def past(tag: int, vr: str | None, length: int) -> bool:  # noqa: ARG001 - pydicom's signature
        budget.spend()
        return tag >> 16 != 2

    begin = file.tell()
    walk = data_element_generator(file, False, True, stop_when=past, specific_tags=[_TRANSFER_SYNTAX, _MEDIA_UID])
    said = {int(element.tag): element.value for element in walk}
    texts = [said.get(tag) for tag in (_TRANSFER_SYNTAX, _MEDIA_UID)]
    syntax, uid = (
        text.decode("ascii", "replace").strip("\0 ") or None if isinstance(text, bytes) else None for text in texts
    )
    return _Meta(file.tell() > begin, syntax, uid)


def _inflate(file: BinaryIO, size: int, limits: Limits) -> bytes:
    """PS3.5 A.5: the whole data set is one raw deflate stream."""
    limits.check_unpacked(size - file.tell())
    machine = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    with typed_errors(Code.DICOM_BROKEN, "broken deflate stream"):
        inflated = machine.decompress(file.read(), limits.max_unpacked_bytes + 1)
    limits.check_unpacked(len(inflated))
    if not machine.eof:
        raise InputError(Code.DICOM_BROKEN, "the deflate stream ends early")
    return inflated


def _encoding(file: BinaryIO, named: str | None) -> tuple[bool, bool, bool]:
    """Implicit VR? Little endian? Guessed? The bytes decide where they contradict the named syntax."""
    begin = file.tell()
    sniffed = syntaxes.sniff_encoding(file.read(8))
    file.seek(begin)
    if named is None:
        if sniffed is None:
            raise InputError(Code.DICOM_BROKEN, "no data set where one should begin")
        return *sniffed, True
    expected = (named == syntaxes.IMPLICIT, named != syntaxes.BIG_ENDIAN)
    return (*expected, False) if sniffed in (None, expected) else (*sniffed, True)


def _read_data_set(
    file: BinaryIO, blob: Blob, meta: _Meta, warnings: list[Notice], budget: Budget, wanted: Sequence[int]
) -> Header:
    if file.tell() >= blob.size:
        raise InputError(Code.DICOM_BROKEN, "no data set")
    implicit, little, guessed = _encoding(file, meta.syntax)
    if guessed:
        warnings = [*warnings, notice(Code.SYNTAX_GUESSED, tag="(0002,0010)")]
    walk = _Walk(file, blob, implicit, little, budget, wanted)
    elements = walk.elements()
    syntax = meta.syntax
    if walk.pixels is not None and walk.pixels.length is not None and (syntax is None or syntax in syntaxes.RAW):
        # Raw pixels: what the bytes say of the byte order counts.
        syntax = syntaxes.IMPLICIT if implicit else syntaxes.EXPLICIT if little else syntaxes.BIG_ENDIAN
    return Header(
        tags=Tags(elements, little_endian=little),
        syntax=syntax,
        big_endian=not little,
        pixels=walk.pixels,
        overlays=walk.overlays,
        warnings=tuple(warnings),
        media_uid=meta.media_uid,
    )


class _Walk:
    """One pass over a data set."""

    def __init__(
        self,
        file: BinaryIO,
        blob: Blob,
        implicit: bool,
        little_endian: bool,
        budget: Budget,
        wanted: Sequence[int],
    ) -> None:
        self._file = file
        self._blob = blob
        self._implicit = implicit
        self._little = little_endian
        self._budget = budget
        self._resume: int | None = None
        self._wanted = wanted
        self.pixels: PixelElement | None = None
        self.overlays = False

    def elements(self) -> dict[int, Any]:
        """The wanted elements, by tag."""
        found = self._some()
        while self._resume is not None:
            self._file.seek(self._resume)
            found |= self._some()
        if self.pixels is None and self._file.tell() < self._blob.size and self._file.read(1) == b"":
            raise InputError(Code.DICOM_BROKEN, "the data set ends early")
        return found

    def _some(self) -> dict[int, Any]:
        """The wanted elements up to the next one that pydicom shall not build; `_resume` is behind that."""
        from pydicom.filereader import data_element_generator

        self._resume = None
        walk = data_element_generator(
            self._file, self._implicit, self._little, stop_when=self._watch, specific_tags=list(self._wanted)
        )
        return {int(element.tag): element for element in walk}

    def _watch(self, tag: int, vr: str | None, length: int) -> bool:
        """Called by the generator at each value; True ends the walk."""
        self._budget.spend()
        here = self._file.tell()
        if tag == PIXEL_DATA:
            swapped = vr == "OW" and not self._little
            self.pixels = PixelElement(self._blob, here, None if length == _UNDEFINED else length, swapped)
        if tag >= _FIRST_PIXEL_TAG:
            return True
        if tag >> 24 == 0x60 and tag & 0xFFFF == 0x3000:
            self.overlays = True
        if length == _UNDEFINED:
            return self._passed(tag, vr)
        if here + length > self._blob.size:
            raise InputError(Code.DICOM_BROKEN, "a value is longer than the file", tag=tag_text(tag))
        if length > _LONGEST_VALUE and (tag in self._wanted or tag == _CHARACTER_SET):
            raise InputError(Code.TOO_LARGE, "a value", tag=tag_text(tag))
        return False

    def _passed(self, tag: int, vr: str | None) -> bool:
        """Whether a value of undefined length was stepped over; one that is wanted has only been checked."""
        here, wanted = self._file.tell(), tag in self._wanted
        implicit = self._implicit or vr in (None, "UN")
        budget = Budget(MOST_IN_A_SEQUENCE) if wanted else self._budget
        walk_sequence(self._file, _UNDEFINED, self._blob.size, budget, implicit=implicit, little_endian=self._little)
        if not wanted:
            self._resume = self._file.tell()
            return True
        if self._file.tell() - here > _LONGEST_VALUE:
            raise InputError(Code.TOO_LARGE, "a value", tag=tag_text(tag))
        self._file.seek(here)
        return False
