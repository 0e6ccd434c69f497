"""From the graph's outputs to anatomy and decisions: clean masks, areas, the cardiothoracic ratio, native size.

All of it runs in the C core; a mask is float32 probabilities over the whole plane, in the order of
:data:`cxredge.result.STRUCTURES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.errors import Code, NativeError
from cxredge.native import check, ffi, lib
from cxredge.pixels import Placement
from cxredge.result import STRUCTURES

__all__ = ["CleanMasks", "Measures", "clean_masks", "decide", "measure", "native_map", "native_masks", "union"]


@dataclass(frozen=True, slots=True, eq=False)
class CleanMasks:
    """Masks over the plane after cleaning: one component for each structure, without holes.

    Attributes:
        probabilities: float32 (3, h, w); the pixels of dropped islands are 0, those of filled holes 1.
        binary: bool (3, h, w): probability from 0.5 on.
    """

    probabilities: npt.NDArray[np.float32]
    binary: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Measures:
    """What the masks say of the anatomy.

    Attributes:
        left_lung_px: area of the patient's left lung in pixels of the image; likewise the next two.
        right_lung_px: see `left_lung_px`.
        heart_px: see `left_lung_px`.
        cardiothoracic_ratio: widest heart over widest thorax, each the sum of its largest extents to both sides of the
            midline between the outer borders of the lungs; None where a lung or the heart is missing.
        lung_fraction: the share of the image's area that the left and the right lung take.
    """

    left_lung_px: float
    right_lung_px: float
    heart_px: float
    cardiothoracic_ratio: float | None
    lung_fraction: tuple[float, float]


def clean_masks(masks: npt.NDArray[np.float32]) -> CleanMasks:
    """Keeps the largest component (8 neighbours) of each structure and fills its holes; `masks` is left as it is.

    Raises:
        NativeError: BAD_ARGUMENT, where the shape is not (3, h, w) or a value is not finite.
    """
    probabilities = np.array(masks, np.float32, order="C")
    _, rows, columns = _three_planes(probabilities)
    binary = np.zeros(probabilities.shape, np.uint8)
    for one, out in zip(probabilities, binary, strict=True):
        check(lib.cxr_mask_clean(_pointer("float[]", one), rows, columns, _pointer("uint8_t[]", out)))
    return CleanMasks(probabilities, binary.view(np.bool_))


def union(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels of either mask, as for both lungs.

    Raises:
        NativeError: BAD_ARGUMENT, where the shapes differ.
    """
    if a.shape != b.shape:
        raise NativeError(Code.BAD_ARGUMENT, "two masks differ in shape")
    first, second = (np.ascontiguousarray(mask, np.bool_) for mask in (a, b))
    out = np.empty(first.shape, np.bool_)
    check(
        lib.cxr_mask_union(
            *(_pointer("uint8_t[]", mask) for mask in (first, second)), out.size, _pointer("uint8_t[]", out)
        )
    )
    return out


def measure(masks: CleanMasks, placement: Placement, rows: int, columns: int) -> Measures:
    """Areas and the cardiothoracic ratio of an image of `rows` x `columns` that was placed by `placement`.

    Borders are found between pixels, where the probability crosses 0.5. Padding of the plane counts for nothing.

    Raises:
        NativeError: BAD_ARGUMENT, where a shape or the placement is not usable.
    """
    _, height, width = _three_planes(masks.probabilities)
    found = ffi.new("cxr_measures *")
    pointer = _pointer("float[]", np.ascontiguousarray(masks.probabilities, np.float32))
    check(lib.cxr_measure(pointer, height, width, _placement(placement), *_size(rows, columns), found))
    ratio = found.cardiothoracic_ratio
    return Measures(
        left_lung_px=found.left_lung,
        right_lung_px=found.right_lung,
        heart_px=found.heart,
        cardiothoracic_ratio=ratio if ratio >= 0 else None,
        lung_fraction=(found.left_lung_share, found.right_lung_share),
    )


