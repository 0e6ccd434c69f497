"""Chest radiographs that are none any more: a corner of one, a stamp, a collage, shuffled pieces.

Their texture is that of real chests, so texture alone cannot tell the gate what a chest is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from training.others.plate import Plane

__all__ = ["KINDS", "LARGEST_CORNER", "LARGEST_STAMP", "MOST"]

MOST = 9
"""As many chests as a kind may want."""
LARGEST_CORNER = 0.36
"""Side of a corner, as a share of the chest's: wherever it is cut, it holds less than 45 % of the lungs."""
LARGEST_STAMP = 0.3
"""Side of a chest that is too small to read, as a share of the field's."""


def _resized(plane: Plane, rows: int, columns: int) -> Plane:
    found = Image.fromarray(plane).resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(found, np.float32)


def _corner(rng: np.random.Generator, chests: list[Plane]) -> Plane:
    """A part so small that less than half of the lungs can be in it."""
    chest = chests[0]
    size = len(chest)
    side = int(size * rng.uniform(0.18, LARGEST_CORNER))
    row, column = rng.integers(0, size - side + 1, 2)
    part = Image.fromarray(chest[row : row + side, column : column + side])
    return np.clip(np.asarray(part.resize((size, size), Image.Resampling.BICUBIC), np.float32), 0, 1)


def _stamp(rng: np.random.Generator, chests: list[Plane]) -> Plane:
    """A chest so small that nothing can be read off it, on an even ground."""
    size = len(chests[0])
    side = int(size * rng.uniform(0.08, LARGEST_STAMP))
    ground = np.full((size, size), rng.choice([0.0, 1.0, rng.uniform(0, 1)]), np.float32)
    row, column = rng.integers(0, size - side + 1, 2)
    ground[row : row + side, column : column + side] = _resized(chests[0], side, side)
    return ground


def _collage(rng: np.random.Generator, chests: list[Plane]) -> Plane:
    """Several on one sheet, with or without gaps."""
    size = len(chests[0])
    rows, columns = [(1, 3), (2, 2), (2, 3), (3, 3), (3, 1), (3, 2)][int(rng.integers(6))]
    sheet = np.full((size, size), rng.choice([0.0, 1.0]), np.float32)
    gap = int(rng.integers(0, 5))
    high, wide = size // rows, size // columns
    for index in range(rows * columns):
        row, column = divmod(index, columns)
        cell = _resized(chests[index % len(chests)], high - gap, wide - gap)
        sheet[row * high : row * high + high - gap, column * wide : column * wide + wide - gap] = cell
    return sheet


def _shuffled(rng: np.random.Generator, chests: list[Plane]) -> Plane:
    """One cut into tiles that lie in another order."""
    chest = chests[0]
    count = int(rng.integers(2, 6))
    side = len(chest) // count
    order = rng.permutation(count * count)
    while (order == np.arange(count * count)).mean() > 0.5:
        order = rng.permutation(count * count)
    out = np.zeros_like(chest)
    for place, source in enumerate(order.tolist()):
        (r, c), (y, x) = divmod(place, count), divmod(source, count)
        tile = chest[y * side : (y + 1) * side, x * side : (x + 1) * side]
        out[r * side : (r + 1) * side, c * side : (c + 1) * side] = tile
    return out


def _smeared(rng: np.random.Generator, chests: list[Plane]) -> Plane:
    """Squeezed to a strip, averaged along one axis, or one chest laid over another upside down."""
    chest = chests[0]
    kind = rng.integers(3)
    if kind == 0:
        size, high = len(chest), int(len(chest) * rng.uniform(0.08, 0.25))
        strip = np.zeros_like(chest)
        top = int(rng.integers(0, size - high + 1))
        strip[top : top + high] = _resized(chest, high, size)
        return strip
    if kind == 1:
        return np.repeat(chest.mean(0, keepdims=True), len(chest), 0)
    return (chest + np.flipud(chests[1])) / np.float32(2)


KINDS: dict[str, Callable[[np.random.Generator, list[Plane]], Plane]] = {
    "corner": _corner,
    "stamp": _stamp,
    "collage": _collage,
    "shuffled": _shuffled,
    "smeared": _smeared,
}
