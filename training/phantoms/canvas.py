"""Drawing of line integrals: polygons, strips and tubes become path lengths on a pixel grid, without aliasing.

Places are given in the chest's own frame (the shape model's: unit = side of the frame, y down, origin between the
lungs); the canvas knows the pose that takes them into the image. Pixel (i, j) covers [j, j + 1) x [i, i + 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.phantoms.curves import across, along, resampled
from training.phantoms.filters import Grid, Part, blurred, blurred_part, enlarged, width_step
from training.phantoms.shape_model import Points, Similarity
from training.phantoms.strokes import Band, Pieces, Profile, grains, round_profile, splatted

__all__ = ["Canvas", "Grid", "positive", "smoothstep"]


def positive(grid: Grid) -> Grid:
    """The grid itself with 0 for what is below. NumPy is twice as fast with both bounds."""
    return np.clip(grid, 0, np.inf, out=grid)


def smoothstep(value: Grid, low: float, high: float) -> Grid:
    """0 below `low`, 1 above `high`, a cubic between."""
    t = np.asarray(value - np.float32(low))
    t /= np.float32(high - low)
    np.clip(t, 0, 1, out=t)
    rest = 3 - 2 * t
    t *= t
    t *= rest
    return t


def _ellipse(
    x: Grid, y: Grid, centre: tuple[float, float], radii: tuple[float, float], angle: float, lift: Grid | float
) -> Grid:
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    dy += np.float32(lift)
    u, v = (dx, dy) if angle == 0 else (dx * c + dy * s, dy * c - dx * s)
    u /= np.float32(radii[0])
    v /= np.float32(radii[1])
    u *= u
    v *= v
    u += v
    return u


def _span(chosen: npt.NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(chosen)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


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
        columns, rows = np.outer(inverse[0], at) + base[:, None], np.outer(inverse[1], at)
        self.x, self.y = (
            np.add(columns[i], rows[i][:, None], out=np.empty((size, size), np.float32), casting="same_kind")
            for i in (0, 1)
        )

    def zeros(self) -> Grid:
        """A grid of nothing."""
        return np.zeros((self.size, self.size), np.float32)

    def pixels(self, points: Points) -> Points:
        """Chest coordinates (N, 2) as pixel coordinates (x, y)."""
        return self.pose.apply(np.asarray(points, np.float64)) * self.size

    def coverage(self, polygon: Points) -> Grid:
        """The share of each pixel, 0..1, inside the closed polygon (N, 2)."""
        drawn = self.zeros()
        where, part = self.coverage_part(polygon)
        drawn[where] = part
        return drawn

    def coverage_part(self, polygon: Points) -> tuple[Part, Grid]:
        """`coverage`, from the polygon's first column to the picture's last: signed areas summed along the rows."""
        n = self.size
        closed = np.concatenate([polygon, polygon[:1]])
        x, y = along(self.pixels(closed), 0.4).T
        x = np.clip(0.5 * (x[1:] + x[:-1]), 0, n - 1e-3)
        y = np.clip(y, 0, n - 1e-6)
        row, column = y.astype(np.intp), x.astype(np.intp)
        top, left, right = int(row.min()), int(column.min()), min(int(column.max()) + 2, n)
        row -= top
        high, wide = int(row.max()) + 1, right - left
        y0, y1, row0, row1 = y[:-1], y[1:], row[:-1], row[1:]
        # A step that crosses into another row (it is shorter than one) is divided at the border.
        border = np.where(row0 == row1, y1, np.maximum(row0, row1) + top)
        rise = border - y0, y1 - border
        share = column + 1 - x
        column -= left
        part = rise[0] * share, rise[1] * share
        cells = [edge * (wide + 1) + column for edge in (row0, row1)]
        where = np.concatenate([*cells, cells[0] + 1, cells[1] + 1])
        amount = np.concatenate([*part, rise[0] - part[0], rise[1] - part[1]])
        inside = np.bincount(where, amount, high * (wide + 1)).astype(np.float32).reshape(high, wide + 1)[:, :wide]
        # The sum along a row is what it is from the outline's last column on, and 0 before its first.
        drawn = np.empty((high, n - left), np.float32)
        summed = np.cumsum(inside, axis=1, out=drawn[:, :wide])
        np.clip(np.abs(summed, out=summed), 0, 1, out=summed)
        drawn[:, wide:] = summed[:, -1:]
        return np.s_[top : top + high, left:n], drawn

    def splat(self, *bands: Band | Pieces) -> Grid:
        """Mean thickness that the bands' volumes (chest's unit^2 x thickness) make in each pixel."""
        drawn = self.zeros()
        where, part = self.splat_part(*bands)
        drawn[where] = part
        return drawn

    def splat_part(self, *bands: Band | Pieces) -> tuple[Part, Grid]:
        """`splat`, of the part of the picture that it touches."""
        # Half pixels, two of them before the picture.
        scale = 2 * self.size
        places = grains(bands, scale * self.pose.scale * self.pose.rotation, scale * self.pose.shift + 2)
        where, part = splatted(*places, self.size)
        return where, part * np.float32(1 / (4 * self.pixel) ** 2)

    def blur(self, grid: Grid, sigma: float) -> Grid:
        """Gaussian blur; `sigma` in the chest's unit. Widths under an eighth of a pixel change nothing."""
        return blurred(grid, width_step(sigma / self.pixel))

    def blur_part(self, grid: Grid, sigma: float, filled: Part, wanted: Part) -> Grid:
        """`blur` in the part `wanted`, of a grid that is 0 outside the part `filled`."""
        return blurred_part(grid[filled], self.size, width_step(sigma / self.pixel), filled, wanted)

    def softened(self, where: Part, part: Grid) -> tuple[Part, Grid]:
        """A part of the picture, 0 around it, blurred by 0.6 of a pixel."""
        rows, columns = (slice(max(at.start - 2, 0), min(at.stop + 2, self.size)) for at in where)
        return (rows, columns), blurred_part(part, self.size, width_step(0.6), where, (rows, columns))

    def noise(self, rng: np.random.Generator, scale: float, where: Part | None = None) -> Grid:
        """Smooth Gaussian noise of mean 0 and variance 1 whose structures are about `scale` (chest's unit) wide.

        The same generator gives the same pattern at every size of the image; `where` gives a part of it.
        """
        # In steps of a tenth, so that few matrices serve all phantoms.
        nodes = round(1.1 ** round(math.log(1.6 / (scale * self.pose.scale)) / math.log(1.1)))
        nodes = min(max(nodes, 2), 4096) + 3
        return enlarged(rng.standard_normal((nodes, nodes), dtype=np.float32), self.size, where)

    def disc(
        self, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0, lift: Grid | float = 0.0
    ) -> Grid:
        """Squared elliptical radius about the centre: below 1 inside.

        Radii in the chest's unit, angle in radians; `lift` moves the figure up, pixel by pixel.
        """
        return _ellipse(self.x, self.y, centre, radii, angle, lift)

    def disc_part(
        self, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0, reach: float = 1.0
    ) -> tuple[Part, Grid]:
        """`disc`, of the part of the picture around it: what is left out lies beyond `reach` radii."""
        where = self.around(centre, reach * max(radii))
        return where, _ellipse(self.x[where], self.y[where], centre, radii, angle, 0.0)

    def sphere(self, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Grid:
        """Path through an ellipsoid relative to its longest path: sqrt(1 - r^2), 0 outside."""
        where, part = self.sphere_part(centre, radii, angle)
        drawn = self.zeros()
        drawn[where] = part
        return drawn

    def sphere_part(
        self, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0
    ) -> tuple[Part, Grid]:
        """`sphere`, of the part of the picture around it."""
        where, drawn = self.disc_part(centre, radii, angle)
        np.subtract(1, drawn, out=drawn)
        return where, np.sqrt(positive(drawn), out=drawn)

    def around(self, centre: tuple[float, float], reach: float) -> Part:
        """The part of the picture that lies at most that far (chest's unit) from a place, and a little more."""
        x, y = self.pixels(np.array([centre]))[0].tolist()
        far, size = reach / self.pixel + 2, self.size
        (top, bottom), (left, right) = (
            (int(min(max(at - far, 0), size)), int(min(max(at + far, 0), size))) for at in (y, x)
        )
        return np.s_[top:bottom, left:right]

    def columns(self, low: float, high: float) -> slice:
        """The columns of the picture in which x lies between the two somewhere; may be empty."""
        ends = self.x[[0, -1]]  # x is even along a column
        return _span((ends.max(0) > low) & (ends.min(0) < high))

    def rows(self, low: float, high: float) -> slice:
        """The rows of the picture in which y lies between the two somewhere; may be empty."""
        ends = self.y[:, [0, -1]]
        return _span((ends.max(1) > low) & (ends.min(1) < high))

    def tube(self, path: Points, radius: float | Points) -> Band:
        """A full tube along the path (N, 2), chest's unit; radius one or (N,). Splats to its path length, same unit."""
        return self.tubes([path], [radius])[0]

    def tubes(self, paths: Sequence[Points], radii: Sequence[float | Points]) -> list[Band]:
        """Several tubes; together they take little longer than one."""
        fine = resampled(paths, 0.85 * self.pixel)
        radius = fine.spread(radii)
        run = fine.tangents()
        length = np.hypot(run[:, 0], run[:, 1])
        half = across(run, radius / length)
        length[fine.first] *= 0.5
        length[fine.last] *= 0.5
        volume = np.pi * radius**2 * length
        return [self.strip(fine.points[part], half[part], volume[part], round_profile) for part in fine.parts()]

    def strip(self, path: Points, half_width: Points, volume: Points, profile: Profile, *, own: bool = False) -> Band:
        """A bent band of grains that lie closer than pixels; the arguments are those of `Band`."""
        widest = 2 * math.sqrt(float(np.square(half_width).sum(1).max())) / self.pixel
        return Band(path, half_width, volume, min(max(math.ceil(widest), 1), 400), profile, own)
