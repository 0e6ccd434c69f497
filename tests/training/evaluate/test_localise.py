"""Boxes of heat maps against regions that the test drew."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluate.localise import box_of_map, iou

WHOLE = (0.0, 0.0, 1.0, 1.0)


def test_a_plateau_gives_its_own_box() -> None:
    heat = np.full((56, 56), -3.0, np.float32)
    heat[14:28, 28:49] = 4.0
    assert box_of_map(heat, WHOLE) == pytest.approx((0.5, 0.25, 0.875, 0.5), abs=0.005)


def test_the_largest_region_wins_over_the_brightest() -> None:
    heat = np.zeros((56, 56), np.float32)
    heat[2:5, 2:5] = 10.0
    heat[20:50, 20:50] = 6.0
    left, top, right, bottom = box_of_map(heat, WHOLE)
    assert (left, top) > (0.3, 0.3)
    assert (right, bottom) > (0.85, 0.85)


def test_a_map_of_the_centre_crop_is_placed_on_the_field() -> None:
    heat = np.zeros((7, 7), np.float32)
    heat[3, 3] = 1.0
    left, top, right, bottom = box_of_map(heat, (0.0625, 0.0625, 0.9375, 0.9375))
    assert (left + right) / 2 == pytest.approx(0.5, abs=0.005)
    assert (top + bottom) / 2 == pytest.approx(0.5, abs=0.005)
    # At half its height a bilinear peak is one cell wide.
    assert right - left == pytest.approx(0.875 / 7, rel=0.1)


def test_a_map_without_a_range_points_nowhere() -> None:
    assert box_of_map(np.zeros((7, 7), np.float32), (0.1, 0.1, 0.9, 0.9)) == (0.1, 0.1, 0.9, 0.9)


def test_iou_is_that_of_painted_boxes() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        painted, edges = [], []
        for _ in range(2):
            left, right = sorted(rng.choice(41, 2, replace=False))
            top, bottom = sorted(rng.choice(41, 2, replace=False))
            plane = np.zeros((40, 40), bool)
            plane[top:bottom, left:right] = True
            painted.append(plane)
            edges.append((left / 40, top / 40, right / 40, bottom / 40))
        truth = (painted[0] & painted[1]).sum() / (painted[0] | painted[1]).sum()
        assert iou(*edges) == pytest.approx(truth, abs=1e-12)
