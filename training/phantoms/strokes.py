"""Matter on its way to the picture: bent bands of grains, and how grains become mean thicknesses of pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from training.phantoms.filters import Grid, Part
from training.phantoms.shape_model import Points

__all__ = ["Band", "Floats", "Laid", "Pieces", "Profile", "even", "grains", "round_profile", "splatted"]

Floats = npt.NDArray[np.float32]
Profile = Callable[[Floats], Floats]
"""Thickness at places -1..1 across a band, relative to the volume's; equal ones must be equal as keys."""


def round_profile(across: Floats) -> Floats:
    """Chord of a circle at places -1..1 across it, relative to its mean."""
    return np.float32(4 / np.pi) * np.sqrt(1 - across * across)


def even(across: Floats) -> Floats:
    """The same thickness everywhere."""
    return np.ones_like(across)


Laid = tuple[Floats, Floats, Floats]
"""Middle line (2, S), from there to the edge (2, S), and the volume of a grain (S,): S samples of a band."""


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Matter along a path, to be projected; folds add up, so that it is dense where it is seen edge-on.

    Attributes:
        path: (S, 2), its middle line as projected, sampled finer than a pixel, in the chest's frame.
        half_width: (S, 2), the projected vector from the middle line to the edge.
        volume: (S,), what each sample stands for: true (not projected) length times width, times a thickness.
        count: grains across it at each place.
        profile: thickness across the band.
        own: the profile is this band's alone, and not worth keeping a table of.
    """

    path: Points
    half_width: Points
    volume: Points
    count: int
    profile: Profile
    own: bool = False

    def times(self, factor: float) -> Self:
        """The same band, that much denser."""
        return replace(self, volume=self.volume * factor)

    def laid(self, turn: Points, shift: Points) -> Laid:
        """The band in the picture; places are `path @ turn + shift`."""
        path, half = turn.T @ self.path.T, turn.T @ self.half_width.T
        path += shift[:, None]
        grain = self.volume * (1 / self.count)
        return path.astype(np.float32), half.astype(np.float32), grain.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Many straight bands with as many samples along each.

    Attributes:
        start, run: (N, 2), where each begins and how it goes on to its end.
        half_width: (N, 2), as of `Band`.
        volume: (N,), of each sample.
        steps: samples along each.
        count, profile: as of `Band`.
    """

    start: Points
    run: Points
    half_width: Points
    volume: Points
    steps: int
    count: int
    profile: Profile
    own: ClassVar[bool] = False

    def laid(self, turn: Points, shift: Points) -> Laid:
        """See `Band`: worked out at the pieces' ends, and only then at each sample."""
        start, run = (self.start @ turn + shift).T, (self.run @ turn).T
        path = run[:, :, None] * ((np.arange(self.steps) + 0.5) / self.steps)
        path += start[:, :, None]
        half = (self.half_width @ turn).T.astype(np.float32).repeat(self.steps, axis=1)
        grain = (self.volume * (1 / self.count)).astype(np.float32).repeat(self.steps)
        return path.reshape(2, -1).astype(np.float32), half, grain


@lru_cache(maxsize=256)
def _across(count: int, places: int) -> Floats:
    """Where grains lie across a band (count, places).

    From place to place they shift by the golden ratio: a lattice askew to the pixels, that leaves no moire.
    """
    shift = (np.arange(places) * 0.6180339887) % 1
    return ((np.arange(count)[:, None] + shift) / count * 2 - 1).astype(np.float32)


@lru_cache(maxsize=256)
def _thickness(count: int, places: int, profile: Profile) -> Floats:
    return profile(_across(count, places))


def _table(band: Band | Pieces, samples: int) -> tuple[Floats, Floats]:
    """Where the grains lie across the band, and how thick it is there: (count, samples)."""
    places = 1 << (samples - 1).bit_length()  # so that few tables serve all
    across = _across(band.count, places)[:, :samples]
    if band.own:
        return across, band.profile(across)
    return across, _thickness(band.count, places, band.profile)[:, :samples]


def grains(bands: Sequence[Band | Pieces], turn: Points, shift: Points) -> tuple[Floats, Floats, Floats]:
    """All grains of the bands: x, y and volume; places are `path @ turn + shift`."""
    laid = [band.laid(turn, shift) for band in bands]
    total = sum(len(grain) * band.count for band, (_, _, grain) in zip(bands, laid, strict=True))
    x, y, volume = np.empty((3, total), np.float32)
    done = 0
    for band, (path, half, grain) in zip(bands, laid, strict=True):
        shape = band.count, len(grain)
        part = slice(done, done + shape[0] * shape[1])
        across, thickness = _table(band, shape[1])
        for out, middle, edge in ((x, path[0], half[0]), (y, path[1], half[1])):
            row = np.multiply(across, edge, out=out[part].reshape(shape))
            row += middle
        np.multiply(thickness, grain, out=volume[part].reshape(shape))
        done = part.stop
    return x, y, volume


def splatted(x: Floats, y: Floats, volume: Floats, size: int) -> tuple[Part, Grid]:
    """Volume that falls on each of size x size pixels, times 16; places in half pixels, 2 is the picture's border.

    Grains are counted in quarters of pixels, then shared bilinearly among the pixels around each quarter. What is
    returned is the part of the picture that is touched.
    """
    left, wide = _bounds(x, 2 * size)
    top, high = _bounds(y, 2 * size)
    if wide <= 0 or high <= 0:
        return np.s_[0:0, 0:0], np.zeros((0, 0), np.float32)
    where = y.astype(np.int32)
    where *= wide
    where += x.astype(np.int32)
    where -= top * wide + left
    fine = np.zeros(wide * high, np.float32)
    np.add.at(fine, where.astype(np.intp), volume)
    part = _halved(fine.reshape(high, wide))
    column, row = left // 2, top // 2
    c0, r0, c1, r1 = max(column, 0), max(row, 0), min(column + part.shape[1], size), min(row + part.shape[0], size)
    return np.s_[r0:r1, c0:c1], part[r0 - row : r1 - row, c0 - column : c1 - column]


def _bounds(at: Floats, last: int) -> tuple[int, int]:
    """The first half pixel of the part that is touched, and how many: even, with two pixels to spare on each side.

    Grains beyond the picture's reach are laid, in place, on the outermost half pixels of the part, which are unused.
    """
    low, high = float(at.min(initial=np.inf)), float(at.max(initial=-np.inf))
    first = 2 * int(max(low, 1) / 2) - 4
    count = 2 * int(min(high, last + 2) / 2) + 6 - first if high >= 1 and low < last + 3 else 0
    if low < 1 or high >= last + 3:
        np.clip(at, first, first + count - 1, out=at)
    return first, count


def _halved(fine: Grid) -> Grid:
    """Pairs of rows and of columns joined, each giving a quarter of itself to its nearer neighbour; borders dropped."""
    rows = _joined(fine[0::2], fine[1::2])
    columns = rows.T
    return _joined(columns[0::2], columns[1::2]).T


def _joined(first: Grid, second: Grid) -> Grid:
    both = first[1:-1] + second[1:-1]
    both *= 3
    both += second[:-2]
    both += first[2:]
    return both
