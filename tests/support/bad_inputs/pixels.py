"""Pixels that are not as their tags say, and twins: the same film stored in another way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from cxredge.errors import Code
from tests.support import dicom_files as files
from tests.support.bad_inputs.film import BITS, TOP, WINDOW, element, film, good, half, swapped, tagged
from tests.support.bad_inputs.table import Group, error, ok, same

__all__ = ["COLOUR", "PIXELS", "TWINS"]

PIXELS = Group("Pixels against their tags")
TWINS = Group("Twins: another form, the same score")
COLOUR = Group("Colour")

_ROWS = 0x00280010
_INVALID = error(Code.PIXEL_FORMAT_INVALID)


def _us(tag: int, value: int) -> bytes:
    return element(tag, b"US", value.to_bytes(2, "little"))


PIXELS.add("rows_0", "no rows", _INVALID, lambda: tagged(Rows=0))
PIXELS.add("columns_0", "no columns", _INVALID, lambda: tagged(Columns=0))
PIXELS.add("rows_missing", "Rows is missing", _INVALID, lambda: tagged(Rows=None))
PIXELS.add(
    "rows_one_more", "one row more than the pixel data has", error(Code.PIXELS_TRUNCATED), lambda: tagged(Rows=641)
)


@PIXELS.case("Rows is a text (VR DS) of three letters", _INVALID)
def rows_text() -> bytes:
    return swapped(good(), _us(_ROWS, 640), element(_ROWS, b"DS", b"640 "))


@PIXELS.case('Rows is a text (VR IS), "64", which as a binary number would be 13,366', _INVALID)
def rows_short_text() -> bytes:
    return swapped(good(), _us(_ROWS, 640), element(_ROWS, b"IS", b"64"))


@PIXELS.case("Rows is a 32-bit number (VR UL)", _INVALID)
def rows_long() -> bytes:
    return swapped(good(), _us(_ROWS, 640), element(_ROWS, b"UL", (640).to_bytes(4, "little")))


@PIXELS.case("Rows is a sequence", _INVALID)
def rows_sequence() -> bytes:
    return swapped(good(), _us(_ROWS, 640), element(_ROWS, b"SQ", b""))


@PIXELS.case("the pixel data ends early", error(Code.PIXELS_TRUNCATED))
def pixels_short() -> bytes:
    return good(codestream=film().tobytes()[:-2000])


@PIXELS.case("the file ends within the pixel data", error(Code.PIXELS_TRUNCATED))
def file_short() -> bytes:
    return good()[:-2000]


@PIXELS.case("100 bytes too many", same(Code.PIXELS_PADDED))
def pixels_long() -> bytes:
    return good(codestream=film().tobytes() + b"\7" * 100)


@PIXELS.case("the pixel data of two frames, and no number of frames", error(Code.MULTI_FRAME))
def pixels_twice() -> bytes:
    return good(codestream=film().tobytes() * 2)


@PIXELS.case("two frames", error(Code.MULTI_FRAME))
def two_frames() -> bytes:
    return good(codestream=film().tobytes() * 2, tags={"NumberOfFrames": 2})


@PIXELS.case("says two frames, has one", error(Code.MULTI_FRAME))
def two_frames_said() -> bytes:
    return tagged(NumberOfFrames=2)


@PIXELS.case("a number of frames that is none", _INVALID)
def frames_text() -> bytes:
    return swapped(tagged(NumberOfFrames=1), b"IS\x02\x001 ", b"IS\x02\x00x ")


PIXELS.add("no_pixels", "no pixel data", error(Code.NO_PIXEL_DATA), lambda: tagged(PixelData=None))
PIXELS.add("no_bytes", "pixel data of no bytes", error(Code.PIXELS_TRUNCATED), lambda: good(codestream=b""))
PIXELS.add("allocated_12", "12 bits allocated", _INVALID, lambda: tagged(BitsAllocated=12))
PIXELS.add("allocated_0", "no bits allocated", _INVALID, lambda: tagged(BitsAllocated=0))
PIXELS.add("allocated_8", "8 bits allocated for 16 in the data", _INVALID, lambda: tagged(BitsAllocated=8))
PIXELS.add("stored_over", "more bits stored than allocated", _INVALID, lambda: tagged(BitsStored=17, HighBit=16))
PIXELS.add("stored_0", "no bits stored", _INVALID, lambda: tagged(BitsStored=0))
PIXELS.add("high_bit_low", "a high bit below the bits stored", _INVALID, lambda: tagged(HighBit=7))
PIXELS.add("high_bit_over", "a high bit above the bits allocated", _INVALID, lambda: tagged(HighBit=16))
PIXELS.add("sign_2", "a pixel representation of 2", _INVALID, lambda: tagged(PixelRepresentation=2))
PIXELS.add("sign_missing", "no pixel representation", _INVALID, lambda: tagged(PixelRepresentation=None))

COLOUR.add(
    "palette", "palette colour", error(Code.PHOTOMETRIC_UNSUPPORTED), lambda: good(half(), photometric="PALETTE COLOR")
)


@COLOUR.case("palette colour with an index beyond its table", error(Code.PHOTOMETRIC_UNSUPPORTED))
def palette_beyond() -> bytes:
    colours = ("Red", "Green", "Blue")
    tags: dict[str, object] = {f"{name}PaletteColorLookupTableDescriptor": [16, 0, 8] for name in colours}
    tags |= {f"{name}PaletteColorLookupTableData": bytes(16) for name in colours}
    return good(half(), photometric="PALETTE COLOR", tags=tags)


@COLOUR.case("RGB with three equal channels", ok(Code.COLOR_AS_GREY))
def rgb_grey() -> bytes:
    return good(np.dstack([half()] * 3), photometric="RGB", window=(128, 256))


@COLOUR.case("RGB in colour", error(Code.COLOR_IMAGE))
def rgb_coloured() -> bytes:
    return good(np.dstack([half(), half(), 255 - half()]), photometric="RGB", window=(128, 256))


@COLOUR.case("one sample, called RGB", _INVALID)
def rgb_of_one() -> bytes:
    return good(half(), photometric="RGB")


@COLOUR.case("three samples, called MONOCHROME2", _INVALID)
def grey_of_three() -> bytes:
    return good(np.dstack([half()] * 3))


COLOUR.add(
    "photometric_missing",
    "no photometric interpretation",
    error(Code.PHOTOMETRIC_UNSUPPORTED),
    lambda: tagged(PhotometricInterpretation=None),
)
COLOUR.add(
    "photometric_unknown",
    "a photometric interpretation that does not exist",
    error(Code.PHOTOMETRIC_UNSUPPORTED),
    lambda: tagged(PhotometricInterpretation="MONOCHROME3"),
)


def _syntax_twin(syntax: str) -> Callable[[], bytes]:
    return partial(good, syntax=syntax)


for _syntax in (files.IMPLICIT, files.DEFLATED, files.BIG_ENDIAN, *files.LOSSLESS_SYNTAXES):
    TWINS.add(f"twin_{_syntax}", f"in transfer syntax {_syntax}", same(), _syntax_twin(_syntax), real=True)


@TWINS.case("signed pixels, the window moved with them", same(), real=True)
def twin_signed() -> bytes:
    values = film().astype(np.int16) - 2048
    return good(values, signed=True, window=(WINDOW[0] - 2048, WINDOW[1]))


@TWINS.case("signed pixels and a rescale intercept that takes them back", same(), real=True)
def twin_rescaled() -> bytes:
    values = film().astype(np.int16) - 2048
    return good(values, signed=True, tags={"RescaleSlope": 1, "RescaleIntercept": 2048, "RescaleType": "US"})


@TWINS.case("MONOCHROME1, the values and the window inverted", same(), real=True)
def twin_monochrome1() -> bytes:
    return good(TOP - film(), photometric="MONOCHROME1", window=(TOP - WINDOW[0] + 1, WINDOW[1]))


@TWINS.case("junk above the bits stored", same(), real=True)
def twin_junk_above() -> bytes:
    junk = np.random.default_rng(0).integers(0, 16, film().shape, dtype=np.uint16) << BITS
    return good(film() | junk)


@TWINS.case("the bits at the top of the word, junk below", same(), real=True)
def twin_junk_below() -> bytes:
    junk = np.random.default_rng(0).integers(0, 16, film().shape, dtype=np.uint16)
    return good(film() << 4 | junk, high_bit=15)


@TWINS.case("in 16 bits: values, centre and width times 16", same(), real=True)
def twin_16_bits() -> bytes:
    # LINEAR (PS3.3 C.11.2.1.2.1) counts half a value below the centre and one off the width.
    centre, width = (WINDOW[0] - 0.5) * 16 + 0.5, (WINDOW[1] - 1) * 16 + 1
    return good(film() << 4, bits_stored=16, window=(centre, width))


@TWINS.case("in 32 bits", same(), real=True)
def twin_32_bits() -> bytes:
    return good(film().astype(np.uint32), bits_stored=BITS)
