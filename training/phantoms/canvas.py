"""Drawing of line integrals: polygons, strips and tubes become path lengths on a pixel grid, without aliasing.

Places are given in the chest's own frame (the shape model's: unit = side of the frame, y down, origin between the
lungs); the canvas knows the pose that takes them into the image. Pixel (i, j) covers [j, j + 1) x [i, i + 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from training.phantoms.shape_model import Points, Similarity

__all__ = [
    "Canvas",
    "Dust",
    "Floats",
    "Grid",
    "Profile",
    "along",
    "band",
    "bezier",
    "round_profile",
    "smooth_closed",
    "smoothstep",
]

Grid = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float32]
Dust = tuple[Floats, Floats, Floats]
"""Matter to be projected: x and y (N,) in the chest's frame, and the volume (N,) at each."""

Profile = Callable[[Floats], Floats]


def smoothstep(value: Grid, low: float, high: float) -> Grid:
    """0 below `low`, 1 above `high`, a cubic between."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def along(path: Points, step: float) -> Points:
    """The path (N, 2) resampled at equal steps of about `step`, ends kept."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    count = max(2, int(np.ceil(lengths[-1] / step)) + 1)
    at = np.arange(count) * (lengths[-1] / (count - 1))
    return np.stack([np.interp(at, lengths, path[:, 0]), np.interp(at, lengths, path[:, 1])], axis=1)


@cache
def _bernstein(degree: int, steps: int) -> Points:
    t = np.linspace(0, 1, steps)[:, None]
    order = np.arange(degree + 1)[None, :]
    return np.array([math.comb(degree, k) for k in range(degree + 1)]) * t**order * (1 - t) ** (degree - order)


def bezier(points: Sequence[tuple[float, float]], steps: int = 64) -> Points:
    """A smooth open curve (steps, 2) led by a few points: the Bezier curve of their degree."""
    curve: Points = _bernstein(len(points) - 1, steps) @ np.asarray(points, np.float64)
    return curve


def tangents(path: Points) -> Points:
    """Central differences along the second-last axis of (..., N, 2 or 3): the step that each point stands for."""
    step = np.empty_like(path)
    step[..., 1:-1, :] = 0.5 * (path[..., 2:, :] - path[..., :-2, :])
    step[..., 0, :] = path[..., 1, :] - path[..., 0, :]
    step[..., -1, :] = path[..., -1, :] - path[..., -2, :]
    return step


def smooth_closed(points: Points, times: int = 3) -> Points:
    """A closed Catmull-Rom spline through the points (N, 2), `times` points for each."""
    before, after, next_but_one = (np.roll(points, shift, axis=0) for shift in (1, -1, -2))
    t = (np.arange(times) / times)[:, None, None]
    curve = 0.5 * (
        2 * points
        + t * (after - before)
        + t**2 * (2 * before - 5 * points + 4 * after - next_but_one)
        + t**3 * (3 * points - before - 3 * after + next_but_one)
    )
    return curve.transpose(1, 0, 2).reshape(-1, 2)


@lru_cache(maxsize=96)
def _gauss(size: int, step: int) -> Grid:
    """Blurring as a matrix; the width is 1.06**step / 8 pixels. What lies outside repeats the border."""
    sigma = 1.06**step / 8
    reach = 4 * sigma + 1
    at = np.arange(size, dtype=np.float64)
    weight = np.exp(-0.5 * ((at[:, None] - at[None, :]) / sigma) ** 2)
    beyond = np.arange(1, int(reach) + 1)
    weight[:, 0] += np.exp(-0.5 * ((at[:, None] + beyond) / sigma) ** 2).sum(1)
    weight[:, -1] += np.exp(-0.5 * ((size - 1 - at[:, None] + beyond) / sigma) ** 2).sum(1)
    return np.ascontiguousarray((weight / weight.sum(1, keepdims=True)).astype(np.float32))


_NARROW = 0.7


