"""The pixel path a second time, in float64 NumPy and dense matrices: slow, plain, and written from the standard."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.pixels import Geometry, Lut, PixelDescription, Placement, Window

Float = npt.NDArray[np.float64]


def encode(stored: npt.NDArray[np.int64], description: PixelDescription, noise: int = 0) -> bytes:
    """Stored values as the file holds them; `noise` fills the bits that do not belong to the value."""
    d = description
    mask = (1 << d.bits_stored) - 1
    shift = d.high_bit + 1 - d.bits_stored
    raw = ((stored & mask) << shift) | (noise & ~(mask << shift) & ((1 << d.bits_allocated) - 1))
    kind = f"{'>' if d.big_endian else '<'}u{d.bits_allocated // 8}"
    return raw.astype(kind).tobytes()


def look_up(values: Float, lut: Lut) -> Float:
    index = np.clip(np.floor(values - lut.first + 0.5), 0, len(lut.data) - 1).astype(np.int64)
    return np.asarray(lut.data, np.float64)[index]


def modality(stored: npt.NDArray[np.int64], description: PixelDescription) -> Float:
    step = description.modality
    values = stored.astype(np.float64)
    return look_up(values, step) if isinstance(step, Lut) else values * step.slope + step.intercept


def voi(values: Float, step: Window | Lut) -> Float:
    if isinstance(step, Lut):
        return np.minimum(look_up(values, step) / (2**step.bits - 1), 1.0)
    center, width = step.center, step.width
    if step.function == "SIGMOID":
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-4 * (values - center) / width))
    if step.function == "LINEAR":
        center, width = center - 0.5, width - 1
    inside = (values - center) / width + 0.5 if width else np.zeros_like(values)
    return np.where(values <= center - width / 2, 0.0, np.where(values > center + width / 2, 1.0, inside))


def display(stored: npt.NDArray[np.int64], description: PixelDescription) -> Float:
    assert description.voi is not None
    values = voi(modality(stored, description), description.voi)
    return 1 - values if description.inverted else values


def weights(low: float, high: float, inputs: int, outputs: int) -> Float:
    """One axis of the resize as a matrix (outputs, inputs)."""
    step = (high - low) / outputs
    if step >= 1:
        begin = low + step * np.arange(outputs)[:, None]
        end = begin + step
        at = np.arange(inputs)[None, :]
        return np.clip(np.minimum(at + 1, end) - np.maximum(at, begin), 0, None) / step
    centres = np.clip(low + (np.arange(outputs) + 0.5) * step - 0.5, 0, inputs - 1)
    return np.clip(1 - np.abs(centres[:, None] - np.arange(inputs)[None, :]), 0, None)


def resize(image: Float, place: Placement, geometry: Geometry) -> Float:
    rows, columns = image.shape
    left, top, right, bottom = place.source
    x0, x1 = (round(place.plane[i] * geometry.columns) for i in (0, 2))
    y0, y1 = (round(place.plane[i] * geometry.rows) for i in (1, 3))
    plane = np.zeros((geometry.rows, geometry.columns))
    down = weights(top * rows, bottom * rows, rows, y1 - y0)
    across = weights(left * columns, right * columns, columns, x1 - x0)
    plane[y0:y1, x0:x1] = down @ image @ across.T
    return plane


def bilinear(values: npt.NDArray[Any], box: Any, place: Placement, rows: int, columns: int) -> Float:
    """Every native pixel by itself: its centre to the plane, the plane to the grid."""
    out = np.zeros((rows, columns))
    for y in range(rows):
        for x in range(columns):
            out[y, x] = _at(values, box, place, (x + 0.5) / columns, (y + 0.5) / rows)
    return out


def _at(values: npt.NDArray[Any], box: Any, place: Placement, fx: float, fy: float) -> float:
    left, top, right, bottom = place.source
    if not (left <= fx <= right and top <= fy <= bottom):
        return 0.0
    p = place.plane
    px = p[0] + (fx - left) / (right - left) * (p[2] - p[0])
    py = p[1] + (fy - top) / (bottom - top) * (p[3] - p[1])
    if not (box[0] <= px <= box[2] and box[1] <= py <= box[3]):
        return 0.0
    h, w = values.shape
    gx = min(max((px - box[0]) / (box[2] - box[0]) * w - 0.5, 0), w - 1)
    gy = min(max((py - box[1]) / (box[3] - box[1]) * h - 0.5, 0), h - 1)
    x0, y0 = int(gx), int(gy)
    x1, y1 = min(x0 + 1, w - 1), min(y0 + 1, h - 1)
    top_row = values[y0, x0] + (values[y0, x1] - values[y0, x0]) * (gx - x0)
    low_row = values[y1, x0] + (values[y1, x1] - values[y1, x0]) * (gx - x0)
    return float(top_row + (low_row - top_row) * (gy - y0))
