"""Diseases that fill the airspaces of a part of the lung: infiltration, pneumonia, consolidation, atelectasis."""

from __future__ import annotations

import numpy as np

from training.phantoms.anatomy import SIDES
from training.phantoms.canvas import Grid, smoothstep
from training.phantoms.curves import smooth_closed
from training.phantoms.focal import lung_point
from training.phantoms.scene import Scene, side_of
from training.phantoms.shape_model import LEFT_LUNG, RIGHT_LUNG, Points

__all__ = ["draw_atelectasis", "draw_consolidation", "draw_infiltration", "draw_pneumonia", "raise_diaphragm", "veins"]


def patch(
    scene: Scene,
    rng: np.random.Generator,
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    rough: float,
    soft: float,
) -> Grid:
    """A cloud 0..1 about the centre: `rough` tears its border, `soft` is the width of the border in radii."""
    canvas, drawn = scene.canvas, scene.canvas.zeros()
    where, disc = canvas.disc_part(centre, radii, rng.uniform(-0.5, 0.5), reach=2.2)
    distance = np.sqrt(disc, out=disc)
    torn = distance + np.float32(rough) * canvas.noise(rng, 0.5 * min(radii), where) * np.float32(0.6)
    torn += np.float32(0.3 * rough) * canvas.noise(rng, 0.25 * min(radii), where) * np.float32(0.6)
    drawn[where] = smoothstep(-torn, -1 - soft, -1 + soft) * (distance < 2.2)
    return drawn


def veins(scene: Scene, rng: np.random.Generator, scale: float, width: float) -> Grid:
    """A net of fine lines 0..1 with meshes of about `scale` (chest's unit); `width` is their width relative to it."""
    first, second = (np.abs(scene.canvas.noise(rng, scale)) for _ in range(2))
    return np.exp(-((np.minimum(first, second) / np.float32(width)) ** 2))


def _inside(scene: Scene) -> Grid:
    """Where there is lung to be filled: the lungs, and what lies behind the heart and the domes."""
    return np.clip(scene.depth / 3, 0, 1)


