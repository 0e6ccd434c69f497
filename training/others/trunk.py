"""Head and trunk but for the frontal chest: skull, spine, abdomen, pelvis, and the chest from the side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.others.plate import Plane, Plate

__all__ = ["KINDS"]


def _vertebrae(plate: Plate, rng: np.random.Generator, x: float, count: int, half: float, depth: float) -> None:
    """A column of vertebrae down the whole picture, slightly curved."""
    curve, step = rng.normal(0, 0.06), 2.6 / count
    for index in range(count):
        y = -1.3 + step * (index + 0.5)
        bent = x + curve * np.cos(2.5 * y)
        plate.area([(bent - half, y - 0.4 * step), (bent + half, y - 0.4 * step),
                    (bent + half, y + 0.4 * step), (bent - half, y + 0.4 * step)], depth, 0.008)  # fmt: skip
        plate.ellipse((bent, y), (0.25 * half, 0.3 * step), 0.5 * depth)
        plate.tube((bent - 1.7 * half, y), (bent + 1.7 * half, y), (0.1 * step, 0.1 * step), 0.5 * depth)


def _gas(plate: Plate, rng: np.random.Generator, count: int) -> None:
    """Gas in the bowel: dark, round, in heaps."""
    for _ in range(count):
        centre = rng.uniform(-0.7, 0.7), rng.uniform(-0.8, 0.7)
        for _ in range(int(rng.integers(1, 6))):
            spot = centre[0] + rng.normal(0, 0.09), centre[1] + rng.normal(0, 0.07)
            plate.ellipse(spot, (rng.uniform(0.04, 0.15), rng.uniform(0.03, 0.1)), -rng.uniform(0.15, 0.5))


def _wings(plate: Plate, rng: np.random.Generator, y: float, scale: float) -> None:
    """The pelvis: two wings, the ring, hip joints with the heads of the thigh bones, the sacrum."""
    for side in (-1, 1):
        wing = [(0.18, 0.0), (0.5, -0.42), (0.82, -0.3), (0.78, 0.0), (0.5, 0.25), (0.3, 0.2)]
        plate.area([(side * scale * a, y + scale * b) for a, b in wing], rng.uniform(0.35, 0.6), 0.01)
        socket = (side * scale * 0.6, y + scale * 0.4)
        plate.ellipse(socket, (0.17 * scale, 0.17 * scale), 0.8)
        plate.bone(socket, (side * scale * 0.95, y + scale * 1.6), 0.13 * scale, 0.8, 1.3)
        ring = [(0.45, 0.3), (0.2, 0.5), (0.04, 0.55), (0.2, 0.72), (0.42, 0.6)]
        plate.path([(side * scale * a, y + scale * b) for a, b in ring], 0.06 * scale, 0.6)
    plate.area([(-0.2 * scale, y - 0.1), (0.2 * scale, y - 0.1), (0.05 * scale, y + 0.35 * scale),
                (-0.05 * scale, y + 0.35 * scale)], 0.5, 0.012)  # fmt: skip


def _abdomen(rng: np.random.Generator, size: int) -> Plane:
    """An abdomen: spine in the middle, gas, flanks, perhaps domes above and the pelvis below."""
    plate = Plate(size)
    plate.ellipse((rng.normal(0, 0.05), 0), (rng.uniform(0.8, 1.3), rng.uniform(1.3, 2.2)), rng.uniform(0.9, 1.6))
    _vertebrae(plate, rng, rng.normal(0, 0.04), int(rng.integers(6, 9)), rng.uniform(0.09, 0.14), rng.uniform(0.2, 0.5))
    _gas(plate, rng, int(rng.integers(2, 11)))
    if rng.random() < 0.5:
        _wings(plate, rng, rng.uniform(0.4, 0.8), rng.uniform(0.8, 1.1))
    if rng.random() < 0.5:  # the lowest strip of the lungs above the domes
        for side in (-1, 1):
            plate.ellipse((side * 0.45, -1.05), (0.4, rng.uniform(0.15, 0.4)), -rng.uniform(0.3, 0.7), power=0.3)
        for side in (-1, 1):
            for index in range(3):
                y = -0.8 + 0.22 * index
                plate.path([(side * 0.25, y - 0.2), (side * 0.75, y), (side * 0.85, y + 0.2)], 0.03, 0.2)
    for side in (-1, 1):
        plate.ellipse((side * 0.35, 0.1), (0.14, 0.25), 0.12, side * 0.3)  # kidneys
    plate.grain(rng, rng.uniform(0.02, 0.06))
    return plate.film(rng, rng.uniform(0.5, 1.4))


def _pelvis(rng: np.random.Generator, size: int) -> Plane:
    plate = Plate(size)
    plate.ellipse((0, 0), (rng.uniform(1.0, 1.4), rng.uniform(1.0, 1.8)), rng.uniform(0.7, 1.2), power=0.4)
    _vertebrae(plate, rng, 0.0, 7, 0.13, 0.15)
    _wings(plate, rng, rng.uniform(-0.5, 0.0), rng.uniform(0.9, 1.25))
    _gas(plate, rng, int(rng.integers(0, 4)))
    plate.grain(rng, rng.uniform(0.02, 0.06))
    return plate.film(rng, rng.uniform(0.5, 1.5))


def _skull(rng: np.random.Generator, size: int) -> Plane:
    """A skull from the front or from the side, with jaw, teeth and neck."""
    plate = Plate(size)
    centre, radii = (rng.normal(0, 0.06), rng.uniform(-0.4, -0.1)), (rng.uniform(0.5, 0.8), rng.uniform(0.6, 0.85))
    plate.ellipse(centre, (radii[0] * 1.06, radii[1] * 1.06), 1.4)
    plate.ellipse(centre, radii, -0.8)
    lateral = rng.random() < 0.5
    face = rng.choice([-1, 1]) * (0.3 if lateral else 0.0)
    low = centre[1] + 0.75 * radii[1]
    for side in (-1, 1):
        eye = (centre[0] + face + side * (0.08 if lateral else 0.27), centre[1] + 0.3)
        plate.ellipse(eye, (0.17, 0.14), -0.25)
        angle = (centre[0] + face + side * 0.35, low + 0.3)
        hinge = (centre[0] + side * 0.5 * (not lateral) + face * 0.2, low - 0.15)
        plate.path([hinge, angle, (centre[0] + face * 1.5, low + 0.45)], 0.07, 0.5)
    for index in range(-4, 5):
        for row in (0, 1):
            plate.ellipse((centre[0] + face * 1.3 + 0.06 * index, low + 0.12 + 0.13 * row), (0.025, 0.06), 0.8)
    plate.tube((centre[0] - face, low), (centre[0] - face, 1.5), (0.4, 0.7), 0.7)
    for index in range(6):
        plate.ellipse((centre[0] - face * 0.9, low + 0.1 + 0.15 * index), (0.13, 0.065), 0.5, power=0.2)
    plate.grain(rng, rng.uniform(0.02, 0.08))
    return plate.film(rng)


def _spine(rng: np.random.Generator, size: int) -> Plane:
    """A column alone: neck or loin, from the front or the side, coned to it."""
    plate = Plate(size)
    plate.depth += np.float32(rng.uniform(0.2, 0.7))
    plate.tube((0, -1.5), (0, 1.5), (rng.uniform(0.5, 1.5), rng.uniform(0.5, 1.5)), 0.6)
    _vertebrae(plate, rng, rng.normal(0, 0.1), int(rng.integers(5, 10)), rng.uniform(0.14, 0.32), rng.uniform(0.3, 0.9))
    _gas(plate, rng, int(rng.integers(0, 3)))
    plate.grain(rng, rng.uniform(0.02, 0.06))
    return plate.film(rng)


def _lateral_chest(rng: np.random.Generator, size: int) -> Plane:
    """A chest from the side: one field of lung between spine and heart, both domes below, arms above."""
    plate = Plate(size)
    side = float(rng.choice([-1, 1]))
    lean = rng.normal(0, 0.06)
    plate.ellipse((lean, 0.1), (rng.uniform(0.6, 0.85), rng.uniform(1.2, 1.7)), rng.uniform(1.1, 1.6))
    lung = [(0.0, -0.8), (0.3, -0.55), (0.45, 0.0), (0.5, 0.45), (0.2, 0.55), (-0.1, 0.5), (-0.35, 0.75),
            (-0.52, 0.8), (-0.55, 0.1), (-0.4, -0.5), (-0.2, -0.75)]  # fmt: skip
    shape = rng.uniform(0.85, 1.15, 2)
    plate.area([(side * x * shape[0] + lean, y * shape[1]) for x, y in lung], -rng.uniform(0.6, 1.1), 0.03)
    plate.ellipse((side * 0.25, 0.3), (0.3, 0.35), rng.uniform(0.3, 0.6), side * 0.5)
    for index in range(11):
        y = -1.1 + 0.21 * index
        x = -side * (0.5 + 0.06 * np.cos(1.8 * y))
        plate.ellipse((x, y), (0.09, 0.085), rng.uniform(0.25, 0.4), power=0.2)
    for index in range(int(rng.integers(5, 9))):
        y = -0.75 + 0.2 * index
        plate.path([(-side * 0.55, y - 0.15), (0.0, y + 0.08), (side * 0.4, y + 0.3)], 0.025, rng.uniform(0.08, 0.2))
    plate.tube((side * 0.5, -0.6), (side * 0.6, 0.6), (0.04, 0.04), 0.3)
    if rng.random() < 0.7:
        plate.tube((side * 0.1, -0.8), (side * 0.3, -1.5), (0.25, 0.25), 0.5)
    plate.grain(rng, rng.uniform(0.02, 0.08))
    return plate.film(rng, rng.uniform(0.8, 1.8))


KINDS: dict[str, Callable[[np.random.Generator, int], Plane]] = {
    "abdomen": _abdomen,
    "pelvis": _pelvis,
    "skull": _skull,
    "spine": _spine,
    "lateral_chest": _lateral_chest,
}
