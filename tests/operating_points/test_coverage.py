"""Intervals against a truth that a simulation knows, within 95 % give or take three standard errors and a bit."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from cxredge.operating_points import (
    STANDARD,
    Point,
    auroc_difference,
    best_f1,
    choose,
    exact_interval,
    least_cost,
    nearest_corner,
)

SHIFT = 1.5
PHI = NormalDist().cdf
RULES = {**STANDARD, "f1": best_f1(), "corner": nearest_corner(), "cost": least_cost(0.1, 5)}


def true_thresholds(share: float) -> dict[str, float]:
    """What each rule picks of two normal distributions, by a fine grid."""
    grid = np.linspace(-4, 6, 10001)
    hit, clear = np.array([1 - PHI(x - SHIFT) for x in grid]), np.array([PHI(x) for x in grid])
    worth = {
        "balanced": hit + clear,
        "screening": -abs(hit - 0.95),
        "confirm": -abs(clear - 0.95),
        "f1": share * hit / (share + share * hit + (1 - share) * (1 - clear)),
        "corner": -((1 - hit) ** 2 + (1 - clear) ** 2),
        "cost": -(0.5 * (1 - hit) + 0.9 * (1 - clear)),
    }
    return {name: float(grid[np.argmax(each)]) for name, each in worth.items()}


def test_intervals_of_threshold_sensitivity_and_specificity_hold_the_truth() -> None:
    """The threshold that the rule would pick of everybody, and everybody's rates at the one that was given."""
    truth = np.r_[np.ones(60), np.zeros(240)]
    wanted, rng, runs = true_thresholds(0.2), np.random.default_rng(11), 200
    held = {name: np.zeros(3) for name in RULES}
    for run in range(runs):
        found = choose(truth, rng.normal(size=300) + SHIFT * truth, RULES, resamples=200, seed=run)
        for name, point in found.items():
            assert isinstance(point, Point)
            cut = point.threshold.value
            rates = (wanted[name], 1 - PHI(cut - SHIFT), PHI(cut))
            intervals = (point.threshold, point.sensitivity, point.specificity)
            held[name] += [each.low <= rate <= each.high for each, rate in zip(intervals, rates, strict=True)]
    for name, counted in held.items():
        assert (counted / runs >= 0.88).all() and (counted / runs <= 0.997).all(), (name, counted / runs)


def test_patients_are_resampled_whole() -> None:
    """Four like images of a patient: intervals by patient hold the truth, intervals by image do not."""
    rng, runs = np.random.default_rng(12), 150
    held = {"patient": 0, "image": 0}
    for run in range(runs):
        sick = np.repeat(np.r_[np.ones(40), np.zeros(60)], 4)
        own = np.repeat(rng.normal(size=100), 4)
        scores = SHIFT * sick + 0.95 * own + math.sqrt(1 - 0.95**2) * rng.normal(size=400)
        owners = [f"p{index // 4}" for index in range(400)]
        for kind, names in (("patient", owners), ("image", None)):
            point = choose(sick, scores, {"": STANDARD["balanced"]}, names, resamples=150, seed=run)[""]
            assert isinstance(point, Point)
            rate = PHI(point.threshold.value)
            held[kind] += point.specificity.low <= rate <= point.specificity.high
    assert held["patient"] / runs >= 0.87
    assert held["image"] / runs < 0.8


def test_the_paired_difference_of_two_aurocs() -> None:
    """Pairing is what makes it narrow: two noisy copies of one score differ by little."""
    rng, runs, held, widths = np.random.default_rng(13), 120, 0, []
    truth = np.r_[np.ones(50), np.zeros(100)]
    noise = (0.2, 0.6)
    areas = [PHI(SHIFT / math.sqrt(2 * (1 + each**2))) for each in noise]
    for run in range(runs):
        base = rng.normal(size=150) + SHIFT * truth
        one, other = (base + each * rng.normal(size=150) for each in noise)
        found = auroc_difference(truth, one, other, resamples=200, seed=run)
        held += found.low <= areas[0] - areas[1] <= found.high
        widths.append(found.high - found.low)
    assert 0.88 <= held / runs <= 0.997
    assert np.mean(widths) < 0.12  # two unpaired AUROCs of so few cases differ by 0.2 and more


@pytest.mark.parametrize(("part", "whole"), [(0, 10), (10, 10), (19, 20), (1, 200), (137, 1000), (9990, 10000)])
def test_the_exact_interval_is_that_of_scipy(part: int, whole: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    wanted = stats.binomtest(part, whole).proportion_ci(0.95, "exact")
    assert exact_interval(part, whole) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_no_cases_no_knowledge() -> None:
    assert exact_interval(0, 0) == (0.0, 1.0)
