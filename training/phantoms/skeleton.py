"""Bones: ribs as bent shells around the chest, spine, clavicles, shoulder blades, arms. All in cm of bone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.phantoms.anatomy import SIDES
from training.phantoms.canvas import Grid, positive, smoothstep
from training.phantoms.curves import across, bezier, resampled, smooth_closed, tangents
from training.phantoms.scene import Scene
from training.phantoms.shape_model import Points
from training.phantoms.strokes import Band, Floats

__all__ = ["add_skeleton"]


def add_skeleton(scene: Scene, rng: np.random.Generator) -> None:
    """Draw all bones into the scene."""
    strength = float(np.clip(1.05 - 0.004 * (scene.build.age - 40) + rng.normal(0, 0.06), 0.75, 1.25))
    ribs = _ribs(scene, rng)
    others = _long_bones(scene, _clavicles(scene, rng) + _shoulders(scene, rng))
    long = scene.canvas.splat(*ribs, *others)
    bones = _edge_on(scene, scene.canvas.blur(long, max(scene.cm(0.05), 0.55 * scene.canvas.pixel)))
    _add_flat_bones(scene, bones)
    part = scene.canvas.columns(scene.chest.middle - 0.125, scene.chest.middle + 0.125)
    if part.stop > part.start:
        bones[:, part] += _spine(scene, rng, part)
    bones *= np.float32(strength)
    scene.bone += bones


def _edge_on(scene: Scene, bones: Grid) -> Grid:
    """Ribs have a thickness: where the beam grazes them at the outer wall they are smeared over it."""
    near = np.minimum(np.abs(scene.rim["right"]), np.abs(scene.rim["left"]))
    smeared = scene.canvas.blur(bones, scene.cm(0.36)) - bones
    smeared *= smoothstep(np.negative(near, out=near), -0.035, 0.0)
    smeared += bones
    return smeared


@dataclass(frozen=True, slots=True)
class Shell:
    """Bone (cm) along the beam across a tube of `radius` cm: dense cortex, and marrow that holds `marrow` as much."""

    radius: float
    cortex: float
    marrow: float

    def __call__(self, across: Floats) -> Floats:
        """At places -1..1 across the tube."""
        inside = np.float32(np.clip(1 - self.cortex / self.radius, 0.05, 0.95))
        full, core = np.float32(2 * self.radius), np.float32(2 * self.radius * (1 - self.marrow) * inside)
        outer, inner = across * across, across / inside
        np.sqrt(np.subtract(1, outer, out=outer), out=outer)
        inner *= inner
        np.sqrt(positive(np.subtract(1, inner, out=inner)), out=inner)
        outer *= full
        inner *= core
        outer -= inner
        return outer


_RIBS = np.arange(12)
_INNERMOST = np.array([0.115, 0.175, 0.22] + 9 * [0.0])
"""The first ribs reach out at least this far: the apex of the lung that they enclose is narrower."""
_LAST = np.array([2.75, 2.62, 2.52, 2.45, 2.4, 2.36, 2.3, 2.2, 2.1, 2.0, 1.6, 1.15])
"""Angle around the chest, 0 at the spine and pi at the breastbone, where each rib turns to cartilage, unseen."""


def _ribs(scene: Scene, rng: np.random.Generator) -> list[Band]:
    """Twelve on each side; how far the front end drops, how late it does, and how wide they are in cm are drawn."""
    drop, bend, wide = rng.normal([0.235, 1.45, 0.62], [0.02, 0.08, 0.05])
    jitters = {side: rng.normal(0, 0.0025, 12) for side in SIDES}
    return [_half_cage(scene, side, jitter, drop, bend, wide) for side, jitter in jitters.items()]


def _half_cage(scene: Scene, side: str, jitter: Points, drop: float, bend: float, wide: float) -> Band:
    """The ribs of one side: curves around the elliptical section of the chest, shells of bone along them."""
    chest, canvas, sign = scene.chest, scene.canvas, SIDES[side]
    head = chest.top - 0.022 + (_RIBS + 0.3) * chest.spacing + jitter
    fall = drop * np.clip(0.32 + 0.13 * _RIBS, 0, 1)
    # A rib follows the wall at the height where it passes it.
    half = np.maximum(chest.wall(side, head + fall * 0.5**bend) + 0.008, _INNERMOST)[:, None]
    deep = half * np.clip(0.72 - 0.01 * _RIBS, 0.5, 1)[:, None]
    steps = int(np.clip(float(half.max()) * 2.4 / canvas.pixel / 1.05, 40, 4000))
    turn = 0.12 + (_LAST - 0.12)[:, None] * np.linspace(0, 1, steps)
    sine, cosine = np.sin(turn), np.cos(turn)
    sag = fall[:, None] * 1.25 * (turn / np.pi) ** bend
    height = head[:, None] - 0.022 * sine * np.clip(cosine, 0, None) + sag
    place = np.stack([sign * half * sine, height, -deep * cosine])
    run_x, run_y, run_z = tangents(place[..., None])[..., 0]
    # The breadth stands on the run and on what leads out of the chest: the third component is not seen.
    aside, back = sign * sine / half, -cosine / deep
    breadth, unseen = np.stack([run_y * back, run_z * aside - run_x * back]), run_y * aside
    width = scene.cm(1.0) * (wide + 10 * jitter[:, None]) * (1 + 0.22 * np.clip((turn - 1.6) / 0.8, 0, 1))
    breadth *= width / np.sqrt(breadth[0] ** 2 + breadth[1] ** 2 + unseen**2)
    ends = np.clip((_LAST[:, None] - turn) / 0.25, 0, 1) * np.clip((turn - 0.1) / 0.25, 0.3, 1)
    area = ends * np.sqrt(run_x**2 + run_y**2 + run_z**2) * 2 * width
    place[0] += chest.middle
    path, half_width = place[:2].reshape(2, -1).T, breadth.reshape(2, -1).T
    return canvas.strip(path, half_width, area.ravel(), Shell(0.36, 0.085, 0.26))


@dataclass(frozen=True, slots=True, eq=False)
class LongBone:
    """A bone in the plane of the image: its path, radii in cm at even steps along it, cortex in cm, share of bone."""

    path: Points
    radii: Sequence[float]
    cortex: float
    weight: float


def _long_bones(scene: Scene, bones: Sequence[LongBone]) -> list[Band]:
    """Tubes with a shell, rounded at both ends."""
    canvas, cm = scene.canvas, scene.build.cm
    fine = resampled([bone.path for bone in bones], 0.85 * canvas.pixel)
    radii = fine.spread([np.asarray(bone.radii) for bone in bones])
    end = np.minimum(fine.at, 1 - fine.at) * fine.each(fine.lengths * cm) / radii
    radii = radii * np.sqrt(np.clip(1 - (1 - np.clip(end, 0.1, 1)) ** 2, 0, 1))
    run = fine.tangents()
    length = np.hypot(run[:, 0], run[:, 1])
    half = across(run, radii / cm / length)
    volume = fine.each([bone.weight for bone in bones]) * length * 2 * radii**2 / cm
    drawn = []
    for bone, part in zip(bones, fine.parts(), strict=True):
        profile = Shell(1.0, bone.cortex / float(radii[part].mean()), 0.3)
        drawn.append(canvas.strip(fine.points[part], half[part], volume[part], profile, own=True))
    return drawn


def _clavicles(scene: Scene, rng: np.random.Generator) -> list[LongBone]:
    chest = scene.chest
    rise = rng.normal(0.0, 0.018) - 0.02 * scene.build.supine
    drawn: list[LongBone] = []
    for sign in SIDES.values():
        x, y, skew = chest.middle, chest.top + 0.055, rng.normal(0, 0.008)
        points = [
            (0.032, 0.028),
            (0.10, 0.035),
            (0.19, -0.045 + rise),
            (0.26, -0.04 + rise),
            (0.36, -0.015 + rise + skew),
        ]
        path = bezier([(x + sign * dx, y + dy) for dx, dy in points])
        drawn.append(LongBone(path, [1.05, 0.75, 0.65, 0.65, 0.85], 0.16, 1.0))
    return drawn


def _spine(scene: Scene, rng: np.random.Generator, part: slice) -> Grid:
    """Vertebral bodies with denser end plates, discs, pedicles and spinous processes, on those columns of the image."""
    chest, canvas = scene.chest, scene.canvas
    bow = rng.normal(0, 0.006)
    y = canvas.y[:, part] - np.float32(chest.top)
    x = canvas.x[:, part] - np.float32(chest.middle) - np.float32(bow) * np.sin(y * 6)
    half = 0.034 + 0.022 * np.clip(y + 0.1, 0, 1)
    u = x / half
    level = _fraction(y / np.float32(chest.spacing))
    disc = _hill(((level - 0.5) / 0.13) ** 2)
    plates = _hill(((np.abs(level - 0.5) - 0.2) / 0.07) ** 2)
    solid = positive(1 - np.square(u * u)) * (1.25 - 0.35 * disc + 0.12 * plates)
    np.abs(u, out=u)
    solid += _hill(((u - 0.93) / 0.1) ** 2) * (0.22 - 0.1 * disc)
    v = _fraction(level + 0.32) - 0.5
    solid += 0.35 * _hill((((u - 0.6) / 0.2) ** 2 + (v / 0.24) ** 2) ** 2)
    solid += 0.35 * _hill(((u / 0.15) ** 2 + ((_fraction(level + 0.05) - 0.5) / 0.3) ** 2) ** 2)
    solid += 0.28 * _hill(((u - 1.25) / 0.45) ** 2 + (v / 0.16) ** 2)
    solid *= np.float32(0.62)
    solid *= smoothstep(scene.body[:, part], 0, 3)
    return solid


def _hill(value: Grid) -> Grid:
    """exp(-value), in place; never so small that float32 has no plain number for it, which is slow."""
    np.negative(np.clip(value, 0, 60, out=value), out=value)
    return np.exp(value, out=value)


def _fraction(value: Grid) -> Grid:
    """What is left of whole numbers: `np.mod(value, 1)`, which is slow."""
    return value - np.floor(value)


def _shoulders(scene: Scene, rng: np.random.Generator) -> list[LongBone]:
    """Borders and spines of the shoulder blades, and the arms' bones."""
    chest = scene.chest
    over = _turned_in(scene)
    drawn: list[LongBone] = []
    for sign in SIDES.values():
        x, y, swing = chest.middle, chest.top, rng.normal(0, 0.015)
        outer = [(0.335 - over, 0.085), (0.35 - over, 0.14), (0.33 - over, 0.22), (0.31 - over, 0.33)]
        crest = [(0.27 - over, 0.10), (0.33, 0.03), (0.385, 0.025)]
        shaft = [(0.395, 0.025), (0.425, 0.22), (0.44 + swing, 0.45), (0.52 + swing, 0.82)]
        for points, radii, cortex, weight in (
            (outer, [0.8, 0.5, 0.35, 0.25], 0.15, 0.6),
            (crest, [0.4, 0.6, 0.9], 0.15, 0.4),
            (shaft, [2.6, 1.9, 1.3, 1.15, 1.1, 1.1, 1.1], 0.3, 0.40),
        ):
            path = bezier([(x + sign * dx, y + dy) for dx, dy in points])
            drawn.append(LongBone(path, radii, cortex, weight))
    return drawn


def _turned_in(scene: Scene) -> float:
    """Standing with the hands on the hips the blades leave the lungs; at the bedside they lie over them."""
    return 0.045 if scene.build.supine else 0.0


def _add_flat_bones(scene: Scene, bones: Grid) -> None:
    """The plates of the shoulder blades."""
    chest, canvas = scene.chest, scene.canvas
    over = _turned_in(scene)
    for sign in SIDES.values():
        corners = [
            (0.335, 0.075),
            (0.355, 0.13),
            (0.33, 0.22),
            (0.315, 0.33),
            (0.29, 0.27),
            (0.265, 0.14),
            (0.275, 0.05),
        ]
        blade = np.array([(chest.middle + sign * (dx - over), chest.top + dy) for dx, dy in corners])
        where, part = canvas.coverage_part(smooth_closed(blade, 6))
        part *= np.float32(0.2)
        bones[where] += part
