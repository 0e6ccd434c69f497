"""Gaussian blurs and the enlargement of noise, as matrices that are worked out once for each size and width."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array  # type: ignore[import-untyped]

__all__ = ["Grid", "Part", "blur_matrix", "blurred", "blurred_part", "enlarged", "width_step"]

Grid = npt.NDArray[np.float32]

Part = tuple[slice, slice]
"""Rows and columns of a picture."""

_NARROW = 0.7
_WIDE = 3.0
"""From this width in pixels on, a blurred picture is worked out at fewer places and interpolated."""
_BLOCK = 32
"""Rows that are blurred together: of the picture only what reaches them is multiplied."""
_REACH = 6.0
"""Beyond so many widths a Gaussian is below what float32 tells from nothing."""

Block = tuple[slice, slice, Grid]
"""Rows that come out, rows that go in, and the matrix between them."""


def width_step(sigma: float) -> int:
    """The step of 6 percent at which a width (pixels) is taken; 0 and less for widths that change nothing."""
    return round(np.log(max(sigma, 1e-6) * 8) / np.log(1.06))


def _width(step: int) -> float:
    return float(1.06**step / 8)


def blurred(grid: Grid, step: int) -> Grid:
    """The square picture blurred by a Gaussian of that `width_step`. What lies outside repeats the border."""
    if step <= 0:
        return grid
    if _width(step) < _WIDE:
        return _in_blocks(grid, _blocks(len(grid), step))
    spread, gather = _wide_gauss(len(grid), step)
    return spread @ (gather @ grid @ gather.T) @ spread.T


def blurred_part(grid: Grid, size: int, step: int, filled: Part, wanted: Part) -> Grid:
    """What `blurred` gives in the part `wanted`, of a picture of `size` that is 0 outside the part `filled`.

    `grid` is the part that is filled.
    """
    (down, across), (rows, columns) = filled, wanted
    if _width(step) < _WIDE:
        matrix = blur_matrix(size, step)
        return matrix[rows, down] @ grid @ matrix[columns, across].T
    spread, gather = _wide_gauss(size, step)
    return spread[rows] @ (gather[:, down] @ grid @ gather[:, across].T) @ spread[columns].T


def blur_matrix(size: int, step: int) -> Grid:
    """The matrix M (size, size) for which M @ grid @ M.T is `blurred`, but for rounding."""
    if step <= 0:
        return np.eye(size, dtype=np.float32)
    if _width(step) < _NARROW:
        return _few_taps(size, step)
    if _width(step) < _WIDE:
        return _gauss(size, step)
    spread, gather = _wide_gauss(size, step)
    return spread @ gather


def enlarged(nodes: Grid, size: int, where: Part | None = None) -> Grid:
    """A square of nodes as a smooth picture of `size` a side, or a part of it; white noise keeps its variance."""
    matrix = _enlarge(size, len(nodes))
    rows, columns = (matrix, matrix) if where is None else (matrix[where[0]], matrix[where[1]])
    # Sparse times dense is fast only from the left.
    down: Grid = rows @ nodes
    across: Grid = columns @ np.ascontiguousarray(down.T)
    return np.ascontiguousarray(across.T)


def _in_blocks(grid: Grid, blocks: list[Block]) -> Grid:
    tall, wide = np.empty_like(grid), np.empty_like(grid)
    for out, into, matrix in blocks:
        np.matmul(matrix, grid[into], out=tall[out])
    for out, into, matrix in blocks:
        np.matmul(tall[:, into], matrix.T, out=wide[:, out])
    return wide


@lru_cache(maxsize=96)
def _blocks(size: int, step: int) -> list[Block]:
    """The matrix without its zeros."""
    full, reach = blur_matrix(size, step), int(np.ceil(_REACH * _width(step)))
    blocks = []
    for first in range(0, size, _BLOCK):
        out, into = slice(first, first + _BLOCK), slice(max(first - reach, 0), first + _BLOCK + reach)
        blocks.append((out, into, np.ascontiguousarray(full[out, into])))
    return blocks


@lru_cache(maxsize=48)
def _few_taps(size: int, step: int) -> Grid:
    """The matrix for widths at which the second neighbour is the last that counts."""
    weight = np.exp(-0.5 * (np.arange(3) / _width(step)) ** 2)
    taps, rows = (weight / (2 * weight.sum() - 1)).astype(np.float32), np.arange(size)
    matrix = np.zeros((size, size), np.float32)
    for away in range(-2, 3):
        np.add.at(matrix, (rows, np.clip(rows + away, 0, size - 1)), taps[abs(away)])
    return matrix


@lru_cache(maxsize=96)
def _gauss(size: int, step: int) -> Grid:
    """Blurring down the columns as a matrix."""
    sigma = _width(step)
    reach = 4 * sigma + 1
    at = np.arange(size, dtype=np.float64)
    weight = np.exp(-0.5 * ((at[:, None] - at[None, :]) / sigma) ** 2)
    weight[weight < 1e-20] = 0  # numbers near float32's end are slow to multiply
    beyond = np.arange(1, int(reach) + 1)
    weight[:, 0] += np.exp(-0.5 * ((at[:, None] + beyond) / sigma) ** 2).sum(1)
    weight[:, -1] += np.exp(-0.5 * ((size - 1 - at[:, None] + beyond) / sigma) ** 2).sum(1)
    return np.ascontiguousarray((weight / weight.sum(1, keepdims=True)).astype(np.float32))


@lru_cache(maxsize=96)
def _wide_gauss(size: int, step: int) -> tuple[Grid, Grid]:
    """The matrix of `_gauss` as a product of two thin ones: (size, m) and (m, size), within a thousandth."""
    full = _gauss(size, step).astype(np.float64)
    count = int(np.ceil(size / (0.75 * _width(step)))) + 2
    places = np.unique(np.linspace(0, size - 1, count).round().astype(np.intp))
    gather = full[places]
    spread = full @ np.linalg.pinv(gather, rcond=1e-5)
    return np.ascontiguousarray(spread.astype(np.float32)), np.ascontiguousarray(gather.astype(np.float32))


@lru_cache(maxsize=48)
def _enlarge(size: int, nodes: int) -> csr_array:
    """Cubic B-spline interpolation of `nodes` coefficients over the image as a matrix (size, nodes), variance kept."""
    at = (np.arange(size) + 0.5) / size * (nodes - 3) + 1
    distance = np.abs(at[:, None] - np.arange(nodes)[None, :])
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.clip(2 - distance, 0, None) ** 3 / 6
    weight = np.where(distance < 1, near, far)
    return csr_array((weight / np.sqrt((weight**2).sum(1, keepdims=True))).astype(np.float32))
