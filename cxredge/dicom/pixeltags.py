"""The tags that describe the stored pixels (PS3.3 C.7.6.3), checked against one another."""

from __future__ import annotations

from dataclasses import dataclass

from cxredge.dicom import tags as t
from cxredge.dicom.tags import Tags, tag_text
from cxredge.errors import Abstention, Code, InputError
from cxredge.sources import Limits

__all__ = ["SMALLEST_SIDE", "PixelTags", "read_pixel_tags"]

SMALLEST_SIDE = 32
"""No chest can be read from an image with fewer pixels on a side."""

_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
_COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})


@dataclass(frozen=True, slots=True)
class PixelTags:
    """How the stored pixels are described; valid once constructed."""

    rows: int
    columns: int
    samples: int
    photometric: str
    planar: bool
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool


def read_pixel_tags(tags: Tags, limits: Limits) -> PixelTags:
    """The description of a single image.

    Raises:
        InputError: MULTI_FRAME, PHOTOMETRIC_UNSUPPORTED, PIXEL_FORMAT_INVALID, TOO_LARGE.
        Abstention: IMAGE_TOO_SMALL.
    """
    _check_frames(tags)
    samples, photometric = _colour(tags)
    rows, columns = _number(tags, t.ROWS), _number(tags, t.COLUMNS)
    limits.check_size(rows, columns)
    allocated = _number(tags, t.BITS_ALLOCATED)
    limits.check_unpacked(rows * columns * samples * allocated // 8)
    stored = _number(tags, t.BITS_STORED)
    high_bit = _number(tags, t.HIGH_BIT, least=0)
    _require(allocated in (8, 16, 32), f"{allocated} bits", t.BITS_ALLOCATED)
    _require(stored <= allocated, f"{stored} of {allocated} bits", t.BITS_STORED)
    _require(stored - 1 <= high_bit < allocated, f"high bit {high_bit} for {stored} bits", t.HIGH_BIT)
    representation = _number(tags, t.PIXEL_REPRESENTATION, least=0)
    _require(representation <= 1, f"{representation}", t.PIXEL_REPRESENTATION)
    if min(rows, columns) < SMALLEST_SIDE:
        raise Abstention(Code.IMAGE_TOO_SMALL, f"{rows} x {columns} pixels", tag=tag_text(t.ROWS))
    return PixelTags(
        rows=rows,
        columns=columns,
        samples=samples,
        photometric=photometric,
        planar=samples == 3 and bool(tags.short(t.PLANAR_CONFIGURATION)),
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        signed=bool(representation),
    )


def _require(holds: bool, detail: str, tag: int) -> None:
    if not holds:
        raise InputError(Code.PIXEL_FORMAT_INVALID, detail, tag=tag_text(tag))


def _number(tags: Tags, tag: int, *, least: int = 1) -> int:
    value = tags.short(tag)
    if value is None:
        raise InputError(Code.PIXEL_FORMAT_INVALID, "missing", tag=tag_text(tag))
    _require(value >= least, f"{value}", tag)
    return value


def _check_frames(tags: Tags) -> None:
    text = tags.text(t.NUMBER_OF_FRAMES)
    if not text:
        return
    _require(text.isascii() and text.isdigit() and len(text) < 12 and int(text) > 0, "no count", t.NUMBER_OF_FRAMES)
    if int(text) > 1:
        raise InputError(Code.MULTI_FRAME, f"{int(text)} frames", tag=tag_text(t.NUMBER_OF_FRAMES))


def _colour(tags: Tags) -> tuple[int, str]:
    photometric = tags.text(t.PHOTOMETRIC)
    samples = _number(tags, t.SAMPLES_PER_PIXEL)
    if photometric not in _GREY | _COLOUR:
        raise InputError(Code.PHOTOMETRIC_UNSUPPORTED, tag=tag_text(t.PHOTOMETRIC))
    _require(samples == (1 if photometric in _GREY else 3), f"{samples} samples a pixel", t.SAMPLES_PER_PIXEL)
    return samples, photometric