def _few_taps(grid: Grid, sigma: float) -> Grid:
    """Gaussian blur down the columns, for widths at which the second neighbour is the last that counts."""
    weight = np.exp(-0.5 * (np.arange(3) / sigma) ** 2)
    own, near, far = (weight / (2 * weight.sum() - 1)).astype(np.float32)
    blurred = own * grid
    blurred[1:] += near * grid[:-1]
    blurred[:-1] += near * grid[1:]
    blurred[2:] += far * grid[:-2]
    blurred[:-2] += far * grid[2:]
    for edge, inner, out in ((0, 1, grid[0]), (-1, -2, grid[-1])):
        blurred[edge] += (near + far) * out
        blurred[inner] += far * out
    return blurred


_WIDE = 3.0
"""From this width in pixels on, a blurred picture is worked out at fewer places and interpolated."""


@lru_cache(maxsize=96)
def _wide_gauss(size: int, step: int) -> tuple[Grid, Grid]:
    """The matrix of `_gauss` as a product of two thin ones: (size, m) and (m, size), within a thousandth."""
    full = _gauss(size, step).astype(np.float64)
    count = int(np.ceil(size / (0.75 * 1.06**step / 8))) + 2
    places = np.unique(np.linspace(0, size - 1, count).round().astype(np.intp))
    gather = full[places]
    spread = full @ np.linalg.pinv(gather, rcond=1e-5)
    return np.ascontiguousarray(spread.astype(np.float32)), np.ascontiguousarray(gather.astype(np.float32))


@lru_cache(maxsize=48)
def _enlarge(size: int, nodes: int) -> Grid:
    """Cubic B-spline interpolation of `nodes` coefficients over the image as a matrix (size, nodes), variance kept."""
    at = (np.arange(size) + 0.5) / size * (nodes - 3) + 1
    distance = np.abs(at[:, None] - np.arange(nodes)[None, :])
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.clip(2 - distance, 0, None) ** 3 / 6
    weight = np.where(distance < 1, near, far)
    return np.ascontiguousarray((weight / np.sqrt((weight**2).sum(1, keepdims=True))).astype(np.float32))


def _halve(fine: Grid) -> Grid:
    """Pairs of rows and of columns joined, each giving a quarter of itself to its nearer neighbour; borders dropped."""
    near, far = np.float32(0.75), np.float32(0.25)
    even, odd = fine[0::2], fine[1::2]
    rows = near * (even[1:-1] + odd[1:-1]) + far * (odd[:-2] + even[2:])
    even, odd = rows[:, 0::2], rows[:, 1::2]
    return near * (even[:, 1:-1] + odd[:, 1:-1]) + far * (odd[:, :-2] + even[:, 2:])


