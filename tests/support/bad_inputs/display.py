"""Windows, lookup tables and rescales that cannot be used, or that contradict one another."""

from __future__ import annotations

from typing import Any

import numpy as np

from cxredge.errors import Code
from tests.support.bad_inputs.film import TOP, film, good, swapped, tagged
from tests.support.bad_inputs.table import Answer, Group, ok, same

__all__ = ["DISPLAY"]

DISPLAY = Group("Windows, lookup tables, rescale, polarity")

_WINDOW = ok(Code.INVALID_WINDOW)
_RESCALE = same(Code.INVALID_RESCALE)


def _windowed(name: str, what: str, answer: Answer, center: Any, width: Any, **tags: Any) -> None:
    DISPLAY.add(
        name, what, answer, lambda: good(window=None, tags={"WindowCenter": center, "WindowWidth": width, **tags})
    )


_windowed("window_missing", "no window", ok(Code.NO_WINDOW), None, None)
_windowed("window_empty", "a window of no value", ok(Code.NO_WINDOW), "", "")
_windowed("window_half", "a centre without a width", _WINDOW, 2048, None)
_windowed("windows_two", "two windows: the first counts", same(Code.SEVERAL_WINDOWS), [2048, 100], [4096, 50])
_windowed("window_width_0", "a width of 0", _WINDOW, 2048, 0)
_windowed("window_width_negative", "a negative width", _WINDOW, 2048, -4096)
_windowed("window_beside", "a window beside all values", _WINDOW, 60000, 10)
_windowed("window_function", "a VOI function that does not exist", _WINDOW, 2048, 4096, VOILUTFunction="CUBIC")
_windowed("window_huge", "a width of 1e308", _WINDOW, 0, "1e308")


def _spelt(name: str, what: str, answer: Answer, spelling: bytes) -> None:
    """A window whose width, 5555, is spelt otherwise: pydicom would not write such a value."""
    DISPLAY.add(name, what, answer, lambda: swapped(good(window=(2048.0, 5555)), b"5555", spelling))


_spelt("window_nan", "a width that is not a number (NaN)", _WINDOW, b"NaN ")
_spelt("window_infinite", "an infinite width", _WINDOW, b"inf ")
_spelt("window_text", "a width that is a word", _WINDOW, b"wide")
_spelt("window_bytes", "a width of bytes that are no text", _WINDOW, b"\xff\xfe\x00\x81")


def _item(entries: int, first: int, bits: int, data: bytes) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.add_new(0x00283002, "US", [entries, first, bits])
    item.add_new(0x00283006, "OW", data)
    return item


def _ramp(entries: int) -> bytes:
    return np.linspace(0, 65535, entries).astype("<u2").tobytes()


_TABLES = {
    "short": ("with fewer entries than it claims", (4096, 0, 16, _ramp(4000))),
    "bits": ("of 40 bits", (4096, 0, 40, _ramp(4096))),
    "over": ("with values beyond its bits", (4096, 0, 12, _ramp(4096))),
    "empty": ("without data", (4096, 0, 16, b"")),
}
for _name, (_what, _parts) in _TABLES.items():
    DISPLAY.add(
        f"voi_lut_{_name}",
        f"a VOI LUT {_what}; the window counts",
        same(Code.INVALID_LUT),
        lambda parts=_parts: tagged(VOILUTSequence=[_item(*parts)]),
    )
    DISPLAY.add(
        f"modality_lut_{_name}",
        f"a modality LUT {_what}",
        same(Code.INVALID_LUT),
        lambda parts=_parts: tagged(ModalityLUTSequence=[_item(*parts)]),
    )


@DISPLAY.case("a VOI LUT without a descriptor; the window counts", same(Code.INVALID_LUT))
def voi_lut_bare() -> bytes:
    from pydicom.dataset import Dataset

    return tagged(VOILUTSequence=[Dataset()])


@DISPLAY.case("a VOI LUT and a window: the table counts", ok(Code.SEVERAL_WINDOWS, own=False))
def voi_lut_and_window() -> bytes:
    return tagged(VOILUTSequence=[_item(4096, 0, 16, _ramp(4096))])


@DISPLAY.case("a VOI LUT of one value: nothing could be seen through it", ok(Code.INVALID_WINDOW, Code.SEVERAL_WINDOWS))
def voi_lut_flat() -> bytes:
    return tagged(VOILUTSequence=[_item(4096, 0, 16, b"\0\x40" * 4096)])


def _rescaled(name: str, what: str, slope: Any, intercept: Any, answer: Answer = _RESCALE) -> None:
    DISPLAY.add(name, what, answer, lambda: tagged(RescaleSlope=slope, RescaleIntercept=intercept))


_rescaled("rescale_0", "a rescale slope of 0", 0, 0)
_rescaled("rescale_half", "a rescale slope without an intercept", 2, None)
_rescaled("rescale_huge", "a rescale slope of 1e308", "1e308", 0)
_rescaled("rescale_tiny", "a rescale slope of 1e-308", "1e-308", 0)


@DISPLAY.case("a negative rescale slope: the picture is inverted, and its window with it", same())
def rescale_negative() -> bytes:
    tags = {"RescaleSlope": -1, "RescaleIntercept": TOP, "RescaleType": "US"}
    return good((TOP - film()).astype(np.uint16), tags=tags)


@DISPLAY.case("a rescale slope that is not a number", _RESCALE)
def rescale_nan() -> bytes:
    return swapped(tagged(RescaleSlope="5555", RescaleIntercept=0), b"5555", b"NaN ")


DISPLAY.add(
    "lut_shape_inverse",
    "MONOCHROME2 with presentation LUT shape INVERSE",
    same(Code.PRESENTATION_CONFLICT),
    lambda: tagged(PresentationLUTShape="INVERSE"),
)
DISPLAY.add(
    "lut_shape_unknown",
    "a presentation LUT shape that does not exist",
    same(Code.PRESENTATION_CONFLICT),
    lambda: tagged(PresentationLUTShape="SIDEWAYS"),
)
DISPLAY.add(
    "spacing_nan",
    "a pixel spacing of 0",
    same(Code.INVALID_SPACING),
    lambda: tagged(ImagerPixelSpacing=[0, 0]),
)
DISPLAY.add(
    "spacing_tiny",
    "a pixel spacing of a nanometre",
    same(Code.INVALID_SPACING),
    lambda: tagged(ImagerPixelSpacing=[1e-6, 1e-6]),
)
