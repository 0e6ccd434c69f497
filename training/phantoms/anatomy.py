"""One patient: the contours, what follows from them for the rest of the chest, and the body's build."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantoms.shape_model import HEART, LEFT_LUNG, RIGHT_LUNG, Points, load

__all__ = ["SIDES", "Build", "Chest", "cardiothoracic_ratio", "chest_of", "draw_build", "draw_contours", "set_ratio"]

SIDES = {"right": -1, "left": 1}
"""The patient's sides and the sign of x on which they lie in the image."""

# Landmarks within one lung: apex, costophrenic angle, inner end of the diaphragm; the hilum along the inner border.
_APEX = 0
_ANGLE = 21
_CARDIOPHRENIC = {"right": 30, "left": 27}
_HILUM = {"right": slice(36, 40), "left": slice(38, 42)}
_LUNG = {"right": RIGHT_LUNG, "left": LEFT_LUNG}


@dataclass(frozen=True, slots=True)
class Build:
    """What a patient is like apart from the contours.

    Attributes:
        cm: centimetres in the chest's unit.
        depth: front to back at the level of the heart, in cm.
        fat: 0 lean .. 1 obese.
        age: years.
        female: with breast shadows.
        supine: an AP view at the bedside; otherwise a PA view, standing.
    """

    cm: float
    depth: float
    fat: float
    age: float
    female: bool
    supine: bool


@dataclass(frozen=True, slots=True, eq=False)
class Chest:
    """Contours (120, 2) in the chest's frame, and landmarks read off them.

    Attributes:
        contours: right lung, left lung, heart, as in the shape model, and as the diseases changed them.
        frame: the same before the diseases: bones, vessels and pleura follow these.
        middle: x of the spine.
        top: y of the apices; `dome`: y of the diaphragm's highest points; `bottom`: y of the angles.
        spacing: distance between vertebrae.
    """

    contours: Points
    frame: Points
    middle: float
    top: float
    dome: dict[str, float]
    bottom: float
    spacing: float

    def lung(self, side: str) -> Points:
        """The lung's contour; "right" or "left" of the patient."""
        return self.contours[_LUNG[side]]

    @property
    def heart(self) -> Points:
        """The heart's contour (26, 2)."""
        return self.contours[HEART]

    def wall(self, side: str, y: Points) -> Points:
        """Distance from the middle to the outer border of the lung at the heights y; constant below the angle."""
        border = self.frame[_LUNG[side]][: _ANGLE + 1]
        order = np.argsort(border[:, 1])
        return np.interp(y, border[order, 1], np.abs(border[order, 0] - self.middle))

    def hilum(self, side: str) -> Points:
        """Where the vessels of the side leave the middle (2,)."""
        border = self.frame[_LUNG[side]][_HILUM[side]].mean(0)
        return border + np.array([SIDES[side] * 0.012, 0.0])

    def angle(self, side: str) -> Points:
        """The costophrenic angle (2,)."""
        return self.lung(side)[_ANGLE]

    def apex(self, side: str) -> Points:
        """The top of the lung (2,)."""
        return self.lung(side)[_APEX]

    def diaphragm(self, side: str) -> Points:
        """The lung's lower border from the costophrenic angle inwards (N, 2)."""
        return self.lung(side)[_ANGLE : _CARDIOPHRENIC[side] + 1]

    def outer(self, side: str) -> Points:
        """The lung's outer border from the apex to the costophrenic angle (22, 2)."""
        return self.lung(side)[: _ANGLE + 1]

    def inner(self, side: str) -> Points:
        """The lung's inner border from the diaphragm up to the apex (N, 2)."""
        lung = self.lung(side)
        return np.concatenate([lung[_CARDIOPHRENIC[side] :], lung[:1]])


def draw_build(rng: np.random.Generator) -> Build:
    """A patient's build, as a mixed hospital population has it."""
    fat = float(np.clip(rng.beta(2.0, 3.0), 0, 1))
    return Build(
        cm=float(rng.normal(38.5, 1.6)),
        depth=float(19.0 + 7.0 * fat + rng.normal(0, 1.0)),
        fat=fat,
        age=float(np.clip(rng.normal(52, 18), 18, 92)),
        female=bool(rng.random() < 0.45),
        supine=bool(rng.random() < 0.35),
    )


def draw_contours(rng: np.random.Generator) -> Points:
    """Lungs and heart (120, 2) of a plausible chest whose heart is not enlarged."""
    shape = load().sample(rng, spread=0.85)
    ratio = cardiothoracic_ratio(shape)
    normal = float(np.clip(rng.normal(0.445, 0.03), 0.38, 0.495))
    return set_ratio(shape, min(ratio, normal) if ratio > 0.5 else ratio)


def cardiothoracic_ratio(contours: Points) -> float:
    """Width of the heart over the width of both lungs."""
    lungs = contours[: HEART.start, 0]
    return float(np.ptp(contours[HEART, 0]) / np.ptp(lungs))


def set_ratio(contours: Points, ratio: float) -> Points:
    """The contours with a heart of that cardiothoracic ratio: widened mostly to the left, and a little downwards.

    The borders that the lungs share with the heart go with it.
    """
    heart = contours[HEART]
    factor = ratio / cardiothoracic_ratio(contours)
    pivot = np.array([heart[:, 0].min() + 0.30 * np.ptp(heart[:, 0]), heart[:, 1].min()])
    stretch = np.array([factor, 1 + 0.35 * (factor - 1)]) - 1
    weight = np.zeros(len(contours))
    weight[HEART] = 1.0
    weight[RIGHT_LUNG][27:38] = [0.25, 0.5, 0.8, 1, 1, 1, 1, 1, 0.8, 0.5, 0.25]
    weight[LEFT_LUNG][24:41] = [0.2, 0.4, 0.7, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    return contours + weight[:, None] * (contours - pivot) * stretch


def chest_of(contours: Points, changed: Points | None = None) -> Chest:
    """Read the landmarks off the healthy contours; `changed` are those with the diseases."""
    right, left = contours[RIGHT_LUNG], contours[LEFT_LUNG]
    middle = 0.5 * float(right[38:, 0].max() + left[42:, 0].min())
    top = 0.5 * float(right[_APEX, 1] + left[_APEX, 1])
    dome = {side: float(contours[_LUNG[side]][_ANGLE : _CARDIOPHRENIC[side] + 1, 1].min()) for side in SIDES}
    bottom = 0.5 * float(right[_ANGLE, 1] + left[_ANGLE, 1])
    spacing = (0.5 * (dome["right"] + dome["left"]) - top) / 9.3
    return Chest(
        contours if changed is None else changed,
        contours,
        middle,
        top,
        dome,
        bottom,
        float(np.clip(spacing, 0.042, 0.062)),
    )
