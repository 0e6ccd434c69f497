"""A plate on which matter adds up as X-rays see it: tubes, ellipsoids, bones, air; and smooth noise.

Places are in -1..1 across the picture, x to the right and y downward; depths are in units of which 1 is a thick limb.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = ["Plane", "Plate", "Point", "smooth", "stretched"]

Plane = npt.NDArray[np.float32]
Point = tuple[float, float]


@lru_cache(maxsize=4)
def _places(size: int) -> tuple[Plane, Plane]:
    at = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    return at[None, :], at[:, None]


def smooth(rng: np.random.Generator, size: int, nodes: int) -> Plane:
    """Noise of unit variance whose hills are about `size / nodes` pixels wide."""
    coarse = rng.standard_normal((nodes + 2, nodes + 2)).astype(np.float32)
    picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.float32)


def stretched(picture: Plane, low: float = 1.0, high: float = 99.0) -> Plane:
    """The picture between two of its percentiles as 0..1; one without contrast becomes 0."""
    bottom, top = np.percentile(picture, (low, high))
    if top - bottom < 1e-6:
        return np.zeros_like(picture)
    return np.clip((picture - bottom) / (top - bottom), 0, 1).astype(np.float32)


class Plate:
    """What X-rays pass through, added up.

    Attributes:
        depth: [size, size], how much.
    """

    def __init__(self, size: int) -> None:
        self.size, self.depth = size, np.zeros((size, size), np.float32)
        self.x, self.y = _places(size)

    def ellipse(self, centre: Point, radii: Point, depth: float = 1.0, angle: float = 0.0, power: float = 0.5) -> None:
        """An ellipsoid; `power` 0.5 is round, nearer to 0 a disc of even thickness."""
        cosine, sine = math.cos(angle), math.sin(angle)
        across, down = self._around([centre], max(radii))
        x, y = self.x[:, across] - np.float32(centre[0]), self.y[down] - np.float32(centre[1])
        q = ((cosine * x + sine * y) / radii[0]) ** 2 + ((cosine * y - sine * x) / radii[1]) ** 2
        self.depth[down, across] += np.float32(depth) * np.clip(1 - q, 0, None) ** np.float32(power)

    def tube(self, start: Point, end: Point, radii: Point, depth: float = 1.0, power: float = 0.5) -> None:
        """A rod with round ends, its radius running from the first to the second."""
        (x0, y0), (x1, y1) = start, end
        dx, dy = x1 - x0, y1 - y0
        across, down = self._around([start, end], max(radii))
        x, y = self.x[:, across] - np.float32(x0), self.y[down] - np.float32(y0)
        along = np.clip((x * np.float32(dx) + y * np.float32(dy)) / np.float32(max(dx * dx + dy * dy, 1e-9)), 0, 1)
        radius = np.float32(radii[0]) + np.float32(radii[1] - radii[0]) * along
        q = ((x - along * np.float32(dx)) ** 2 + (y - along * np.float32(dy)) ** 2) / np.maximum(radius, 1e-4) ** 2
        self.depth[down, across] += np.float32(depth) * np.clip(1 - q, 0, None) ** np.float32(power)

    def _around(self, points: Sequence[Point], reach: float) -> tuple[slice, slice]:
        """Columns and rows in which something that reaches so far from these points lies."""
        ends = [[p[axis] for p in points] for axis in (0, 1)]
        pixels = [((min(e) - reach + 1) * self.size / 2, (max(e) + reach + 1) * self.size / 2) for e in ends]
        slices = [slice(min(self.size, max(0, int(low))), max(0, int(high) + 2)) for low, high in pixels]
        return slices[0], slices[1]

    def bone(self, start: Point, end: Point, radius: float, depth: float, knob: float = 1.5) -> None:
        """A long bone: a dense tube with marrow inside, and knobs at its ends."""
        self.tube(start, end, (radius, radius), depth)
        self.tube(start, end, (0.6 * radius, 0.6 * radius), -0.45 * depth)
        for place in (start, end):
            self.ellipse(place, (knob * radius, knob * radius), 0.6 * depth)

    def path(self, points: Sequence[Point], radius: float, depth: float) -> None:
        """A bent rod through the points."""
        for start, end in pairwise(points):
            self.tube(start, end, (radius, radius), depth)

    def area(self, points: Sequence[Point], depth: float, blur: float = 0.0) -> None:
        """A flat piece of matter with that outline, its edge softened over `blur` of the picture."""
        scale = self.size / 2
        picture = Image.new("L", (self.size, self.size))
        ImageDraw.Draw(picture).polygon([((x + 1) * scale, (y + 1) * scale) for x, y in points], fill=255)
        if blur:
            from PIL import ImageFilter

            picture = picture.filter(ImageFilter.GaussianBlur(blur * self.size))
        self.depth += np.asarray(picture, np.float32) * np.float32(depth / 255)

    def grain(self, rng: np.random.Generator, strength: float) -> None:
        """Texture of several sizes where there is matter."""
        rough = smooth(rng, self.size, 6) + 0.6 * smooth(rng, self.size, 18) + 0.4 * smooth(rng, self.size, 50)
        self.depth *= 1 + np.float32(strength) * rough

    def film(self, rng: np.random.Generator, steepness: float | None = None) -> Plane:
        """The radiograph, 0..1, dense bright; exposure and curve are drawn."""
        k = rng.uniform(0.5, 2.2) if steepness is None else steepness
        self.depth += np.float32(0.01) * rng.standard_normal(self.depth.shape, dtype=np.float32)
        return stretched(1 - np.exp(-np.float32(k) * np.clip(self.depth, 0, None)), 0.5, 99.8)
