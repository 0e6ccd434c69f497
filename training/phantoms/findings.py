"""The fourteen diseases: which function draws which, in which order, and which of them change the contours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from cxredge.result import LABELS
from training.phantoms.airspace import (
    draw_atelectasis,
    draw_consolidation,
    draw_infiltration,
    draw_pneumonia,
    raise_diaphragm,
)
from training.phantoms.anatomy import set_ratio
from training.phantoms.canvas import smoothstep
from training.phantoms.diffuse import draw_edema, draw_emphysema, draw_fibrosis, flatten_diaphragm
from training.phantoms.focal import draw_mass, draw_nodules
from training.phantoms.pleura import draw_effusion, draw_pneumothorax, draw_thickening
from training.phantoms.scene import Scene
from training.phantoms.shape_model import Points

__all__ = ["deform", "draw_findings", "stream"]

Draw = Callable[[Scene, np.random.Generator, float], None]
Deform = Callable[[Points, np.random.Generator, float], Points]


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Random numbers for one purpose of one phantom: what else is drawn never shifts them."""
    words = [seed, *purpose.encode()]
    # The same numbers either way: NumPy is slow to make words of a list.
    return np.random.default_rng(np.array(words, np.uint32) if seed < 2**32 else words)


def enlarge_heart(contours: Points, rng: np.random.Generator, severity: float) -> Points:
    """The contours with a cardiothoracic ratio of 0.53 and more."""
    return set_ratio(contours, 0.53 + 0.15 * severity + float(rng.normal(0, 0.004)))


def draw_cardiomegaly(scene: Scene, _rng: np.random.Generator, _severity: float) -> None:
    """The enlarged heart was drawn with the contours; what is marked is the heart."""
    scene.note("Cardiomegaly", scene.heart > 0.5)


def draw_hernia(scene: Scene, rng: np.random.Generator, severity: float) -> None:
    """A part of the stomach above the diaphragm, behind the heart: a round wall around gas on a level of fluid."""
    canvas, chest = scene.canvas, scene.chest
    radius = scene.cm((1.9 + 2.4 * severity) * rng.uniform(0.95, 1.05))
    floor = 0.5 * (chest.dome["right"] + chest.dome["left"]) + 0.04
    centre = (chest.middle + rng.normal(0.03, 0.015), floor - 0.8 * radius)
    inside = canvas.sphere(centre, (radius * 1.12, radius), rng.normal(0, 0.15))
    above = (
        smoothstep(-canvas.y, -(centre[1] + 0.004), -(centre[1] - 0.004))
        if not scene.build.supine
        else np.float32(0.45)
    )
    r = np.sqrt(canvas.disc(centre, (radius * 1.12, radius)))
    wall = np.exp(-(((r - 1) * np.float32(radius) / scene.cm(0.28)) ** 2))
    thick = np.float32(2 * radius * scene.build.cm)
    gas = 0.62 * thick * canvas.sphere(centre, (radius, radius * 0.9)) * above
    scene.tissue += 0.8 * wall - gas
    scene.tissue += np.minimum(thick * inside, scene.depth) * scene.share * scene.clear  # it pushes lung aside
    scene.note("Hernia", r < 1 + 0.35 * scene.cm(0.28) / radius + 0.06)


_DEFORM: dict[str, Deform] = {
    "Emphysema": flatten_diaphragm,
    "Atelectasis": raise_diaphragm,
    "Cardiomegaly": enlarge_heart,
}

# What changes lung tissue comes first, then what fills it, then what lies in and around it.
_DRAW: dict[str, Draw] = {
    "Emphysema": draw_emphysema,
    "Fibrosis": draw_fibrosis,
    "Edema": draw_edema,
    "Infiltration": draw_infiltration,
    "Pneumonia": draw_pneumonia,
    "Consolidation": draw_consolidation,
    "Atelectasis": draw_atelectasis,
    "Nodule": draw_nodules,
    "Mass": draw_mass,
    "Pleural_Thickening": draw_thickening,
    "Effusion": draw_effusion,
    "Pneumothorax": draw_pneumothorax,
    "Hernia": draw_hernia,
    "Cardiomegaly": draw_cardiomegaly,
}
assert set(_DRAW) == set(LABELS)  # noqa: S101 - a label without a drawing would be a silent "no finding"


def deform(contours: Points, seed: int, findings: Mapping[str, float]) -> Points:
    """The contours as the diseases change them."""
    for label, change in _DEFORM.items():
        if label in findings:
            contours = change(contours, stream(seed, label), findings[label])
    return contours


def draw_findings(scene: Scene, seed: int, findings: Mapping[str, float]) -> None:
    """Draw all diseases into the scene, and note what was drawn."""
    for label, draw in _DRAW.items():
        if label in findings:
            draw(scene, stream(seed, label), findings[label])
