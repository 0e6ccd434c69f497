"""Diseases of both lungs at large: edema, emphysema, fibrosis."""

from __future__ import annotations

import numpy as np

from training.phantoms.airspace import veins
from training.phantoms.anatomy import SIDES
from training.phantoms.canvas import Grid, smoothstep
from training.phantoms.focal import lung_point
from training.phantoms.scene import Scene
from training.phantoms.shape_model import LEFT_LUNG, RIGHT_LUNG, Points
from training.phantoms.strokes import Band

__all__ = ["draw_edema", "draw_emphysema", "draw_fibrosis", "flatten_diaphragm"]


def draw_edema(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """Clouds around both hila like a bat's wings, Kerley's B lines at the bases, full vessels up to the apices."""
    canvas, chest = scene.canvas, scene.chest
    wings = canvas.zeros()
    reach = (0.085 + 0.05 * severity) * rng.uniform(0.9, 1.1)
    for side, sign in SIDES.items():
        hilum = chest.hilum(side)
        even = 1 + 0.15 * rng.normal()
        distance = canvas.disc(
            (hilum[0] + sign * 0.035, hilum[1] + 0.03), (reach * even, 1.35 * reach * even), -sign * 0.3
        )
        wings += np.exp(-0.5 * distance**1.5) * scene.lung[side]
    spared = smoothstep(np.minimum(scene.rim["left"], scene.rim["right"]), 0.0, 0.05)
    mottle = 0.85 + 0.15 * canvas.noise(rng, 0.025) + 0.05 * canvas.noise(rng, 0.009)
    filled = np.clip(wings * (0.45 + 0.55 * spared) * mottle * np.float32(0.22 + 0.5 * severity), 0, 0.9)
    lines = _kerley(scene, rng, severity)
    upper = smoothstep(-canvas.y, -chest.hilum("left")[1] - 0.02, -chest.top)
    scene.vessels *= 1 + upper * np.float32(0.6 * severity)
    scene.fill(filled)
    scene.tissue += lines
    changed = scene.replaced(canvas.blur(filled, 0.008)) | (canvas.blur(lines, 0.008) > 0.02)
    scene.note_by_side("Edema", changed & (scene.lungs > 0.3), kerley=severity > 0.25)


def _kerley(scene: Scene, rng: np.random.Generator, severity: float) -> Grid:
    """Short level lines that end at the outer wall of the lower lungs: thickened septa, a millimetre or two."""
    dust: list[Band] = []
    for side, sign in SIDES.items():
        angle = scene.chest.angle(side)[1]
        for height in (
            angle - 0.045 - 0.015 * np.arange(int(3 + 6 * severity)) + rng.normal(0, 0.002, int(3 + 6 * severity))
        ):
            wall = float(scene.chest.wall(side, np.array([height]))[0]) - 0.002
            inner = wall - scene.cm(rng.uniform(1.0, 1.9))
            ends = [
                (scene.chest.middle + sign * wall, height),
                (scene.chest.middle + sign * inner, height - rng.uniform(0, 0.004)),
            ]
            dust.append(scene.canvas.tube(np.array(ends), scene.cm(0.11)))
    drawn = scene.canvas.splat(*dust) * np.float32(6 * scene.build.cm)  # a septum is a sheet, met over some depth
    return drawn * scene.lungs * np.float32(severity)


def draw_emphysema(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """Lungs with more air and fewer vessels, and bullae with thin walls in many."""
    canvas = scene.canvas
    patchy = np.clip(1 + 0.18 * canvas.noise(rng, 0.09), 0.5, 1.5)
    thin = np.clip(np.float32(0.16 + 0.34 * severity) * patchy, 0, 0.85) * scene.lungs
    scene.share += (1 - scene.share) * thin
    scene.vessels *= 1 - np.float32(0.3 + 0.4 * severity) * scene.lungs
    for _ in range(int(rng.integers(0, 1 + round(4 * severity)))):
        side = list(SIDES)[rng.integers(2)]
        _bulla(scene, lung_point(scene, rng, side, 0.02, (0.02, 0.5)), scene.cm(rng.uniform(1.2, 1.6 + 1.8 * severity)))
    scene.note_by_side("Emphysema", scene.lungs > 0.5)


def _bulla(scene: Scene, centre: tuple[float, float], radius: float) -> None:
    inside = scene.canvas.sphere(centre, (radius, radius * 1.1)) * scene.lungs
    scene.share += (0.99 - scene.share) * 0.8 * inside
    scene.vessels *= 1 - 0.8 * inside
    r = np.sqrt(scene.canvas.disc(centre, (radius, radius * 1.1)))
    wall = np.exp(-(((r - 1) * np.float32(radius) / scene.cm(0.12)) ** 2))
    scene.tissue += 0.5 * wall * scene.lungs


def flatten_diaphragm(contours: Points, _rng: np.random.Generator, severity: float) -> Points:
    """The contours with low, flat domes, as trapped air presses them down."""
    changed = contours.copy()
    for where, last in ((RIGHT_LUNG, 30), (LEFT_LUNG, 27)):
        lung = changed[where]
        ends = np.interp(np.arange(21, last + 1), [21, last], [lung[21, 1], lung[last, 1]])
        lung[21 : last + 1, 1] += (0.35 + 0.5 * severity) * np.clip(ends - lung[21 : last + 1, 1], 0, None)
        down = np.zeros(len(lung))
        down[14 : last + 1] = np.interp(np.arange(14, last + 1), [14, 19, last - 2, last], [0, 1, 1, 0.4])
        lung[:, 1] += (0.012 + 0.028 * severity) * down
    return changed


def draw_fibrosis(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """A coarse net of lines and small holes, strongest at the bases and under the pleura; at the apices in some."""
    canvas, chest = scene.canvas, scene.chest
    apical = rng.random() < 0.25
    bottom = chest.top + 0.45 * (max(chest.dome.values()) - chest.top)
    if apical:
        zone = smoothstep(-canvas.y, -(chest.top + 0.24), -(chest.top + 0.06))
    else:
        zone = smoothstep(canvas.y, bottom - 0.06, bottom + 0.16)
    outer = 1 - 0.55 * smoothstep(np.minimum(scene.rim["left"], scene.rim["right"]), 0.02, 0.16)
    area = np.clip(zone * outer * (1 + 0.25 * canvas.noise(rng, 0.07)), 0, 1) * scene.lungs
    net = 0.8 * veins(scene, rng, 0.013, 0.3) + 0.7 * veins(scene, rng, 0.022, 0.16)
    filled = np.clip(area * (0.10 + 0.75 * net) * np.float32(0.24 + 0.5 * severity), 0, 0.9)
    scene.fill(filled)
    holes = area * np.clip(canvas.noise(rng, 0.008) - 1.0, 0, 1) * np.float32(severity)
    scene.share += (0.97 - scene.share) * holes
    scene.note_by_side("Fibrosis", (area > 0.22), apical=bool(apical))
