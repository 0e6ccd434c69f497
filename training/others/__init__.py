"""Drawn pictures that are no frontal chest radiograph, for the gate to learn from; see docs/training.md.

They need not be beautiful. They must be many and of many kinds, and share what says nothing (bones, soft tissue, noise,
black borders) with chests, so that only what makes a chest can tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from training.others import limbs, papers, plain, slices, spoilt, trunk

__all__ = ["DRAWN", "SPOILT", "choose", "draw", "spoil"]

Plane = npt.NDArray[np.float32]

DRAWN: dict[str, Callable[[np.random.Generator, int], Plane]] = {
    **limbs.KINDS,
    **trunk.KINDS,
    **slices.KINDS,
    **papers.KINDS,
    **plain.KINDS,
}
"""By name: what draws a picture of `size` x `size` pixels, 0..1, from a generator alone."""

SPOILT: dict[str, Callable[[np.random.Generator, list[Plane]], Plane]] = spoilt.KINDS
"""By name: what makes a picture that is no chest radiograph any more of several that are."""


def choose(rng: np.random.Generator, kinds: Mapping[str, object] = DRAWN) -> str:
    """The kind that `draw` would draw from the same generator; with `SPOILT`, that of `spoil`."""
    return sorted(kinds)[int(rng.integers(len(kinds)))]


def draw(rng: np.random.Generator, size: int) -> Plane:
    """A picture of some kind, `size` x `size`, 0..1; it depends on the generator alone."""
    return DRAWN[choose(rng)](rng, size)


def spoil(rng: np.random.Generator, count: int, chest: Callable[[int], Plane]) -> Plane:
    """What is left of some of `count` chests.

    Args:
        rng: the picture depends on it, and on the chests.
        count: how many there are.
        chest: gives the square picture of an index.
    """
    return SPOILT[choose(rng, SPOILT)](rng, [chest(int(index)) for index in rng.integers(count, size=spoilt.MOST)])
