"""Boxes from heat maps, and how they meet the boxes that people drew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["RULE", "Edges", "box_of_map", "iou"]

Edges = tuple[float, float, float, float]
"""left, top, right, bottom as fractions of the field."""

GRID = 224

RULE = (
    f"the disease's heat map, resized bilinearly to {GRID} x {GRID} over the part of the field that it covers "
    "and scaled to 0..1 by its own lowest and highest value; the largest 8-connected region at or above the "
    "threshold {threshold:g}; the box around it"
)
"""The rule that every report states. The papers say "class activation map" and leave the threshold open."""


def box_of_map(values: npt.NDArray[np.float32], covers: Edges, threshold: float = 0.5) -> Edges:
    """The box that a heat map points at.

    Args:
        values: [hh, ww].
        covers: the part of the field that the map covers.
        threshold: of the map's range.

    Returns:
        Fractions of the field. A map without a range points nowhere, and gives all that it covers.
    """
    from scipy import ndimage  # type: ignore[import-untyped]

    grid = _resized(values.astype(np.float64))
    low, high = grid.min(), grid.max()
    if not high > low:
        return covers
    labelled, _ = ndimage.label((grid - low) / (high - low) >= threshold, structure=np.ones((3, 3)))
    sizes = np.bincount(labelled.ravel())
    sizes[0] = 0
    rows, columns = np.nonzero(labelled == int(np.argmax(sizes)))
    left, top, right, bottom = covers
    wide, high_ = (right - left) / GRID, (bottom - top) / GRID
    return (
        left + wide * int(columns.min()),
        top + high_ * int(rows.min()),
        left + wide * (int(columns.max()) + 1),
        top + high_ * (int(rows.max()) + 1),
    )


def _resized(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Bilinear, cell centres at (i + 0.5) / n, edges held."""
    for axis in (0, 1):
        count = values.shape[axis]
        place = np.clip((np.arange(GRID) + 0.5) / GRID * count - 0.5, 0, count - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, count - 1)
        share = (place - low)[:, None] if axis == 0 else place - low
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return values


def iou(one: Edges, other: Edges) -> float:
    """Intersection over union of two boxes."""
    across = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    shared = across * down
    total = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / total if total > 0 else 0.0
