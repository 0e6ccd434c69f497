"""What the beam passes: one grid for each kind of matter, in centimetres along the beam; and the patient."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.phantoms.anatomy import SIDES, Build, Chest
from training.phantoms.canvas import Canvas, Grid, smoothstep
from training.phantoms.strokes import Pieces

__all__ = ["AERATED", "Drawn", "Scene"]

Mask = npt.NDArray[np.bool_]

AERATED = 0.76
"""Share of air along a healthy inflated lung; the rest is blood and tissue."""

TISSUE, BONE, METAL = 0.168, 0.50, 5.0
"""Linear attenuation per cm at about 75 keV: water-like tissue; what bone adds to it; what metal adds."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One sign of a disease: where it changed the picture, and what was drawn."""

    label: str
    mask: Mask
    facts: dict[str, object]


@dataclass(slots=True, eq=False)
class Scene:
    """The matter along the beam at each pixel, all (size, size).

    Attributes:
        body: tissue of a body without lungs, cm.
        rim: by side, how far inside the outer wall of the chest a pixel lies, sideways, in the chest's unit.
        lung: coverage 0..1 by side.
        heart: coverage 0..1.
        depth: path inside the lungs, in front of and behind the heart included, cm.
        share: air's share of that path.
        clear: 1 where the lung is free of fluid, 0 where all its air is replaced.
        vessels: path through vessels within the lungs, cm.
        airways: the open bronchi; seen, and drawn, only where the lung around them is filled.
        tissue: further soft tissue, cm; may be negative (gas outside the lungs).
        bone, metal: cm.
    """

    canvas: Canvas
    chest: Chest
    build: Build
    body: Grid
    rim: dict[str, Grid]
    lung: dict[str, Grid]
    heart: Grid
    depth: Grid
    share: Grid
    clear: Grid
    vessels: Grid
    tissue: Grid
    bone: Grid
    metal: Grid
    airways: list[Pieces] = field(default_factory=list)
    drawn: list[Drawn] = field(default_factory=list)

    @property
    def lungs(self) -> Grid:
        """Coverage of both lungs."""
        return self.lung["right"] + self.lung["left"]

    def cm(self, centimetres: float) -> float:
        """A length in the chest's unit."""
        return centimetres / self.build.cm

    def fill(self, share: Grid) -> None:
        """Replace that share (0..1) of the air that is left by fluid or cells."""
        self.clear *= 1 - share

    def belly(self) -> tuple[slice, Grid]:
        """Tissue (cm) by which the body is thicker below the diaphragm: on which rows, and how much."""
        rows = self.canvas.rows(min(self.chest.dome.values()), np.inf)
        thicker = self.below(rows) * smoothstep(self.body[rows], 2, 8)
        thicker *= np.float32(1.5 + 2 * self.build.fat)
        return rows, thicker

    def below(self, rows: slice) -> Grid:
        """Of those rows, from 0 at the diaphragm's highest point to 1 below the angles."""
        return smoothstep(self.canvas.y[rows], min(self.chest.dome.values()), self.chest.bottom + 0.06)

    def note(self, label: str, where: Mask, **facts: object) -> None:
        """Keep the truth of a sign; a sign that fell outside the picture leaves none."""
        if where.any():
            self.drawn.append(Drawn(label, where, facts))

    def note_by_side(self, label: str, where: Mask, **facts: object) -> None:
        """Keep one sign for each half of the chest."""
        left = self.canvas.x > self.chest.middle
        for side, half in (("right", ~left), ("left", left)):
            self.note(label, where & half, side=side, **facts)

    def replaced(self, share: Grid) -> Mask:
        """Where filling that share of the lung shows: enough centimetres of air, and not little beside the most."""
        air = share * self.depth
        return air > max(0.35, 0.2 * float(air.max(initial=0)))

    def attenuation(self) -> Grid:
        """The line integral of the attenuation coefficient at each pixel: no unit, at least 0."""
        soft = self.body + self.tissue
        if self.airways and float(self.clear.min()) < 1:
            self._open_airways(soft)
        # A vessel displaces air, so it vanishes where there is none.
        air = self.depth - np.minimum(self.vessels, self.depth)
        air *= self.share
        air *= self.clear
        soft -= air
        np.clip(soft, 0, np.inf, out=soft)
        soft *= TISSUE
        soft += BONE * self.bone
        soft += METAL * self.metal
        return soft

    def _open_airways(self, soft: Grid) -> None:
        """Take the air in the bronchi out of lung that is filled."""
        where, path = self.canvas.splat_part(*self.airways)
        path = np.minimum(path, 0.25 * self.depth[where])
        path *= self.share[where]
        path *= 1 - self.clear[where]
        soft[where] -= path


def side_of(rng: np.random.Generator, left: float = 0.5) -> str:
    """One of the patient's sides; `left` is the chance of the left."""
    return list(SIDES)[int(rng.random() < left)]
