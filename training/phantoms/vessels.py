"""Hila, the trees of the pulmonary vessels, and the bronchi that run beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from training.phantoms.anatomy import SIDES
from training.phantoms.curves import bezier
from training.phantoms.scene import Scene
from training.phantoms.shape_model import Points
from training.phantoms.strokes import Pieces, round_profile

__all__ = ["Tree", "add_vessels", "grow"]

# Murray's law for two equal daughters: the cubes of their radii add up to the mother's.
_DAUGHTER = 0.5 ** (1 / 3)


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """Straight pieces: start and end (N, 2) in the chest's unit, radius (N,) in cm, generation (N,)."""

    start: Points
    end: Points
    radius: Points
    generation: Points


def grow(
    rng: np.random.Generator, root: Points, angles: Points, radius: float, length: float, generations: int
) -> Tree:
    """Branches that fork again and again, from the roots in the directions `angles` (radians, y down).

    Args:
        rng: decides on the forks.
        root: (B, 2) where they begin.
        angles: (B,) first directions.
        radius: of the first pieces, cm.
        length: of the first pieces, chest's unit.
        generations: how many times they fork.
    """
    first, count = len(angles), len(angles) * (2**generations - 1)
    which = np.repeat(np.arange(generations), first * 2 ** np.arange(generations))
    thick, direction, turned = np.empty(count), np.empty(count), np.empty(count)
    chance, bend = np.empty((4, count)), np.empty(count)
    thick[:first], direction[:first] = radius * rng.uniform(0.75, 1.2, first), angles
    for part, *_ in _forks(first, generations):
        chance[0, part] = rng.random(part.stop - part.start)
        bend[part] = rng.standard_normal(part.stop - part.start)
        chance[1:, part] = rng.random((3, part.stop - part.start))
    long = length * 0.80**which * (0.6 + 0.75 * chance[0])
    bend *= 0.16
    spread = 0.15 + 0.6 * chance[1]
    lean = (chance[2] - 0.5) * spread
    uneven = 0.28 * chance[3] - 0.14
    aside, back, larger, smaller = lean + spread, lean - spread, _DAUGHTER + uneven, _DAUGHTER - uneven
    for part, left, right in _forks(first, generations):
        np.add(direction[part], bend[part], out=turned[part])
        if left.start < count:
            np.add(turned[part], aside[part], out=direction[left])
            np.add(turned[part], back[part], out=direction[right])
            np.multiply(thick[part], larger[part], out=thick[left])
            np.multiply(thick[part], smaller[part], out=thick[right])
    return _placed(np.asarray(root, np.float64), 0.5 * long, direction, turned, thick, which)


def _forks(first: int, generations: int) -> Iterator[tuple[slice, slice, slice]]:
    """Where the pieces of each generation stand, and where their two daughters do: one generation after the other."""
    for generation in range(generations):
        count = first * 2**generation
        start = count - first
        yield (
            slice(start, start + count),
            slice(start + count, start + 2 * count),
            slice(start + 2 * count, start + 3 * count),
        )


def _placed(root: Points, half: Points, direction: Points, turned: Points, thick: Points, which: Points) -> Tree:
    """The tree of pieces of two halves: the second goes on from the first, and the daughters from there."""
    first, generations = len(root), int(which[-1]) + 1
    # Complex numbers as places in the plane: x + iy.
    near, far = half * np.exp(1j * direction), half * np.exp(1j * turned)
    both, start = near + far, np.empty(len(half), np.complex128)
    start[:first] = root[:, 0] + 1j * root[:, 1]
    for part, left, right in _forks(first, generations):
        if left.start < len(half):
            start[left] = start[right] = start[part] + both[part]
    order = _halves_together(first, generations)
    middle = start + near
    starts, ends = np.concatenate([start, middle])[order], np.concatenate([middle, start + both])[order]
    radius, generation = np.concatenate([thick, 0.95 * thick])[order], np.concatenate([which, which])[order]
    return Tree(starts.view(np.float64).reshape(-1, 2), ends.view(np.float64).reshape(-1, 2), radius, generation)


@cache
def _halves_together(first: int, generations: int) -> npt.NDArray[np.intp]:
    """Of all first halves and then all second ones: first and second halves of each generation in turn."""
    count = first * (2**generations - 1)
    places = [np.arange(part.start, part.stop) for part, *_ in _forks(first, generations)]
    return np.concatenate([half for place in places for half in (place, place + count)])


