"""Limbs: one or two long bones, joints, hands and feet."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from training.others.plate import Plane, Plate

__all__ = ["KINDS"]


def _shaft(rng: np.random.Generator, size: int) -> Plane:
    """A thigh or an upper arm with one bone, a lower leg or a forearm with two."""
    plate = Plate(size)
    lean, width = rng.uniform(-0.25, 0.25), rng.uniform(0.25, 0.75)
    top, bottom = (-lean, -1.3), (lean, 1.3)
    plate.tube(top, bottom, (width, width * rng.uniform(0.6, 1.1)), rng.uniform(0.5, 1.0))
    pair = rng.random() < 0.5
    radius = width * rng.uniform(0.16, 0.3) * (0.75 if pair else 1.0)
    for side in (-1, 1) if pair else (0,):
        shift = side * radius * rng.uniform(1.5, 2.2)
        ends = rng.uniform(-1.6, -0.3), rng.uniform(0.3, 1.6)
        start, end = ((lean * at + shift * rng.uniform(0.8, 1.2), at) for at in ends)
        plate.bone(start, end, radius * (0.7 if side > 0 else 1.0), rng.uniform(0.7, 1.5), rng.uniform(1.2, 1.9))
    if rng.random() < 0.25:  # a plate of metal with screws, or a cast
        plate.tube((0.1, -0.6), (0.1, 0.5), (0.05, 0.05), 3.0, 0.1)
    plate.grain(rng, rng.uniform(0.02, 0.08))
    return plate.film(rng)


def _joint(rng: np.random.Generator, size: int) -> Plane:
    """A knee, an elbow, an ankle: two broad ends that nearly meet, from the front or bent from the side."""
    plate = Plate(size)
    bend = rng.choice([0.0, rng.uniform(0.4, 1.7)])
    radius, width = rng.uniform(0.13, 0.24), rng.uniform(0.4, 0.7)
    gap, middle = rng.uniform(0.02, 0.05), rng.uniform(-0.2, 0.2)
    turn = (math.sin(bend), math.cos(bend))
    plate.tube((0, -1.4), (0, middle), (width, width * 0.9), 0.7)
    plate.tube((0, middle), (1.5 * turn[0], middle + 1.5 * turn[1]), (width * 0.9, width * 0.7), 0.7)
    plate.bone((0, -1.4), (0, middle - radius - gap), radius, 1.1, rng.uniform(1.5, 2.0))
    low = (turn[0] * (radius + gap), middle + turn[1] * (radius + gap))
    plate.bone(low, (1.5 * turn[0], middle + 1.5 * turn[1]), 0.9 * radius, 1.1, rng.uniform(1.4, 1.9))
    if rng.random() < 0.6:
        plate.ellipse((-0.25 * (bend > 0), middle - 0.15), (0.14, 0.17), 0.5)
    if rng.random() < 0.5:
        side = rng.choice([-1, 1]) * 1.6 * radius
        plate.bone((side, middle + 0.25), (side * 1.1, 1.5), 0.35 * radius, 0.8)
    plate.grain(rng, rng.uniform(0.02, 0.08))
    return plate.film(rng)


def _ray(plate: Plate, rng: np.random.Generator, root: tuple[float, float], angle: float, length: float) -> None:
    """One finger or toe with its bones, from the wrist outward."""
    lengths = length * np.array([0.42, 0.27, 0.18, 0.13])
    at, radius = np.array(root), length * rng.uniform(0.05, 0.07)
    way = np.array([math.sin(angle), -math.cos(angle)])
    plate.tube(root, tuple(at + way * length), (radius * 2.4, radius * 1.8), 0.45)
    for each in lengths:
        end = at + way * each * 0.88
        plate.bone(tuple(at), tuple(end), radius, 0.9, 1.35)
        at, radius = at + way * each, radius * 0.86


def _hand(rng: np.random.Generator, size: int) -> Plane:
    """A hand with spread or closed fingers, or a foot; sometimes both hands on one film."""
    plate = Plate(size)
    both = rng.random() < 0.25
    for side in (-1, 1) if both else (0,):
        wrist = (0.5 * side, rng.uniform(0.45, 0.7))
        scale, fan = rng.uniform(0.55, 0.62) if both else rng.uniform(0.9, 1.25), rng.uniform(0.08, 0.2)
        plate.ellipse((wrist[0], wrist[1] - 0.25 * scale), (0.32 * scale, 0.38 * scale), 0.5, power=0.3)
        plate.tube(wrist, (wrist[0], 1.4), (0.24 * scale, 0.3 * scale), 0.6)
        for index, reach in enumerate((0.68, 0.95, 1.0, 0.94, 0.78)):
            root = (wrist[0] + 0.11 * scale * (index - 2), wrist[1] - 0.12 * scale)
            _ray(plate, rng, root, (index - 2) * fan - 0.5 * (index == 0), reach * scale)
        for _ in range(8):
            spot = wrist[0] + rng.normal(0, 0.1 * scale), wrist[1] + rng.normal(0, 0.05)
            plate.ellipse(spot, (0.06 * scale, 0.06 * scale), 0.5)
        for shift in (-0.09, 0.09):
            plate.bone((wrist[0] + shift * scale, wrist[1] + 0.08), (wrist[0] + shift, 1.5), 0.055 * scale, 0.9)
    plate.grain(rng, rng.uniform(0.02, 0.06))
    return plate.film(rng)


def _shoulder(rng: np.random.Generator, size: int) -> Plane:
    """A shoulder or a hip: a round head in its socket, a shaft that leaves the picture, soft tissue over all."""
    plate = Plate(size)
    plate.depth += np.float32(rng.uniform(0.1, 0.5))
    plate.ellipse((rng.uniform(-0.5, 0.5), rng.uniform(0, 0.8)), (1.3, 1.2), 0.7)
    side, head = float(rng.choice([-1, 1])), rng.uniform(0.2, 0.3)
    centre = (side * rng.uniform(0.0, 0.3), rng.uniform(-0.35, 0.0))
    plate.bone(centre, (centre[0] + side * rng.uniform(0.2, 0.5), 1.5), 0.6 * head, 0.9, 1.8)
    plate.path([(-side * 1.3, -0.5), (-side * 0.5, -0.6), (centre[0], centre[1] - 1.4 * head)], 0.08, 0.7)
    blade = [(centre[0] - side * head, centre[1] - 0.1), (-side * 1.0, -0.3), (-side * 0.6, 0.9)]
    plate.area(blade, 0.45, 0.01)
    if rng.random() < 0.5:  # a part of the ribs, with or without some lung
        for index in range(4):
            y = -0.4 + 0.33 * index
            plate.path([(-side * 1.2, y), (-side * 0.7, y + 0.05), (-side * 0.45, y + 0.3)], 0.04, 0.4)
    plate.grain(rng, rng.uniform(0.02, 0.06))
    return plate.film(rng)


KINDS: dict[str, Callable[[np.random.Generator, int], Plane]] = {
    "shaft": _shaft,
    "joint": _joint,
    "hand": _hand,
    "shoulder": _shoulder,
}
