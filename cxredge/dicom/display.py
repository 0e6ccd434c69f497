"""From stored values to display values: what the file asks for, and what of it can be used.

Modality step PS3.3 C.11.1, VOI step C.11.2, presentation C.11.6. Whatever cannot be used becomes a warning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cxredge.dicom import tags as t
from cxredge.dicom.tags import Tags, tag_text
from cxredge.errors import Code
from cxredge.pixels import Lut, Rescale, Window
from cxredge.result import Notice, notice

__all__ = ["Display", "Spacing", "read_display", "read_spacing"]


_LEAST_SLOPE, _MOST = 1e-9, 1e12
"""A rescale beyond these would leave nothing of the values in 32-bit floats."""
_SPACINGS = (0.01, 10.0)
"""Millimetres between pixels: from finer than any detector to a thumbnail's."""


@dataclass(frozen=True, slots=True, eq=False)
class Display:
    """The steps between stored and display values; `voi` None means that the file gives none that can be used."""

    modality: Rescale | Lut
    voi: Window | Lut | None
    inverted: bool
    warnings: tuple[Notice, ...]


def read_display(tags: Tags, *, photometric: str, signed: bool) -> Display:
    """The modality step, the VOI step and the polarity of a grey image."""
    warnings: list[Notice] = []
    modality = _modality(tags, signed, warnings)
    # What enters the VOI table is signed where the modality step can give negative values (C.11.2.1.1).
    voi_signed = isinstance(modality, Rescale) and (signed or modality.intercept < 0)
    voi = _voi(tags, voi_signed, warnings)
    inverted = photometric == "MONOCHROME1"
    shape = tags.text(t.PRESENTATION_LUT_SHAPE)
    if shape and shape != ("INVERSE" if inverted else "IDENTITY"):
        warnings.append(notice(Code.PRESENTATION_CONFLICT, tag=tag_text(t.PRESENTATION_LUT_SHAPE)))
    return Display(modality, voi, inverted, tuple(warnings))


def _modality(tags: Tags, signed: bool, warnings: list[Notice]) -> Rescale | Lut:
    """The modality LUT where there is one, else the rescale: the standard allows only one of them."""
    for item in tags.items(t.MODALITY_LUT):
        table = _lut(item, signed)
        if table is not None:
            return table
        warnings.append(notice(Code.INVALID_LUT, tag=tag_text(t.MODALITY_LUT)))
        break
    if t.RESCALE_SLOPE not in tags and t.RESCALE_INTERCEPT not in tags:
        return Rescale()
    try:
        slope, intercept = tags.numbers(t.RESCALE_SLOPE)[0], tags.numbers(t.RESCALE_INTERCEPT)[0]
    except (ValueError, IndexError):
        slope = intercept = math.nan
    if not (_LEAST_SLOPE <= abs(slope) <= _MOST and abs(intercept) <= _MOST):  # not-a-number fails this too
        warnings.append(notice(Code.INVALID_RESCALE, tag=tag_text(t.RESCALE_SLOPE)))
        return Rescale()
    return Rescale(slope, intercept)


def _voi(tags: Tags, signed: bool, warnings: list[Notice]) -> Window | Lut | None:
    """The first VOI LUT, else the first window: the two are alternatives, and the table is the more exact."""
    tables = list(tags.items(t.VOI_LUT))
    if tables:
        table = _lut(tables[0], signed)
        if table is not None:
            several = len(tables) > 1 or t.WINDOW_CENTER in tags
            if several:
                warnings.append(notice(Code.SEVERAL_WINDOWS, tag=tag_text(t.VOI_LUT)))
            return table
        warnings.append(notice(Code.INVALID_LUT, tag=tag_text(t.VOI_LUT)))
    return _window(tags, warnings)


