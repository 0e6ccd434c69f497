"""What the stored pixels of one image mean, and where they land in the graph's input: plain data, no work.

`cxredge.dicom` and `cxredge.rasters` fill these in; `cxredge.preprocess` hands them to the C core.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Fit", "Geometry", "Lut", "Percentiles", "PixelDescription", "Placement", "Rescale", "Window"]

Fit = Literal["stretch", "pad", "crop"]


@dataclass(frozen=True, slots=True)
class Rescale:
    """Modality step, linear: output = stored * slope + intercept (PS3.3 C.11.1.1.2)."""

    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Lut:
    """A modality or VOI lookup table (PS3.3 C.11.1.1.1, C.11.2.1.1).

    Inputs below `first` take the first entry, inputs beyond the table the last.
    """

    first: int
    bits: int
    data: npt.NDArray[np.uint16] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""

    center: float
    width: float
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


@dataclass(frozen=True, slots=True)
class Percentiles:
    """The fallback where a file gives no window: these percentiles of the modality values become 0 and 1."""

    low: float = 0.5
    high: float = 99.5


@dataclass(frozen=True, slots=True)
class PixelDescription:
    """How to read one image's stored pixels.

    `voi` None means that the file gives none: the percentile fallback is then taken from the pixels themselves.
    `inverted` is MONOCHROME1: the display value is inverted after the VOI step.
    """

    rows: int
    columns: int
    bits_allocated: Literal[8, 16, 32]
    bits_stored: int
    high_bit: int
    signed: bool = False
    big_endian: bool = False
    modality: Rescale | Lut = Rescale()
    voi: Window | Lut | None = None
    inverted: bool = False

    @property
    def bytes_per_row(self) -> int:
        """Bytes that one row of stored pixels takes."""
        return self.columns * self.bits_allocated // 8

    @property
    def nbytes(self) -> int:
        """Bytes that the whole image takes."""
        return self.rows * self.bytes_per_row


@dataclass(frozen=True, slots=True)
class Geometry:
    """The graph's input plane, and how an image of another shape is fitted into it."""

    rows: int
    columns: int
    fit: Fit = "stretch"


@dataclass(frozen=True, slots=True)
class Placement:
    """Which part of the image fills which part of the plane; all in fractions, so any resolution maps to any other.

    `source` is (left, top, right, bottom) as fractions of the image, `plane` the same as fractions of the plane.
    """

    source: tuple[float, float, float, float]
    plane: tuple[float, float, float, float]
