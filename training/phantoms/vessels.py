"""Hila, the trees of the pulmonary vessels, and the bronchi that run beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.phantoms.anatomy import SIDES
from training.phantoms.canvas import bezier
from training.phantoms.scene import Scene
from training.phantoms.shape_model import Points
from training.phantoms.strokes import Band, round_profile

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
    at = np.asarray(root, np.float64)
    direction = np.asarray(angles, np.float64)
    thick = radius * rng.uniform(0.75, 1.2, len(direction))
    pieces: list[tuple[Points, Points, Points, Points]] = []
    for generation in range(generations):
        long = length * 0.80**generation * rng.uniform(0.6, 1.35, len(direction))
        middle = at + 0.5 * long[:, None] * np.stack([np.cos(direction), np.sin(direction)], 1)
        direction = direction + rng.normal(0, 0.16, len(direction))
        end = middle + 0.5 * long[:, None] * np.stack([np.cos(direction), np.sin(direction)], 1)
        which = np.full(len(at), float(generation))
        pieces += [(at, middle, thick, which), (middle, end, thick * 0.95, which)]
        spread = rng.uniform(0.15, 0.75, len(at))
        lean = rng.uniform(-0.5, 0.5, len(at)) * spread
        direction = np.concatenate([direction + spread + lean, direction - spread + lean])
        uneven = rng.uniform(-0.14, 0.14, len(at))
        thick = np.concatenate([thick * (_DAUGHTER + uneven), thick * (_DAUGHTER - uneven)])
        at = np.concatenate([end, end])
    return Tree(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))


def tree_dust(scene: Scene, tree: Tree, *, scale: float = 1.0) -> list[Band]:
    """The tree's tubes, all radii multiplied by `scale`; splats to cm along the beam."""
    # The last twigs are drawn where they are not far thinner than a pixel: below that they are an even haze.
    visible = tree.radius * scale > 0.9 * scene.canvas.pixel * scene.build.cm
    parts = (tree.generation < 3, (tree.generation >= 3) & visible)
    return [_pieces(scene, tree, part, scale) for part in parts if part.any()]


def _pieces(scene: Scene, tree: Tree, chosen: npt.NDArray[np.bool_], scale: float) -> Band:
    start, end, radius = tree.start[chosen], tree.end[chosen], scale * tree.radius[chosen]
    run = end - start
    span = np.maximum(np.hypot(*run.T), 1e-9)
    steps = max(2, int(np.ceil(1.4 * span.mean() / scene.canvas.pixel / 1.05)))
    t = (np.arange(steps) + 0.5) / steps
    half = np.stack([-run[:, 1], run[:, 0]], 1) * (radius / scene.build.cm / span)[:, None]
    points = run.T[:, :, None] * t
    points += start.T[:, :, None]
    volume = np.repeat(np.pi * radius**2 / scene.build.cm * span / steps, steps)
    halves = np.repeat(half.T, steps, axis=1).T
    widest = 2 * scene.cm(1.3 * float(radius.mean())) / scene.canvas.pixel
    return Band(points.reshape(2, -1).T, halves, volume, int(np.clip(np.ceil(widest / 1.2), 1, 60)), round_profile)


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
    vessels: list[Band] = []
    airways: list[Band] = []
    for side in SIDES:
        tree = lung_tree(scene, rng, side)
        vessels += tree_dust(scene, tree) + _hilum(scene, rng, side)
        large = tree.generation < 4
        parts = (tree.start + 0.006, tree.end + 0.006, tree.radius * 1.5, tree.generation)
        airways += tree_dust(scene, Tree(*(part[large] for part in parts)))
    where, part = canvas.splat_part(*airways)
    scene.bronchi[where] += part
    between = np.abs(canvas.x - np.float32(scene.chest.middle)) < 0.13
    room = np.clip(canvas.blur(np.maximum(scene.lungs, between), 0.016) * 2.2 - 1.1, 0, 1)
    where, part = canvas.splat_part(*vessels)
    thick = room[where] * np.clip(scene.depth[where] / 5, 0, 1) * (1 - 0.6 * scene.heart[where])
    scene.vessels[where] += part * thick * np.float32(rng.uniform(1.5, 2.2))


def _hilum(scene: Scene, rng: np.random.Generator, side: str) -> list[Band]:
    """The pulmonary artery and its branches up and down, as dust in cm."""
    sign, root = SIDES[side], scene.chest.hilum(side)
    down = rng.uniform(0.09, 0.13)
    path = bezier(
        [(root[0] + sign * x, root[1] + y) for x, y in ((-0.03, -0.012), (0.035, -0.012), (0.03, 0.05), (0.036, down))]
    )
    up = bezier([(root[0] + sign * x, root[1] + y) for x, y in ((-0.01, 0.0), (0.02, -0.02), (0.03, -0.075))])
    big = scene.cm(rng.uniform(0.65, 0.9))
    dust = [scene.canvas.tube(path, np.linspace(1.05, 0.45, len(path)) * big)]
    dust.append(scene.canvas.tube(up, np.linspace(0.75, 0.3, len(up)) * big))
    return [band.times(scene.build.cm) for band in dust]
