"""Gaussian blurs and the enlargement of noise, as matrices that are worked out once for each size and width."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array  # type: ignore[import-untyped]

__all__ = ["Grid", "blurred", "enlarged", "width_step"]

Grid = npt.NDArray[np.float32]

_NARROW = 0.7
_WIDE = 3.0
"""From this width in pixels on, a blurred picture is worked out at fewer places and interpolated."""


def width_step(sigma: float) -> int:
    """The step of 6 percent at which a width (pixels) is taken; 0 and less for widths that change nothing."""
    return round(np.log(max(sigma, 1e-6) * 8) / np.log(1.06))


def _width(step: int) -> float:
    return float(1.06**step / 8)


def blurred(grid: Grid, step: int) -> Grid:
    """The square picture blurred by a Gaussian of that `width_step`. What lies outside repeats the border."""
    if step <= 0:
        return grid
    if _width(step) < _NARROW:
        return _few_taps(grid, _width(step))
    if _width(step) < _WIDE:
        matrix = _gauss(len(grid), step)
        return matrix @ grid @ matrix.T
    spread, gather = _wide_gauss(len(grid), step)
    return spread @ (gather @ grid @ gather.T) @ spread.T


def enlarged(nodes: Grid, size: int) -> Grid:
    """A square of nodes as a smooth picture of `size` pixels a side; white noise keeps its variance."""
    matrix = _enlarge(size, len(nodes))
    # Sparse times dense is fast only from the left.
    down: Grid = matrix @ nodes
    across: Grid = matrix @ np.ascontiguousarray(down.T)
    return np.ascontiguousarray(across.T)


def _few_taps(grid: Grid, sigma: float) -> Grid:
    """For widths at which the second neighbour is the last that counts."""
    weight = np.exp(-0.5 * (np.arange(3) / sigma) ** 2)
    taps = (weight / (2 * weight.sum() - 1)).astype(np.float32)
    n = len(grid)
    tall = np.empty((n + 4, n), np.float32)
    tall[2:-2], tall[:2], tall[-2:] = grid, grid[0], grid[-1]
    wide = np.empty((n, n + 4), np.float32)
    wide[:, 2:-2] = _summed([tall[i : i + n] for i in range(5)], taps)
    wide[:, :2], wide[:, -2:] = wide[:, 2:3], wide[:, -3:-2]
    return _summed([wide[:, i : i + n] for i in range(5)], taps)


def _summed(shifted: list[Grid], taps: Grid) -> Grid:
    total = shifted[0] + shifted[4]
    total *= taps[2]
    part = shifted[1] + shifted[3]
    part *= taps[1]
    total += part
    total += np.multiply(shifted[2], taps[0], out=part)
    return total


@lru_cache(maxsize=96)
def _gauss(size: int, step: int) -> Grid:
    """Blurring down the columns as a matrix."""
    sigma = _width(step)
    reach = 4 * sigma + 1
    at = np.arange(size, dtype=np.float64)
    weight = np.exp(-0.5 * ((at[:, None] - at[None, :]) / sigma) ** 2)
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