def tree_dust(scene: Scene, tree: Tree, *, scale: float = 1.0) -> list[Pieces]:
    """The tree's tubes, all radii multiplied by `scale`; splats to cm along the beam."""
    # The last twigs are drawn where they are not far thinner than a pixel: below that they are an even haze.
    visible = tree.radius * scale > 0.9 * scene.canvas.pixel * scene.build.cm
    parts = (tree.generation < 3, (tree.generation >= 3) & visible)
    return [_pieces(scene, tree, part, scale) for part in parts if part.any()]


def _pieces(scene: Scene, tree: Tree, chosen: npt.NDArray[np.bool_], scale: float) -> Pieces:
    start, radius = tree.start[chosen], scale * tree.radius[chosen]
    run = tree.end[chosen] - start
    span = np.maximum(np.hypot(run[:, 0], run[:, 1]), 1e-9)
    steps = max(2, int(np.ceil(1.4 * float(span.mean()) / scene.canvas.pixel / 1.05)))
    half = run[:, ::-1] * (radius / scene.build.cm / span)[:, None]
    half[:, 0] *= -1
    volume = np.pi / scene.build.cm / steps * radius * radius * span
    widest = 2 * scene.cm(1.3 * float(radius.mean())) / scene.canvas.pixel
    count = min(max(math.ceil(widest / 1.2), 1), 60)
    return Pieces(start, run, half, volume, steps, count, round_profile)


def lung_tree(scene: Scene, rng: np.random.Generator, side: str) -> Tree:
    """The vessels of one lung."""
    sign = SIDES[side]
    outward = np.radians(np.array([-82, -62, -42, -22, -2, 16, 34, 52, 68, 84.0]) + rng.normal(0, 5, 10))
    angles = outward if sign > 0 else np.pi - outward
    tall = scene.chest.bottom - scene.chest.top
    spread = np.stack([0.012 * np.cos(angles), 0.05 * np.sin(angles) + 0.012], 1)
    tree = grow(rng, scene.chest.hilum(side) + spread, angles, 0.44, 0.115 * tall, 7)
    # Standing, blood runs to the bases: thin vessels above the hilum, thick ones below.
    middle = 0.5 * (tree.start[:, 1] + tree.end[:, 1])
    lower = np.clip((middle - scene.chest.hilum(side)[1]) / (0.4 * tall), -1, 1)
    tilt = 0.05 if scene.build.supine else 0.2
    return Tree(tree.start, tree.end, tree.radius * (1 + tilt * lower), tree.generation)


def add_vessels(scene: Scene, rng: np.random.Generator) -> None:
    """Draw hila and trees; what leaves the lungs is cut off, and they fade before they reach the pleura."""
    canvas = scene.canvas
    vessels: list[Pieces] = []
    hila: list[tuple[Points, Points]] = []
    for side in SIDES:
        tree = lung_tree(scene, rng, side)
        vessels += tree_dust(scene, tree)
        hila += _hilum(scene, rng, side)
        large = tree.generation < 4
        parts = (tree.start + 0.006, tree.end + 0.006, tree.radius * 1.5, tree.generation)
        scene.airways += tree_dust(scene, Tree(*(part[large] for part in parts)))
    between = np.abs(canvas.x - np.float32(scene.chest.middle)) < 0.13
    room = canvas.blur(np.maximum(scene.lungs, between), 0.016)
    paths, radii = zip(*hila, strict=True)
    where, part = canvas.splat_part(*vessels, *(band.times(scene.build.cm) for band in canvas.tubes(paths, radii)))
    inside = room[where] * np.float32(2.2)
    inside -= np.float32(1.1)
    part *= np.clip(inside, 0, 1, out=inside)
    deep = scene.depth[where] * np.float32(0.2)
    part *= np.clip(deep, 0, 1, out=deep)
    part *= 1 - np.float32(0.6) * scene.heart[where]
    part *= np.float32(rng.uniform(1.5, 2.2))
    scene.vessels[where] += part


def _hilum(scene: Scene, rng: np.random.Generator, side: str) -> list[tuple[Points, Points]]:
    """The pulmonary artery and its branches up and down: paths, and radii at their ends."""
    sign, root = SIDES[side], scene.chest.hilum(side)
    down = rng.uniform(0.09, 0.13)
    path = bezier(
        [(root[0] + sign * x, root[1] + y) for x, y in ((-0.03, -0.012), (0.035, -0.012), (0.03, 0.05), (0.036, down))]
    )
    up = bezier([(root[0] + sign * x, root[1] + y) for x, y in ((-0.01, 0.0), (0.02, -0.02), (0.03, -0.075))])
    big = scene.cm(rng.uniform(0.65, 0.9))
    return [(path, np.array([1.05, 0.45]) * big), (up, np.array([0.75, 0.3]) * big)]
