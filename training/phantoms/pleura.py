"""Diseases of the pleural space: effusion, pneumothorax, thickening."""

from __future__ import annotations

import numpy as np

from training.phantoms.anatomy import SIDES
from training.phantoms.canvas import Grid, smoothstep
from training.phantoms.curves import smooth_closed
from training.phantoms.scene import Scene, side_of

__all__ = ["draw_effusion", "draw_pneumothorax", "draw_thickening"]


def draw_effusion(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """Fluid that blunts the costophrenic angle and climbs the outer wall; lying, a veil over the lung."""
    first = side_of(rng)
    sides = list(SIDES) if rng.random() < 0.35 else [first]
    veil = scene.build.supine and rng.random() < 0.4
    for side in sides:
        amount = severity * (1.0 if side == first else rng.uniform(0.4, 0.9))
        filled = _veil(scene, side, amount) if veil else _meniscus(scene, rng, side, amount)
        half = scene.canvas.x > scene.chest.middle if side == "left" else scene.canvas.x <= scene.chest.middle
        scene.fill(filled * half * (1 - scene.heart))  # also in the recess behind the dome
        filled *= scene.lung[side]
        rows, thicker = scene.belly()
        scene.tissue[rows] += thicker * filled[rows]  # fluid bulges the lung's bed to what lies below it
        scene.note("Effusion", filled > 0.2 * float(filled.max(initial=0)) + 0.02, side=side, amount=amount, lying=veil)


def _meniscus(scene: Scene, rng: np.random.Generator, side: str, amount: float) -> Grid:
    """Share of air replaced: full below a level that rises towards the outer wall and, less, towards the middle."""
    chest, canvas = scene.chest, scene.canvas
    angle = float(chest.angle(side)[1])
    tall = angle - chest.top
    level = angle - tall * (0.055 + 0.52 * amount**1.3)
    rise = (0.045 + 0.06 * amount) * np.exp(-np.clip(scene.rim[side], 0, None) / np.float32(0.04 + 0.02 * amount))
    heart = np.float32(0.012) * np.exp(-np.abs(canvas.x - np.float32(chest.middle)) / 0.06)
    depth = canvas.y - np.float32(level) + rise + heart + np.float32(0.002 * rng.normal())
    # The fluid surrounds the lung as a bowl: its upper rim is thin along the beam.
    return np.float32(0.99) * smoothstep(depth, -0.012, 0.03 + 0.03 * amount)


def _veil(scene: Scene, side: str, amount: float) -> Grid:
    """Fluid behind a lung that lies on it: vessels still show through, the angle is hazy."""
    chest = scene.chest
    down = smoothstep(scene.canvas.y, chest.top, float(chest.angle(side)[1]))
    edge = 0.25 * np.exp(-np.clip(scene.rim[side], 0, None) / np.float32(0.02))
    return np.clip((0.12 + 0.45 * amount) * (0.25 + 0.75 * down) + edge * down * amount, 0, 0.9).astype(np.float32)


def draw_pneumothorax(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """Air between wall and lung: no vessels there, and a thin line where the collapsed lung ends."""
    side = side_of(rng)
    canvas, chest = scene.canvas, scene.chest
    lung, hilum = chest.lung(side), chest.hilum(side)
    # How far each place on the outline falls back: the apex first, the base last, the inner border hardly.
    order = np.arange(len(lung))
    weight = np.interp(
        order,
        [0, 6, 14, 19, 21, 25, 30, 34, 38, len(lung) - 4, len(lung)],
        [1, 0.85, 0.6, 0.4, 0.3, 0.12, 0, 0, 0, 0.35, 1],
    )
    if rng.random() < 0.3:  # air that also lies at the base
        weight = np.maximum(weight, np.interp(order, [0, 15, 21, 27, 30, 44], [0, 0.5, 0.8, 0.5, 0, 0]))
    shrunk = lung + (hilum - lung) * ((0.13 + 0.50 * severity) * weight)[:, None]
    outline = smooth_closed(shrunk)
    left = canvas.coverage(outline)
    gap = np.clip(scene.lung[side] - left, 0, 1)
    scene.share += (1 - scene.share) * gap
    scene.clear += (1 - scene.clear) * gap
    scene.vessels *= 1 - gap
    scene.fill(np.float32(0.03 + 0.30 * severity**2) * left * scene.lung[side])
    pleura = canvas.splat(canvas.tube(smooth_closed(shrunk)[: 24 * 3], scene.cm(0.1))) * np.float32(scene.build.cm)
    scene.tissue += 3.2 * pleura * scene.lung[side]  # the line is a sheet seen along its depth
    scene.note("Pneumothorax", (gap > 0.4) | ((pleura > 0.02) & (scene.lung[side] > 0.3)), side=side)


def draw_thickening(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """A dense band with an uneven inner border along the outer wall, or a cap over the apex; chalk in some."""
    first, both, apical = side_of(rng), rng.random() < 0.35, rng.random() < 0.35
    chalk = rng.random() < 0.2
    chest, canvas = scene.chest, scene.canvas
    for side in list(SIDES) if both else [first]:
        tall = float(chest.angle(side)[1]) - chest.top
        low = chest.top - 0.02 if apical else chest.top + tall * rng.uniform(0.25, 0.55)
        high = chest.top + tall * 0.22 if apical else chest.top + tall * rng.uniform(0.85, 1.02)
        window = smoothstep(canvas.y, low - 0.03, low + 0.03) * smoothstep(-canvas.y, -high - 0.03, -high + 0.03)
        thick = (0.010 + 0.022 * severity) * window * (1 + 0.3 * canvas.noise(rng, 0.05))
        if apical:
            thick += 2.2 * (0.008 + 0.016 * severity) * smoothstep(-canvas.y, -(chest.top + 0.06), -chest.top)
        filled = (
            np.float32(0.72 + 0.2 * severity)
            * smoothstep(thick - scene.rim[side], -0.003, 0.006)
            * scene.lung[side]
            * (window > 0)
        )
        scene.fill(filled)
        if chalk:
            scene.bone += 0.5 * filled * smoothstep(canvas.noise(rng, 0.02), 0.4, 1.0)
        scene.note("Pleural_Thickening", filled > 0.2, side=side, apical=bool(apical), calcified=bool(chalk))
