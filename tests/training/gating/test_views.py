"""Views: what is asked about stays true however the picture is exposed, framed and placed."""

from __future__ import annotations

import numpy as np
import pytest

from training.gating.views import Pose, draw_pose, plain_view, varied_view

SIDE = 64


def wedge() -> np.ndarray:
    """Dark above, bright below, uneven enough that no window empties it."""
    rows = np.linspace(0.15, 0.85, SIDE, dtype=np.float32)[:, None]
    return np.clip(rows + np.random.default_rng(0).normal(0, 0.03, (SIDE, SIDE)), 0.05, 0.95).astype(np.float32)


def brighter_side(view: np.ndarray) -> str:
    """Where the picture is brightest, by its centre of mass."""
    rows, columns = np.indices(view.shape) - (SIDE - 1) / 2
    lit = view > 0.02
    weight = (view - view[lit].mean()) * lit
    down, right = float((weight * rows).sum()), float((weight * columns).sum())
    if abs(down) > abs(right):
        return "bottom" if down > 0 else "top"
    return "right" if right > 0 else "left"


@pytest.mark.parametrize(
    ("pose", "side"),
    [
        (Pose(), "bottom"),
        (Pose(inverted=True), "top"),
        (Pose(quarters=1), "right"),
        (Pose(quarters=2), "top"),
        (Pose(quarters=3), "left"),
        (Pose(True, 2), "bottom"),
    ],
)
def test_a_view_lies_as_its_pose_says(pose: Pose, side: str) -> None:
    """numpy turns counterclockwise: what was below comes to the right."""
    found = [brighter_side(varied_view(np.random.default_rng(seed), wedge(), pose)) for seed in range(60)]
    assert found.count(side) >= 50, found
    assert brighter_side(plain_view(wedge(), pose)) == side


def test_views_differ_widely_and_follow_from_the_seed() -> None:
    views = [varied_view(np.random.default_rng(seed), wedge(), Pose()) for seed in range(60)]
    np.testing.assert_array_equal(views[7], varied_view(np.random.default_rng(7), wedge(), Pose()))
    assert all(v.shape == (SIDE, SIDE) and v.dtype == np.float32 and v.min() >= 0 and v.max() <= 1 for v in views)
    covered = np.array([(view > 0).mean() for view in views])
    assert covered.min() > 0.2 and covered.max() > 0.98, "frames of all widths, but a chest never becomes a stamp"
    assert np.std([np.median(view[view > 0]) for view in views]) > 0.07
    assert all(view.std() > 0.02 for view in views)


def test_the_given_picture_is_left_alone() -> None:
    plane = wedge()
    for seed in range(20):
        varied_view(np.random.default_rng(seed), plane, Pose(True, 1))
    np.testing.assert_array_equal(plane, wedge())


def test_padding_stays_black_in_an_inverted_picture() -> None:
    padded = np.zeros((SIDE, SIDE), np.float32)
    padded[10:54] = wedge()[10:54]
    inverse = plain_view(padded, Pose(inverted=True))
    assert not inverse[:10].any() and not inverse[54:].any()
    np.testing.assert_allclose(inverse[10:54], 1 - padded[10:54])
    np.testing.assert_array_equal(plain_view(padded, Pose()), padded)


def test_poses_come_as_often_as_they_should() -> None:
    rng = np.random.default_rng(3)
    poses = [draw_pose(rng, upright=0.4) for _ in range(3000)]
    counts = {
        key: sum((p.inverted, p.quarters > 0) == key for p in poses) / 3000
        for key in ((False, False), (True, False), (False, True), (True, True))
    }
    assert counts[False, False] == pytest.approx(0.4, abs=0.04)
    assert all(counts[key] == pytest.approx(0.2, abs=0.03) for key in counts if any(key))
    assert {p.quarters for p in poses} == {0, 1, 2, 3}