def _window(tags: Tags, warnings: list[Notice]) -> Window | None:
    if not tags.texts(t.WINDOW_CENTER) and not tags.texts(t.WINDOW_WIDTH):
        return None  # said as NO_WINDOW where the percentiles are taken
    try:
        centers, widths = tags.numbers(t.WINDOW_CENTER), tags.numbers(t.WINDOW_WIDTH)
        center, width = centers[0], widths[0]
    except (ValueError, IndexError):
        warnings.append(notice(Code.INVALID_WINDOW, tag=tag_text(t.WINDOW_CENTER)))
        return None
    function = _function(tags.text(t.VOI_LUT_FUNCTION))
    # C.11.2.1.2: LINEAR needs a width of at least 1, the others a positive one.
    narrow = width < 1 if function == "LINEAR" else width <= 0
    if function is None or narrow or not math.isfinite(abs(center) + width):  # its ends are to be numbers
        tag = t.VOI_LUT_FUNCTION if function is None else t.WINDOW_WIDTH
        warnings.append(notice(Code.INVALID_WINDOW, tag=tag_text(tag)))
        return None
    if len(centers) > 1 or len(widths) > 1:
        warnings.append(notice(Code.SEVERAL_WINDOWS, tag=tag_text(t.WINDOW_CENTER)))
    return Window(center, width, function)


def _function(name: str) -> Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] | None:
    match name:
        case "" | "LINEAR":
            return "LINEAR"
        case "LINEAR_EXACT":
            return "LINEAR_EXACT"
        case "SIGMOID":
            return "SIGMOID"
        case _:
            return None


def _lut(item: Tags, signed: bool) -> Lut | None:
    """A lookup table; None where its parts contradict each other.

    C.11.1.1: the descriptor's first and third values are unsigned, the second is signed where the input is. Tables
    of 8 bits are stored as bytes or as words.
    """
    descriptor = item.shorts(t.LUT_DESCRIPTOR)
    if len(descriptor) != 3:
        return None
    entries, first, bits = descriptor[0] or 1 << 16, descriptor[1], descriptor[2]
    if signed and first >= 1 << 15:
        first -= 1 << 16
    raw = item.raw(t.LUT_DATA)
    if not 8 <= bits <= 16:
        return None
    if len(raw) == 2 * entries:
        data = np.frombuffer(raw, "<u2" if item.little_endian else ">u2").astype(np.uint16)
    elif bits == 8 and len(raw) in (entries, entries + 1):
        data = np.frombuffer(raw, np.uint8)[:entries].astype(np.uint16)
    else:
        return None
    return Lut(first, bits, data) if int(data.max()) < 1 << bits else None


Spacing = tuple[tuple[float, float], Literal["patient", "detector"]]


def read_spacing(tags: Tags) -> tuple[Spacing | None, Notice | None]:
    """Millimetres between rows and between columns, where they hold, and a warning if a tag cannot be used.

    PS3.3 10.7.1.3: Pixel Spacing that differs from Imager Pixel Spacing has been corrected for the magnification, or
    calibrated; one that equals it has not, and holds at the detector.
    """
    patient, detector = (_spacing(tags, tag) for tag in (t.PIXEL_SPACING, t.IMAGER_PIXEL_SPACING))
    bad = [tag for tag, found in ((t.PIXEL_SPACING, patient), (t.IMAGER_PIXEL_SPACING, detector)) if found == ()]
    problem = notice(Code.INVALID_SPACING, tag=tag_text(bad[0])) if bad else None
    if patient and patient != detector:
        return ((patient[0], patient[1]), "patient"), problem
    if detector:
        return ((detector[0], detector[1]), "detector"), problem
    return None, problem


def _spacing(tags: Tags, tag: int) -> tuple[float, ...] | None:
    """Two numbers that can be a spacing; () where the tag holds anything else, None where it holds nothing."""
    if not tags.texts(tag):
        return None
    try:
        values = tuple(tags.numbers(tag))
    except ValueError:
        return ()
    return values if len(values) == 2 and all(_SPACINGS[0] <= side <= _SPACINGS[1] for side in values) else ()