class Canvas:
    """A square pixel grid that looks at a chest in a given pose.

    Attributes:
        size: pixels on a side.
        pixel: side of a pixel in the chest's unit.
        x, y: where each pixel's centre lies in the chest's frame, (size, size).
    """

    def __init__(self, size: int, pose: Similarity) -> None:
        self.size = size
        self.pose = pose
        self.pixel = 1.0 / (size * pose.scale)
        at = (np.arange(size) + 0.5) / size
        inverse = pose.rotation.T / pose.scale
        base = -pose.shift @ inverse
        columns, rows = np.outer(at, inverse[0]) + base, np.outer(at, inverse[1])
        self.x = (columns[None, :, 0] + rows[:, None, 0]).astype(np.float32)
        self.y = (columns[None, :, 1] + rows[:, None, 1]).astype(np.float32)

    def zeros(self) -> Grid:
        """A grid of nothing."""
        return np.zeros((self.size, self.size), np.float32)

    def pixels(self, points: Points) -> Points:
        """Chest coordinates (N, 2) as pixel coordinates (x, y)."""
        return self.pose.apply(np.asarray(points, np.float64)) * self.size

    def coverage(self, polygon: Points) -> Grid:
        """The share of each pixel, 0..1, inside the closed polygon (N, 2): signed areas summed along the rows."""
        n = self.size
        closed = np.concatenate([polygon, polygon[:1]])
        points = along(self.pixels(closed), 0.4)
        x = np.minimum(np.maximum(0.5 * (points[1:, 0] + points[:-1, 0]), 0), n - 1e-3)
        y = np.minimum(np.maximum(points[:, 1], 0), n - 1e-6)
        row = y.astype(np.intp)
        top, high = int(row.min()), int(np.ptp(row)) + 1
        y0, y1, row0, row1 = y[:-1], y[1:], row[:-1] - top, row[1:] - top
        # A step that crosses into another row (it is shorter than one) is divided at the border.
        border = np.where(row0 == row1, y1, np.maximum(row0, row1) + top)
        rise = np.concatenate([border - y0, y1 - border])
        column = x.astype(np.intp)
        share = column + 1 - x
        first = np.concatenate([row0, row1]) * (n + 2) + np.concatenate([column, column])
        part = rise * np.concatenate([share, share])
        where, amount = np.concatenate([first, first + 1]), np.concatenate([part, rise - part])
        cells = np.bincount(where, amount, high * (n + 2)).astype(np.float32).reshape(high, n + 2)
        drawn = self.zeros()
        drawn[top : top + high] = np.minimum(np.abs(np.cumsum(cells, axis=1)[:, :n]), 1)
        return drawn

    def splat(self, *dust: Dust) -> Grid:
        """Mean thickness that the volumes (chest's unit^2 x thickness) at the points make in each pixel.

        Volumes are counted in quarters of pixels, then shared bilinearly among the pixels around each quarter.
        """
        n = self.size
        along_x, along_y, volume = (np.concatenate(parts) for parts in zip(*dust, strict=True))
        turn = (2 * n * self.pose.scale * self.pose.rotation).astype(np.float32)
        shift = (2 * n * self.pose.shift + 2).astype(np.float32)
        x = along_x * turn[0, 0] + along_y * turn[1, 0] + shift[0]
        y = along_x * turn[0, 1] + along_y * turn[1, 1] + shift[1]
        inside = (x >= 1) & (x < 2 * n + 3) & (y >= 1) & (y < 2 * n + 3)
        drawn = self.zeros()
        if not inside.any():
            return drawn
        if not inside.all():
            x, y, volume = x[inside], y[inside], volume[inside]
        # Only the part of the picture that is touched, in even steps, with two pixels to spare on each side.
        left, top = 2 * int(x.min() / 2) - 4, 2 * int(y.min() / 2) - 4
        wide, high = 2 * int(x.max() / 2) + 6 - left, 2 * int(y.max() / 2) + 6 - top
        where = (y.astype(np.intp) - top) * wide + (x.astype(np.intp) - left)
        fine = np.bincount(where, volume, wide * high).astype(np.float32).reshape(high, wide)
        part = _halve(fine) * np.float32(1 / self.pixel**2)
        column, row = left // 2, top // 2
        c0, r0, c1, r1 = max(column, 0), max(row, 0), min(column + part.shape[1], n), min(row + part.shape[0], n)
        drawn[r0:r1, c0:c1] = part[r0 - row : r1 - row, c0 - column : c1 - column]
        return drawn

    def blur(self, grid: Grid, sigma: float) -> Grid:
        """Gaussian blur; `sigma` in the chest's unit. Widths under an eighth of a pixel change nothing."""
        step = round(np.log(max(sigma / self.pixel, 1e-6) * 8) / np.log(1.06))
        if step <= 0:
            return grid
        width = 1.06**step / 8
        if width < _NARROW:
            return _few_taps(_few_taps(grid, width).T, width).T
        if width < _WIDE:
            matrix = _gauss(self.size, step)
            return matrix @ grid @ matrix.T
        spread, gather = _wide_gauss(self.size, step)
        return spread @ (gather @ grid @ gather.T) @ spread.T

    def noise(self, rng: np.random.Generator, scale: float) -> Grid:
        """Smooth Gaussian noise of mean 0 and variance 1 whose structures are about `scale` (chest's unit) wide.

        The same generator gives the same pattern at every size of the image.
        """
        # In steps of a tenth, so that few matrices serve all phantoms.
        nodes = round(1.1 ** round(np.log(1.6 / (scale * self.pose.scale)) / np.log(1.1)))
        nodes = int(np.clip(nodes, 2, 4096)) + 3
        matrix = _enlarge(self.size, nodes)
        return matrix @ rng.standard_normal((nodes, nodes), dtype=np.float32) @ matrix.T

    def disc(
        self, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0, lift: Grid | float = 0.0
    ) -> Grid:
        """Squared elliptical radius about the centre: below 1 inside.

        Radii in the chest's unit, angle in radians; `lift` moves the figure up, pixel by pixel.
        """
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dx, dy = self.x - np.float32(centre[0]), self.y - np.float32(centre[1]) + np.float32(lift)
        u, v = (dx * c + dy * s) / np.float32(radii[0]), (dy * c - dx * s) / np.float32(radii[1])
        return u * u + v * v

    def sphere(self, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Grid:
        """Path through an ellipsoid relative to its longest path: sqrt(1 - r^2), 0 outside."""
        return np.sqrt(np.clip(1 - self.disc(centre, radii, angle), 0, None))

    def tube(self, path: Points, radius: float | Points) -> Dust:
        """A full tube along the path (N, 2), chest's unit; radius one or (N,). Splats to its path length, same unit."""
        points = along(path, 0.85 * self.pixel)
        radii = (
            np.broadcast_to(radius, len(points))
            if np.ndim(radius) == 0
            else np.interp(
                np.linspace(0, 1, len(points)), np.linspace(0, 1, len(path)), np.broadcast_to(radius, len(path))
            )
        )
        tangent = tangents(points)
        length = np.hypot(*tangent.T)
        half = np.stack([-tangent[:, 1], tangent[:, 0]], 1) * (radii / length)[:, None]
        length[[0, -1]] *= 0.5
        return self.strip(points, half, np.pi * radii**2 * length, round_profile)

    def strip(self, path: Points, half_width: Points, volume: Points, profile: Profile) -> Dust:
        """A bent band; folds add up, so that it is dense where it is seen edge-on.

        Args:
            path: (S, 2), its middle line as projected, sampled finer than a pixel.
            half_width: (S, 2), the projected vector from the middle line to the edge.
            volume: (S,), what each sample stands for: true (not projected) length times width, times a thickness.
            profile: thickness at places -1..1 across the band, relative to the volume's.
        """
        widest = 2 * float(np.hypot(*half_width.T).max()) / self.pixel
        return band(path, half_width, volume, int(np.clip(np.ceil(widest), 1, 400)), profile)


def round_profile(across: Floats) -> Floats:
    """Chord of a circle at places -1..1 across it, relative to its mean."""
    return np.float32(4 / np.pi) * np.sqrt(1 - across * across)


def band(path: Points, half_width: Points, volume: Points, count: int, profile: Profile) -> Dust:
    """Dust of a band: `count` grains across it at each of the S places of the path.

    From place to place the grains shift by the golden ratio, so that they lie like a lattice askew to the pixels and
    leave no moire.
    """
    shift = (np.arange(len(path)) * 0.6180339887) % 1
    across = ((np.arange(count)[None, :] + shift[:, None]) / count * 2 - 1).astype(np.float32)
    half = half_width.astype(np.float32)
    x, y = (path[:, i].astype(np.float32)[:, None] + half[:, i, None] * across for i in (0, 1))
    weight = (volume / count).astype(np.float32)[:, None] * profile(across)
    return x.ravel(), y.ravel(), weight.ravel()
