"""Nodules and masses: round bodies of soft tissue that displace aerated lung."""

from __future__ import annotations

import numpy as np

from training.phantoms.anatomy import SIDES
from training.phantoms.canvas import Grid, smoothstep
from training.phantoms.scene import Scene

__all__ = ["draw_mass", "draw_nodules", "lung_point"]


def lung_point(
    scene: Scene, rng: np.random.Generator, side: str, margin: float, zone: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float]:
    """A place in the lung at least `margin` from its outer wall, between two heights (0 apex .. 1 dome)."""
    chest, canvas = scene.chest, scene.canvas
    low, high = (chest.top + part * (chest.dome[side] - chest.top) for part in zone)
    free = (scene.lung[side] > 0.9) & (scene.rim[side] > margin) & (canvas.y > low) & (canvas.y < high)
    places = np.flatnonzero(free)
    if not len(places):
        places = np.flatnonzero(scene.lung[side] > 0.5)
    chance = rng.random()
    if not len(places):  # the lung lies outside the picture
        hilum = chest.hilum(side)
        return float(hilum[0]), float(hilum[1])
    place = places[int(chance * len(places))]
    return float(canvas.x.flat[place]), float(canvas.y.flat[place])


def draw_nodules(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """One to four round shadows under 3 cm, smooth or a little lobed, some of them calcified."""
    for _ in range(1 + int(rng.choice(4, p=[0.6, 0.2, 0.12, 0.08]))):
        side = list(SIDES)[rng.integers(2)]
        radius = float(np.clip((0.45 + 0.85 * severity) * rng.uniform(0.85, 1.15), 0.4, 1.48))
        centre = lung_point(scene, rng, side, 0.03, (0.08, 0.95))
        chalk = 0.4 if rng.random() < 0.2 else 0.0
        body = _body(scene, rng, centre, radius, lobes=0.10)
        scene.tissue += _replacing(scene, body, radius) * np.float32(1.6)
        scene.bone += np.float32(chalk * radius) * body
        scene.note("Nodule", body > 0.3, side=side, radius_cm=radius, calcified=chalk > 0)


def draw_mass(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """A shadow of 3 cm and more: lobed or spiculated, sometimes with a cavity."""
    side = list(SIDES)[rng.integers(2)]
    radius = float((1.65 + 2.3 * severity) * rng.uniform(0.95, 1.1))
    centre = lung_point(scene, rng, side, 0.04, (0.1, 0.9))
    lobes, spiculated, cavity = rng.uniform(0.1, 0.3), rng.random() < 0.4, rng.random() < 0.18
    body = _body(scene, rng, centre, radius, lobes=lobes, stretch=rng.uniform(0.8, 1.15))
    path = _replacing(scene, body, radius)
    if cavity:
        hole = scene.canvas.sphere((centre[0] + 0.003, centre[1] - 0.004), (scene.cm(0.6 * radius),) * 2)
        path -= 0.75 * _replacing(scene, hole, 0.6 * radius)
    where = body > 0.22
    if spiculated:
        spikes = _spikes(scene, rng, centre, radius)
        path += spikes
        where |= spikes > 0.08
    scene.tissue += path
    scene.note("Mass", where, side=side, radius_cm=radius, spiculated=spiculated, cavity=cavity)


def _body(
    scene: Scene,
    rng: np.random.Generator,
    centre: tuple[float, float],
    radius: float,
    *,
    lobes: float,
    stretch: float = 1.0,
) -> Grid:
    """Relative path through a lump: 1 in the middle, 0 outside."""
    size = scene.cm(radius)
    distance = scene.canvas.disc(centre, (size * stretch, size / stretch), rng.uniform(0, np.pi))
    near = distance < 4
    bumps = scene.canvas.noise(rng, max(size, 0.01)) * near
    return np.sqrt(np.clip(1 - distance - np.float32(lobes) * bumps, 0, None))


def _replacing(scene: Scene, body: Grid, radius: float) -> Grid:
    """Attenuating tissue (cm) in place of air, where the lump is that thick; it cannot be thicker than the lung."""
    return np.minimum(np.float32(2 * radius) * body, 0.9 * scene.depth) * scene.share * scene.clear


def _spikes(scene: Scene, rng: np.random.Generator, centre: tuple[float, float], radius: float) -> Grid:
    canvas, size = scene.canvas, scene.cm(radius)
    dust = []
    for angle in np.linspace(0, 2 * np.pi, 15)[:-1] + rng.normal(0, 0.15, 14):
        reach = size * rng.uniform(1.25, 1.8)
        points = np.array([[0.7 * size], [reach]]) * [np.cos(angle), np.sin(angle)] + centre
        dust.append(canvas.tube(points, np.array([1.0, 0.4]) * scene.cm(0.16)))
    drawn = canvas.splat(*dust) * np.float32(scene.build.cm)
    return drawn * scene.lungs * smoothstep(scene.clear, 0, 0.5)