def draw_infiltration(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """Several faint, streaky clouds, mostly on both sides around the hila and at the bases."""
    sides = [side_of(rng)] if rng.random() < 0.3 else list(SIDES)
    filled = scene.canvas.zeros()
    for side in sides:
        for _ in range(int(rng.integers(2, 4))):
            centre = lung_point(scene, rng, side, 0.03, (0.3, 1.05))
            size = rng.uniform(0.045, 0.075) * (0.8 + 0.5 * severity)
            filled = np.maximum(filled, patch(scene, rng, centre, (size, 1.25 * size), rough=0.45, soft=0.65))
    streaks = 0.75 + 0.5 * veins(scene, rng, 0.013, 0.4)
    filled = np.clip(filled * streaks * np.float32(0.16 + 0.26 * severity), 0, 0.8) * _inside(scene)
    scene.fill(filled)
    smooth = scene.canvas.blur(filled, 0.006)
    scene.note_by_side("Infiltration", scene.replaced(smooth))


def draw_pneumonia(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """A mottled cloud with ill-defined borders in one zone, now and then a second one."""
    side = side_of(rng, 0.45)
    places = [(side, (0.5, 1.0) if rng.random() < 0.7 else (0.08, 0.45))]
    if rng.random() < 0.25:
        places.append(("left" if side == "right" else "right", (0.4, 1.0)))
    filled = scene.canvas.zeros()
    for where, zone in places:
        centre = lung_point(scene, rng, where, 0.05, zone)
        size = rng.uniform(0.06, 0.085) * (0.75 + 0.6 * severity)
        filled = np.maximum(filled, patch(scene, rng, centre, (size, 1.1 * size), rough=0.3, soft=0.6))
    mottle = 0.9 + 0.12 * scene.canvas.noise(rng, 0.016)
    filled = np.clip(filled * mottle * np.float32(0.34 + 0.36 * severity), 0, 0.92) * _inside(scene)
    scene.fill(filled)
    scene.note_by_side("Pneumonia", scene.replaced(scene.canvas.blur(filled, 0.006)))


def _fissure(scene: Scene, slope: float) -> Grid:
    """How far (chest's unit) a pixel lies below the horizontal fissure of the right lung."""
    hilum = scene.chest.hilum("right")
    return (scene.canvas.y - np.float32(hilum[1] + 0.02)) - np.float32(slope) * (np.float32(hilum[0]) - scene.canvas.x)


def _lobe(scene: Scene, rng: np.random.Generator) -> tuple[str, str, tuple[float, float], Grid]:
    """A lobe: its name, side, a centre for its disease, and where it is, 0..1, sharp at its fissure."""
    name = str(
        rng.choice(
            ["right upper", "right middle", "right lower", "left upper", "left lower"], p=[0.25, 0.15, 0.25, 0.12, 0.23]
        )
    )
    side = name.split()[0]
    sign, hilum, chest = SIDES[side], scene.chest.hilum(side), scene.chest
    tall = chest.dome[side] - chest.top
    out = float(chest.wall(side, np.array([hilum[1]]))[0])
    edge = _fissure(scene, rng.normal(0.05, 0.06))
    sharp = 0.004
    everywhere = scene.canvas.zeros() + 1
    if name == "right upper":
        return name, side, (chest.middle + sign * 0.6 * out, chest.top + 0.28 * tall), smoothstep(-edge, -sharp, sharp)
    if name == "right middle":
        gate = smoothstep(edge, -sharp, sharp)
        return name, side, (chest.middle + sign * 0.5 * out, float(hilum[1]) + 0.3 * tall), gate
    if name == "left upper":
        return name, side, (chest.middle + sign * 0.6 * out, chest.top + 0.35 * tall), everywhere
    return name, side, (chest.middle + sign * 0.6 * out, chest.top + 0.86 * tall), everywhere


def draw_consolidation(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """A dense, even filling of a lobe, cut off at its fissure, in which the open bronchi stay dark."""
    name, side, centre, gate = _lobe(scene, rng)
    size = (0.085 + 0.05 * severity) * rng.uniform(0.9, 1.1)
    radii = (size, size * (0.8 if "middle" in name else 1.15))
    filled = patch(scene, rng, centre, radii, rough=0.22, soft=0.28) * gate
    out = SIDES[side] * (scene.canvas.x - np.float32(scene.chest.middle))
    filled *= np.float32(0.62 + 0.34 * severity) * _inside(scene) * smoothstep(out, -0.01, 0.01)
    scene.fill(np.clip(filled, 0, 0.97))
    scene.note("Consolidation", scene.replaced(filled), side=side, lobe=name)


def draw_atelectasis(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """Plates at the bases, or a lobe that collapsed into a wedge; the diaphragm of that side stands higher."""
    side = side_of(rng)
    if rng.random() < 0.5:
        filled, kind = _plates(scene, rng, side, severity), "plates"
    else:
        filled, kind = _wedge(scene, rng, side, severity)
    filled = np.clip(filled, 0, 0.96)
    scene.fill(filled)
    scene.note("Atelectasis", scene.replaced(filled), side=side, kind=kind)


def _plates(scene: Scene, rng: np.random.Generator, side: str, severity: float) -> Grid:
    filled = scene.canvas.zeros()
    for _ in range(1 + int(rng.integers(1, 4))):
        centre = lung_point(scene, rng, side, 0.06, (0.68, 0.97))
        long, thick = scene.cm(rng.uniform(2.4, 4.2)), scene.cm(rng.uniform(0.18, 0.3) * (0.8 + 0.9 * severity))
        angle = SIDES[side] * rng.normal(0.14, 0.1)
        bow = thick * rng.normal(0, 0.5) * scene.canvas.disc(centre, (long, 1.0))
        shape = scene.canvas.disc(centre, (long, thick), angle, bow)
        flat = np.exp(-(np.clip(shape, 0, 9) ** 2))
        filled = np.maximum(filled, flat)
    return filled * np.float32(0.38 + 0.4 * severity) * scene.lung[side]


def _wedge(scene: Scene, rng: np.random.Generator, side: str, severity: float) -> tuple[Grid, str]:
    """The lower lobe against spine and diaphragm, or the right upper lobe against the mediastinum and the apex."""
    chest, sign, hilum = scene.chest, SIDES[side], scene.chest.hilum(side)
    middle, dome = chest.middle, chest.dome[side]
    reach = 0.55 + 0.5 * severity
    if side == "right" and rng.random() < 0.45:
        out = float(chest.wall(side, np.array([chest.top + 0.1]))[0])
        corner = hilum + np.array([0, 0.01 - 0.03 * severity])
        far = (middle - out, chest.top + 0.14 - 0.03 * severity)
        sag = (0.5 * (corner[0] + far[0]), 0.5 * (corner[1] + far[1]) - 0.022)
        outline, kind = (
            [
                (middle, chest.top - 0.02),
                (middle, corner[1]),
                tuple(corner),
                sag,
                far,
                (middle - out, chest.top - 0.02),
            ],
            "right upper lobe",
        )
    else:
        far = (middle + sign * (0.09 + 0.19 * reach), dome + 0.06)
        belly = (middle + sign * (0.07 + 0.11 * reach), 0.5 * (hilum[1] + dome))
        outline = [(middle, hilum[1] + 0.04), (hilum[0], hilum[1] + 0.02), belly, far, (middle, dome + 0.06)]
        kind = f"{side} lower lobe"
    area = scene.canvas.coverage(_dense(np.array(outline)))
    area = scene.canvas.blur(area, 0.004) * _inside(scene)
    return area * np.float32(0.5 + 0.45 * severity), kind


def _dense(outline: Points) -> Points:
    """Corners kept, but rounded: each side gets two more points before smoothing."""
    after = np.roll(outline, -1, axis=0)
    return smooth_closed(
        np.stack([outline, 0.75 * outline + 0.25 * after, 0.25 * outline + 0.75 * after], 1).reshape(-1, 2)
    )


def raise_diaphragm(contours: Points, rng: np.random.Generator, severity: float) -> Points:
    """The contours with the diaphragm of the collapsed side lifted; draws the side as `draw_atelectasis` does."""
    side = side_of(rng)
    lung = contours[LEFT_LUNG if side == "left" else RIGHT_LUNG]
    lift = np.zeros(len(lung))
    lift[19:31] = np.interp(np.arange(12), [0, 3, 8, 11], [0.0, 0.7, 1.0, 0.5])
    lung = lung - np.outer(lift, [0, 0.006 + 0.022 * severity])
    changed = contours.copy()
    changed[LEFT_LUNG if side == "left" else RIGHT_LUNG] = lung
    return changed
