"""Pictures of nothing, and of anything: empty, even, gradients, noise, and shapes before shapes as photographs have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.others.plate import Plane, Plate, smooth, stretched

__all__ = ["KINDS"]


def _even(rng: np.random.Generator, size: int) -> Plane:
    """One grey value, or two halves, with little or no noise: a blank exposure, a closed shutter."""
    picture = np.full((size, size), rng.uniform(0, 1), np.float32)
    if rng.random() < 0.4:
        edge = int(rng.integers(1, size))
        picture[edge:] = rng.uniform(0, 1)
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    return np.clip(picture + np.float32(rng.choice([0, 0.01, 0.05])) * noise, 0, 1)


def _gradient(rng: np.random.Generator, size: int) -> Plane:
    """Straight or round, with the vignette that flat fields have."""
    plate = Plate(size)
    a, b = rng.normal(0, 1, 2)
    slope = a * plate.x + b * plate.y
    bowl = (plate.x - rng.normal(0, 0.4)) ** 2 + (plate.y - rng.normal(0, 0.4)) ** 2
    picture = rng.normal(0, 1) * slope + rng.normal(0, 1) * bowl + 0.02 * smooth(rng, size, 60)
    return stretched(picture.astype(np.float32), 0, 100)


def _clouds(rng: np.random.Generator, size: int) -> Plane:
    """Noise whose strength falls with its fineness, more or less steeply."""
    fall = rng.uniform(0.4, 2.2)
    nodes = [3, 6, 12, 24, 48, 96]
    picture = sum((n / 3) ** -fall * smooth(rng, size, n) for n in nodes)
    return stretched(np.asarray(picture, np.float32), 1, 99)


def _white(rng: np.random.Generator, size: int) -> Plane:
    """Noise without any size: a detector without a beam."""
    grains = rng.standard_normal((size, size), dtype=np.float32)
    if rng.random() < 0.3:
        grains = np.where(np.abs(grains) > rng.uniform(1, 3), np.sign(grains), 0).astype(np.float32)
    middle, spread = rng.uniform(0.1, 0.9), rng.uniform(0.05, 0.5)
    return np.clip(np.float32(middle) + np.float32(spread) * grains, 0, 1)


def _leaves(rng: np.random.Generator, size: int) -> Plane:
    """Shapes of all sizes before one another, shaded: edges and depths as in photographs (dead leaves)."""
    picture = 0.3 * smooth(rng, size, 4) + np.float32(rng.uniform(0, 1))
    for _ in range(int(rng.integers(8, 60))):
        shape = Plate(size)
        radius = 0.06 / (rng.uniform(0.06, 1.0))
        centre = (rng.uniform(-1.1, 1.1), rng.uniform(-1.1, 1.1))
        shape.ellipse(centre, (radius * rng.uniform(0.4, 1), radius), 1.0, rng.uniform(0, 3), 0.01)
        inside = shape.depth > 0.5
        shade = rng.normal(0, 0.3) * shape.x + rng.normal(0, 0.3) * shape.y
        picture = np.where(inside, np.float32(rng.uniform(0, 1)) + shade, picture)
    return stretched((picture + 0.03 * smooth(rng, size, 60)).astype(np.float32), 0.5, 99.5)


KINDS: dict[str, Callable[[np.random.Generator, int], Plane]] = {
    "even": _even,
    "gradient": _gradient,
    "clouds": _clouds,
    "white": _white,
    "leaves": _leaves,
}
