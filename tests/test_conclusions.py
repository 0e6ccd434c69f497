"""Whether lungs are plausible: wide bounds that real disease passes and other pictures do not."""

from __future__ import annotations

import numpy as np
import pytest

from cxredge.conclusions import implausible_lungs
from cxredge.pixels import Geometry
from cxredge.postprocess import clean_masks, measure
from cxredge.preprocess import placement
from tests.support.phantom import draw_masks

SIDE = 128


def judge(masks: np.ndarray) -> str | None:
    cleaned = clean_masks(masks.astype(np.float32))
    return implausible_lungs(cleaned, measure(cleaned, placement(1000, 1000, Geometry(SIDE, SIDE)), 1000, 1000))


@pytest.fixture
def chest() -> np.ndarray:
    return draw_masks(SIDE, SIDE)


@pytest.mark.parametrize("seed", range(5))
def test_a_chest_is_plausible(seed: int) -> None:
    assert judge(draw_masks(SIDE, SIDE, seed=seed)) is None


def test_a_lung_mostly_behind_an_effusion_is_plausible(chest: np.ndarray) -> None:
    rows = np.flatnonzero(chest[0].any(axis=1))
    chest[0, rows[len(rows) // 3] :] = False
    assert judge(chest) is None


def test_no_lungs(chest: np.ndarray) -> None:
    chest[:2] = False
    assert judge(chest) == "no lungs were found"


def test_one_lung(chest: np.ndarray) -> None:
    chest[1] = False
    assert judge(chest) == "a lung is missing"


def test_lungs_of_a_whole_body(chest: np.ndarray) -> None:
    shrunk = np.zeros_like(chest)
    shrunk[:, :43, :43] = chest[:, ::3, ::3]
    assert "cover only" in (judge(shrunk) or "")


def test_lungs_that_fill_the_image() -> None:
    masks = np.zeros((3, SIDE, SIDE), bool)
    masks[0, :, 66:] = masks[1, :, :62] = True
    assert "cover" in (judge(masks) or "")


def test_lungs_on_the_wrong_sides(chest: np.ndarray) -> None:
    assert judge(chest[[1, 0, 2]]) == "left and right lung lie on the wrong sides"
