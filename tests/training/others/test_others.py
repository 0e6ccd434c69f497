"""Drawn pictures that are no chests: what every kind promises, and that spoilt chests are spoilt."""

from __future__ import annotations

import numpy as np
import pytest

from training.others import DRAWN, SPOILT, choose, draw, spoil
from training.others.spoilt import LARGEST_CORNER, LARGEST_STAMP, MOST
from training.phantoms import generate

SIDE = 64


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_every_kind_is_a_picture_of_its_seed(name: str) -> None:
    drawn = [DRAWN[name](np.random.default_rng(seed), SIDE) for seed in range(6)]
    for plane in drawn:
        assert plane.shape == (SIDE, SIDE) and plane.dtype == np.float32
        assert np.isfinite(plane).all() and plane.min() >= 0 and plane.max() <= 1
    np.testing.assert_array_equal(drawn[3], DRAWN[name](np.random.default_rng(3), SIDE))
    assert len({plane.tobytes() for plane in drawn}) == 6, "two seeds give one picture"
    if name != "even":
        assert all(plane.std() > 0.005 for plane in drawn), "a picture shows nothing"


@pytest.mark.parametrize("name", sorted(SPOILT))
def test_spoilt_chests_are_other_pictures(name: str) -> None:
    chests = [generate(seed, size=SIDE).image for seed in range(MOST)]
    for seed in range(6):
        plane = SPOILT[name](np.random.default_rng(seed), chests)
        assert plane.shape == (SIDE, SIDE) and plane.min() >= 0 and plane.max() <= 1
        assert max(abs(np.corrcoef(plane.ravel(), chest.ravel())[0, 1]) for chest in chests) < 0.95
        np.testing.assert_array_equal(plane, SPOILT[name](np.random.default_rng(seed), chests))


def test_no_corner_holds_as_much_as_45_percent_of_the_lungs() -> None:
    """Every window of that side over the lungs of drawn chests; the stamp is smaller than any view of a chest."""
    side = int(SIDE * LARGEST_CORNER)
    for seed in range(12):
        lungs = generate(seed, size=SIDE).masks[:2].any(0)
        sums = np.pad(lungs.astype(float).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        windows = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        assert windows.max() / lungs.sum() < 0.45
    assert LARGEST_STAMP < 0.35


def test_the_name_is_that_of_what_is_drawn() -> None:
    seen = set()
    for seed in range(80):
        name = choose(np.random.default_rng(seed))
        seen.add(name)
        if seed < 10:
            rng = np.random.default_rng(seed)
            choose(rng)
            np.testing.assert_array_equal(draw(np.random.default_rng(seed), SIDE), DRAWN[name](rng, SIDE))
    assert len(seen) > 0.8 * len(DRAWN)
    chests = [generate(seed, size=SIDE).image for seed in range(3)]
    rng = np.random.default_rng(5)
    name = choose(rng, SPOILT)
    wanted = SPOILT[name](rng, [chests[int(index)] for index in _drawn_indices(5)])
    assert spoil(np.random.default_rng(5), 3, chests.__getitem__).shape == wanted.shape


def _drawn_indices(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    choose(rng, SPOILT)
    return rng.integers(3, size=MOST)