def native_masks(masks: CleanMasks, placement: Placement, rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """The masks in the image's own size: bool (3, rows, columns).

    Probabilities are interpolated (bilinear) and belong from 0.5 on. What the plane does not see is False.

    Raises:
        NativeError: BAD_ARGUMENT, where a shape or the placement is not usable.
    """
    _, height, width = _three_planes(masks.probabilities)
    place, size = _placement(placement), _size(rows, columns)
    native = np.empty((len(STRUCTURES), rows, columns), np.bool_)
    for one, out in zip(np.ascontiguousarray(masks.probabilities, np.float32), native, strict=True):
        check(lib.cxr_native_mask(_pointer("float[]", one), height, width, place, *size, _pointer("uint8_t[]", out)))
    return native


def native_map(
    values: npt.NDArray[np.float32],
    box: tuple[float, float, float, float],
    placement: Placement,
    rows: int,
    columns: int,
) -> npt.NDArray[np.float32]:
    """A heat map in the image's own size: float32 (rows, columns), interpolated (bilinear), 0 outside its box.

    Args:
        values: float32 (h, w).
        box: left, top, right, bottom of what `values` covers, in fractions of the plane.
        placement: how the image was placed in the plane.
        rows: of the image.
        columns: of the image.

    Raises:
        NativeError: BAD_ARGUMENT, where a shape, the box or the placement is not usable.
    """
    if values.ndim != 2:
        raise NativeError(Code.BAD_ARGUMENT, f"a map has 2 axes, not {values.ndim}")
    area, place, size = ffi.new("cxr_box *", box), _placement(placement), _size(rows, columns)
    native = np.empty((rows, columns), np.float32)
    source = _pointer("float[]", np.ascontiguousarray(values, np.float32))
    check(lib.cxr_native_map(source, *values.shape, area, place, *size, _pointer("float[]", native)))
    return native


def decide(
    logits: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
    thresholds: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Calibrated probabilities, sigmoid(scale * logit + offset), and whether each reaches its threshold.

    Args:
        logits: float32 (n,), as the graph gives them.
        scale: (n,); 1 / T for a temperature T.
        offset: (n,); 0 for a temperature.
        thresholds: (n,), in 0..1.

    Raises:
        NativeError: BAD_ARGUMENT, where lengths differ or a value is not finite.
    """
    inputs = [np.ascontiguousarray(logits, np.float32)]
    inputs += [np.ascontiguousarray(values, np.float64) for values in (scale, offset, thresholds)]
    if len({values.shape for values in inputs}) != 1:
        raise NativeError(Code.BAD_ARGUMENT, "logits, calibration and thresholds differ in length")
    count = inputs[0].size
    probabilities, positive = np.empty(count, np.float64), np.empty(count, np.bool_)
    pointers = [_pointer("float[]", inputs[0]), *(_pointer("double[]", values) for values in inputs[1:])]
    check(lib.cxr_decide(*pointers, count, _pointer("double[]", probabilities), _pointer("uint8_t[]", positive)))
    return probabilities, positive


def _pointer(kind: str, array: npt.NDArray[Any]) -> Any:
    """The array's memory for one call of the core; the array must be C-contiguous."""
    return ffi.from_buffer(kind, array)


def _three_planes(masks: npt.NDArray[Any]) -> tuple[int, int, int]:
    if masks.ndim != 3 or masks.shape[0] != len(STRUCTURES):
        raise NativeError(Code.BAD_ARGUMENT, f"masks have the shape (3, h, w), not {masks.shape}")
    return masks.shape[0], masks.shape[1], masks.shape[2]


def _size(rows: int, columns: int) -> tuple[int, int]:
    if not (0 < rows < 2**32 and 0 < columns < 2**32):
        raise NativeError(Code.BAD_ARGUMENT, "an image has at least one row and one column")
    return rows, columns


def _placement(placement: Placement) -> Any:
    return ffi.new("cxr_placement *", {"source": placement.source, "plane": placement.plane})
