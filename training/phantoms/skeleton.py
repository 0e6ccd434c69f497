"""Bones: ribs as bent shells around the chest, spine, clavicles, shoulder blades, arms. All in cm of bone."""

from __future__ import annotations

import numpy as np

from training.phantoms.anatomy import SIDES
from training.phantoms.canvas import Dust, Floats, Grid, Profile, along, bezier, smooth_closed, smoothstep
from training.phantoms.scene import Scene
from training.phantoms.shape_model import Points

__all__ = ["add_skeleton"]


def add_skeleton(scene: Scene, rng: np.random.Generator) -> None:
    """Draw all bones into the scene."""
    strength = float(np.clip(1.05 - 0.004 * (scene.build.age - 40) + rng.normal(0, 0.06), 0.75, 1.25))
    long = scene.canvas.splat(*_ribs(scene, rng), *_clavicles(scene, rng), *_shoulders(scene, rng))
    bones = _edge_on(scene, scene.canvas.blur(long, max(scene.cm(0.05), 0.55 * scene.canvas.pixel)))
    bones += _flat_bones(scene)
    columns = np.flatnonzero((np.abs(scene.canvas.x - np.float32(scene.chest.middle)) < 0.125).any(0))
    if len(columns):
        part = slice(columns[0], columns[-1] + 1)
        bones[:, part] += _spine(scene, rng, part)
    scene.bone += np.float32(strength) * bones


def _edge_on(scene: Scene, bones: Grid) -> Grid:
    """Ribs have a thickness: where the beam grazes them at the outer wall they are smeared over it."""
    near = np.minimum(np.abs(scene.rim["right"]), np.abs(scene.rim["left"]))
    weight = smoothstep(-near, -0.035, 0.0)
    return bones + weight * (scene.canvas.blur(bones, scene.cm(0.36)) - bones)


def shell(radius: float, cortex: float, marrow: float) -> Profile:
    """Bone (cm) along the beam across a tube of `radius` cm: dense cortex, and marrow that holds `marrow` as much."""

    inside = np.float32(np.clip(1 - cortex / radius, 0.05, 0.95))
    full, core = np.float32(2 * radius), np.float32(2 * radius * (1 - marrow) * inside)

    def thickness(across: Floats) -> Floats:
        return full * np.sqrt(1 - across * across) - core * np.sqrt(np.clip(1 - (across / inside) ** 2, 0, None))

    return thickness


def _ribs(scene: Scene, rng: np.random.Generator) -> list[Dust]:
    drawn: list[Dust] = []
    drop = rng.normal(0.235, 0.02)
    bend = rng.normal(1.45, 0.08)
    wide = rng.normal(0.62, 0.05)
    for sign in SIDES.values():
        jitter = rng.normal(0, 0.0025, 12)
        for number in range(12):
            drawn.append(_rib(scene, sign, number, drop, bend, wide + 10 * jitter[number], jitter[number]))
    return drawn


def _rib(scene: Scene, sign: int, number: int, drop: float, bend: float, wide: float, jitter: float) -> Dust:
    """One rib as a curve around the elliptical section of the chest, from the spine to its cartilage.

    `drop` is how far the front end lies below the head, `bend` how late it falls, `wide` the rib's width in cm.
    """
    chest, canvas = scene.chest, scene.canvas
    head = chest.top - 0.022 + (number + 0.3) * chest.spacing + jitter
    fall = drop * np.clip(0.32 + 0.13 * number, 0, 1)
    side = "left" if sign > 0 else "right"
    # The rib follows the wall at the height where it passes it; the first ones stay inside the apex.
    passes = head + fall * 0.5**bend
    half = float(chest.wall(side, np.array([passes]))[0]) + 0.008
    half = max(half, (0.115, 0.175, 0.22)[number]) if number < 3 else half
    last = (2.75, 2.62, 2.52, 2.45, 2.4, 2.36, 2.3, 2.2, 2.1, 2.0, 1.6, 1.15)[number]
    turn = np.linspace(0.12, last, int(np.clip(half * 2.6 / canvas.pixel / 0.8, 40, 4000)))
    deep = half * np.clip(0.72 - 0.01 * number, 0.5, 1)
    x, z = sign * half * np.sin(turn), -deep * np.cos(turn)
    y = head - 0.011 * np.sin(2 * turn) * (turn < np.pi / 2) + fall * (turn / np.pi) ** bend * 1.25
    tangent = np.gradient(np.stack([x, y, z], 1), axis=0)
    length = np.linalg.norm(tangent, axis=1)
    outward = np.stack([sign * np.sin(turn) / half, np.zeros_like(turn), -np.cos(turn) / deep], 1)
    breadth = np.cross(tangent, outward)
    front = 1 + 0.22 * np.clip((turn - 1.6) / 0.8, 0, 1)
    breadth *= (scene.cm(wide) * front / np.linalg.norm(breadth, axis=1))[:, None]
    ends = np.clip((last - turn) / 0.25, 0, 1) * np.clip((turn - 0.1) / 0.25, 0.3, 1)
    area = ends * length * 2 * np.linalg.norm(breadth, axis=1)
    path = np.stack([x + chest.middle, y], 1)
    return canvas.strip(path, breadth[:, :2], area, shell(0.36, 0.085, 0.26))


