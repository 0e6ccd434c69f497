"""Where a disease's signs lie, as planes: what a heat map can be taught from boxes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from cxredge.result import LABELS
from training.data.cases import Box

__all__ = ["covered"]

Planes = npt.NDArray[np.float32]


def covered(boxes: Iterable[Box], cells: int) -> Planes:
    """How much of each cell lies in a box of each disease.

    Args:
        boxes: in fractions of the field; several of one disease are joined.
        cells: along each side of the field.

    Returns:
        [14, cells, cells] in 0..1; all 0 for a disease without a box, of which nothing is known.
    """
    planes = np.zeros((len(LABELS), cells, cells), np.float32)
    for box in boxes:
        share = np.outer(_share(box.top, box.bottom, cells), _share(box.left, box.right, cells))
        plane = planes[LABELS.index(box.label)]
        np.maximum(plane, share, out=plane)
    return planes


def _share(low: float, high: float, cells: int) -> npt.NDArray[np.float64]:
    """How much of each of `cells` equal parts of 0..1 lies between two places."""
    edges = np.linspace(0.0, 1.0, cells + 1)
    found: npt.NDArray[np.float64] = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    return np.clip(found * cells, 0.0, 1.0)
