"""What other machines make: cross-sections on black, ultrasound fans, mammograms, maps of dose or function."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.others.plate import Plane, Plate, smooth, stretched

__all__ = ["KINDS"]


def _head_slice(rng: np.random.Generator, size: int) -> Plane:
    """A head cut across, as CT or MR shows it."""
    plate = Plate(size)
    centre, radii = (rng.normal(0, 0.06), rng.normal(0, 0.06)), (rng.uniform(0.45, 0.75), rng.uniform(0.6, 0.9))
    angle = rng.normal(0, 0.15)
    shell = rng.uniform(0.3, 1.5)
    plate.ellipse(centre, (radii[0] * 1.12, radii[1] * 1.1), shell, angle, 0.1)
    plate.ellipse(centre, radii, rng.uniform(0.4, 0.6) - shell, angle, 0.1)
    for side in (-1, 1):
        plate.ellipse((centre[0] + side * 0.1, centre[1]), (0.07, 0.25), -0.25, side * 0.3, 0.3)
    for _ in range(int(rng.integers(8, 30))):
        spot = centre[0] + rng.normal(0, 0.3) * radii[0], centre[1] + rng.normal(0, 0.3) * radii[1]
        plate.ellipse(spot, (rng.uniform(0.02, 0.12), rng.uniform(0.02, 0.12)), rng.normal(0, 0.12), rng.uniform(0, 3))
    plate.grain(rng, rng.uniform(0.05, 0.15))
    return stretched(np.clip(plate.depth, 0, None), 0.5, 99.5)


def _body_slice(rng: np.random.Generator, size: int) -> Plane:
    """A trunk cut across: organs in an ellipse, the vertebra behind; through the chest with two dark lungs."""
    plate = Plate(size)
    wide, high = rng.uniform(0.75, 0.97), rng.uniform(0.45, 0.75)
    middle = rng.normal(0, 0.08)
    plate.ellipse((0, middle), (wide, high), 0.35, power=0.05)
    plate.ellipse((0, middle), (wide * 0.92, high * 0.9), rng.uniform(0.1, 0.25), power=0.05)
    if rng.random() < 0.5:
        for side in (-1, 1):
            lung = (wide * rng.uniform(0.28, 0.36), high * rng.uniform(0.55, 0.75))
            plate.ellipse((side * wide * 0.47, middle), lung, -rng.uniform(0.3, 0.45), -side * 0.2, 0.08)
            for _ in range(12):
                spot = side * wide * rng.uniform(0.25, 0.65), middle + rng.normal(0, 0.2)
                plate.ellipse(spot, (0.012, 0.012), 0.3)
        plate.ellipse((0.1, middle - 0.1), (0.25, 0.22), 0.15)
    else:
        for _ in range(int(rng.integers(5, 16))):
            spot = rng.uniform(-0.7, 0.7) * wide, middle + rng.uniform(-0.7, 0.6) * high
            radii = rng.uniform(0.05, 0.35), rng.uniform(0.05, 0.25)
            plate.ellipse(spot, radii, rng.normal(0, 0.12), rng.uniform(0, 3), 0.1)
    spine = (0.0, middle + 0.62 * high)
    plate.ellipse(spine, (0.13, 0.1), rng.uniform(0.3, 0.6), power=0.1)
    plate.ellipse((0, spine[1] + 0.1), (0.05, 0.04), -0.3, power=0.1)
    for side in (-1, 1):
        for index in range(4):
            angle = 0.5 + 0.55 * index
            spot = side * wide * 0.9 * np.sin(angle), middle + high * 0.86 * np.cos(angle)
            plate.ellipse((float(spot[0]), float(spot[1])), (0.06, 0.025), rng.uniform(0.2, 0.6), side * angle)
    if rng.random() < 0.6:
        plate.path([(-0.9, 0.9), (0.0, 0.98), (0.9, 0.9)], 0.015, 0.2)  # the table
    picture = np.clip(plate.depth, 0, None) * (1 + 0.08 * smooth(rng, size, 60))
    return stretched(picture, 0.5, rng.uniform(97, 99.8))


def _fan(rng: np.random.Generator, size: int) -> Plane:
    """Ultrasound: a sector of speckle on black, with dark vessels and bright borders."""
    plate = Plate(size)
    plate.depth += np.exp(0.8 * smooth(rng, size, 50) + 0.9 * smooth(rng, size, 7)) * np.float32(0.4)
    for _ in range(int(rng.integers(1, 7))):
        spot = rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.7)
        strength = float(rng.choice([-0.7, 0.5]))
        plate.ellipse(spot, (rng.uniform(0.05, 0.4), rng.uniform(0.04, 0.2)), strength, rng.uniform(-1, 1), 0.1)
    apex = -rng.uniform(0.9, 1.6)
    radius, angle = np.hypot(plate.x, plate.y - apex), np.abs(np.arctan2(plate.x, plate.y - apex))
    low, high = rng.uniform(0.05, 0.5), rng.uniform(1.6, 2.4)
    sector = (angle < rng.uniform(0.35, 0.85)) & (radius > low) & (radius < high)
    if rng.random() < 0.2:
        sector = np.broadcast_to((np.abs(plate.x) < rng.uniform(0.5, 0.9)) & (plate.y > -0.9), sector.shape)
    return stretched(np.clip(plate.depth, 0, None) * sector, 0.0, 99.5)


def _breast(rng: np.random.Generator, size: int) -> Plane:
    """A mammogram: half an ellipse from one edge, strands of tissue in it, the rest black."""
    plate = Plate(size)
    side = float(rng.choice([-1, 1]))
    centre = (side, rng.normal(0, 0.15))
    radii = (rng.uniform(0.7, 1.5), rng.uniform(0.6, 1.1))
    plate.ellipse(centre, radii, 1.0, power=0.2)
    strands = np.exp(0.7 * smooth(rng, size, 5) + 0.5 * smooth(rng, size, 25)) * rng.uniform(0.1, 0.8)
    inside = Plate(size)
    inside.ellipse((centre[0] * 0.8, centre[1]), (radii[0] * 0.75, radii[1] * 0.8), 1.0)
    plate.depth += inside.depth * strands
    if rng.random() < 0.5:
        plate.area([(side, -1), (side * 0.3, -1), (side, 0.6)], 0.7, 0.02)
    return plate.film(rng)


def _map(rng: np.random.Generator, size: int) -> Plane:
    """A map of dose or uptake: a few blurred hot spots, flat steps, or a mask of labels."""
    plate = Plate(size)
    for _ in range(int(rng.integers(1, 9))):
        spot = rng.uniform(-0.8, 0.8), rng.uniform(-0.8, 0.8)
        plate.ellipse(spot, (rng.uniform(0.05, 0.7), rng.uniform(0.05, 0.7)), rng.uniform(0.2, 1), rng.uniform(0, 3), 2)
    kind = rng.integers(3)
    if kind == 0:
        return stretched(plate.depth, 0, 100)
    if kind == 1:
        return stretched(np.round(plate.depth * rng.uniform(2, 8)), 0, 100)
    return (plate.depth > np.quantile(plate.depth, rng.uniform(0.4, 0.97))).astype(np.float32)


KINDS: dict[str, Callable[[np.random.Generator, int], Plane]] = {
    "head_slice": _head_slice,
    "body_slice": _body_slice,
    "fan": _fan,
    "breast": _breast,
    "map": _map,
}