def _bone_tube(scene: Scene, path: Points, radius: Points, cortex: float, weight: float) -> Dust:
    """A long bone in the plane of the image; radius (N,) in cm along the path."""
    fine = along(path, 0.6 * scene.canvas.pixel)
    at = np.linspace(0, 1, len(fine))
    radii = np.interp(at, np.linspace(0, 1, len(radius)), radius)
    end = np.minimum(at, 1 - at) * np.hypot(*np.diff(path, axis=0).T).sum() * scene.build.cm / radii
    radii = radii * np.sqrt(np.clip(1 - (1 - np.clip(end, 0.1, 1)) ** 2, 0, 1))
    tangent = np.gradient(fine, axis=0)
    length = np.linalg.norm(tangent, axis=1)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1) / length[:, None]
    half = normal * (radii / scene.build.cm)[:, None]
    profile = shell(1.0, cortex / float(radii.mean()), 0.3)
    return scene.canvas.strip(fine, half, weight * length * 2 * radii**2 / scene.build.cm, profile)


def _clavicles(scene: Scene, rng: np.random.Generator) -> list[Dust]:
    chest = scene.chest
    rise = rng.normal(0.0, 0.018) - 0.02 * scene.build.supine
    drawn: list[Dust] = []
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
        drawn.append(_bone_tube(scene, path, np.array([1.05, 0.75, 0.65, 0.65, 0.85]), 0.16, 1.0))
    return drawn


def _spine(scene: Scene, rng: np.random.Generator, part: slice) -> Grid:
    """Vertebral bodies with denser end plates, discs, pedicles and spinous processes, on those columns of the image."""
    chest, canvas = scene.chest, scene.canvas
    bow = rng.normal(0, 0.006)
    y = canvas.y[:, part] - np.float32(chest.top)
    x = canvas.x[:, part] - np.float32(chest.middle) - np.float32(bow) * np.sin(y * 6)
    half = 0.034 + 0.022 * np.clip(y + 0.1, 0, 1)
    u = x / half
    level = np.mod(y / np.float32(chest.spacing), 1).astype(np.float32)
    disc = np.exp(-(((level - 0.5) / 0.13) ** 2))
    plates = np.exp(-(((np.abs(level - 0.5) - 0.2) / 0.07) ** 2))
    body = np.clip(1 - u**4, 0, None) ** np.float32(0.9) * (1.25 - 0.35 * disc + 0.12 * plates)
    rim = np.exp(-(((np.abs(u) - 0.93) / 0.1) ** 2)) * (0.22 - 0.1 * disc)
    v = np.mod(level + 0.32, 1) - 0.5
    pedicles = np.exp(-((((np.abs(u) - 0.6) / 0.2) ** 2 + (v / 0.24) ** 2) ** 2)) * 0.35
    process = np.exp(-(((u / 0.15) ** 2 + ((np.mod(level + 0.05, 1) - 0.5) / 0.3) ** 2) ** 2)) * 0.35
    wings = np.exp(-(((np.abs(u) - 1.25) / 0.45) ** 2 + (v / 0.16) ** 2)) * 0.28
    solid = body + rim + pedicles + process + wings
    return (np.float32(0.62) * solid * smoothstep(scene.body[:, part], 0, 3)).astype(np.float32)


def _shoulders(scene: Scene, rng: np.random.Generator) -> list[Dust]:
    """Borders and spines of the shoulder blades, and the arms' bones."""
    chest = scene.chest
    over = _turned_in(scene)
    drawn: list[Dust] = []
    for sign in SIDES.values():
        x, y, swing = chest.middle, chest.top, rng.normal(0, 0.015)
        outer = [(0.335 - over, 0.085), (0.35 - over, 0.14), (0.33 - over, 0.22), (0.31 - over, 0.33)]
        crest = [(0.27 - over, 0.10), (0.33, 0.03), (0.385, 0.025)]
        shaft = [(0.395, 0.025), (0.425, 0.22), (0.44 + swing, 0.45), (0.53 + swing, 0.9)]
        for points, radii, cortex, weight in (
            (outer, [0.8, 0.5, 0.35, 0.25], 0.15, 0.6),
            (crest, [0.4, 0.6, 0.9], 0.15, 0.4),
            (shaft, [2.6, 1.9, 1.3, 1.15, 1.1, 1.1, 1.1], 0.3, 0.40),
        ):
            path = bezier([(x + sign * dx, y + dy) for dx, dy in points])
            drawn.append(_bone_tube(scene, path, np.array(radii), cortex, weight))
    return drawn


def _turned_in(scene: Scene) -> float:
    """Standing with the hands on the hips the blades leave the lungs; at the bedside they lie over them."""
    return 0.045 if scene.build.supine else 0.0


def _flat_bones(scene: Scene) -> Grid:
    """The plates of the shoulder blades."""
    chest, canvas = scene.chest, scene.canvas
    over = _turned_in(scene)
    drawn = canvas.zeros()
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
        drawn += np.float32(0.2) * canvas.coverage(smooth_closed(blade, 6))
    return drawn
