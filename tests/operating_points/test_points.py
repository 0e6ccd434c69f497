"""Rules against a search over all thresholds, and when there is no number but a refusal."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from cxredge.errors import UsageError
from cxredge.operating_points import (
    LEAST,
    STANDARD,
    Counts,
    Point,
    Pull,
    Refusal,
    ScoresError,
    best_f1,
    choose,
    counts_at,
    least_cost,
    nearest_corner,
    parse_rule,
    predictive_values,
    sensitivity_at_least,
    specificity_at_least,
    youden,
)

RULES = {
    "youden": (youden(), lambda c: c.sensitivity + c.specificity),
    "corner": (nearest_corner(), lambda c: -math.hypot(1 - c.sensitivity, 1 - c.specificity)),
    "f1": (best_f1(), lambda c: c.f1),
    "cost": (least_cost(0.1, 8.0), lambda c: -(0.1 * 8 * (1 - c.sensitivity) + 0.9 * (1 - c.specificity))),
    "sensitivity": (sensitivity_at_least(0.9), lambda c: c.specificity if c.sensitivity >= 0.9 else -1),
    "specificity": (specificity_at_least(0.9), lambda c: c.sensitivity if c.specificity >= 0.9 else -1),
}


def drawn(seed: int, positives: int = 60, negatives: int = 140, *, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.r_[np.ones(positives), np.zeros(negatives)]
    scores = rng.normal(size=len(truth)) + 1.2 * truth
    return truth, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", RULES)
def test_each_rule_finds_the_best_of_all_thresholds(name: str, seed: int, ties: bool) -> None:
    rule, worth = RULES[name]
    truth, scores = drawn(seed, ties=ties)
    point = choose(truth, scores, {name: rule}, resamples=0)[name]
    assert isinstance(point, Point)
    at = counts_at(truth, scores, point.threshold.value)
    best = max(worth(counts_at(truth, scores, t)) for t in [*np.unique(scores), np.inf])
    assert worth(at) == pytest.approx(best, abs=1e-9)
    assert (point.sensitivity.value, point.specificity.value) == pytest.approx((at.sensitivity, at.specificity))
    higher = [t for t in np.unique(scores) if t > point.threshold.value and counts_at(truth, scores, t) != at]
    if name not in {"specificity"}:  # of equally good thresholds the highest
        assert all(worth(counts_at(truth, scores, t)) < best - 1e-12 for t in higher)


def test_a_rising_calibration_moves_no_case_across_the_line() -> None:
    truth, scores = drawn(1, ties=False)
    for name, (rule, _) in RULES.items():
        plain, bent = (choose(truth, each, {"": rule}, resamples=0)[""] for each in (scores, np.exp(0.4 * scores)))
        assert isinstance(plain, Point) and isinstance(bent, Point)
        assert ((scores >= plain.threshold.value) == (np.exp(0.4 * scores) >= bent.threshold.value)).all(), name


def refusal(truth: np.ndarray, scores: np.ndarray, rule: Callable = youden, **how: object) -> str:
    answer = choose(truth, scores, {"": rule()}, resamples=0, **how)[""]
    assert isinstance(answer, Refusal)
    return answer.reason


def test_too_few_are_refused_in_plain_words() -> None:
    truth, scores = drawn(0, LEAST - 1, 100)
    assert refusal(truth, scores) == "only 19 positives, 20 are needed"
    assert refusal(1 - truth, scores) == "only 19 negatives, 20 are needed"
    assert refusal(np.full(9, np.nan), np.zeros(9)) == "only 0 positives, 20 are needed"
    truth, scores = drawn(0, LEAST, 100)
    assert isinstance(choose(truth, scores, {"": youden()}, resamples=0)[""], Point)
    assert "60 are needed" in refusal(truth, scores, lambda: STANDARD["screening"])


def test_images_of_one_patient_are_one_positive() -> None:
    truth, scores = drawn(0, 40, 100)
    owners = [f"p{index // 4}" for index in range(140)]
    assert refusal(truth, scores, patients=owners) == "only 10 positives, 20 are needed"


def test_scores_that_carry_no_line_are_refused() -> None:
    truth = np.r_[np.ones(70), np.zeros(70)]
    assert refusal(truth, np.ones(140)) == "all scores are equal"
    assert "nobody" in refusal(truth, -truth)
    assert "everybody" in refusal(truth, np.where(np.arange(140) < 60, 1.0, 0.0) - truth, lambda: STANDARD["screening"])
    with pytest.raises(ScoresError):
        choose(truth, np.full(140, np.nan), {"": youden()})


def test_pooling_goes_from_the_one_threshold_to_the_other() -> None:
    truth, scores = drawn(2, 60, 200)
    rules = {name: youden() for name in ("own", "half", "other")}
    pulls = {"half": Pull(0.5, -1.0), "other": Pull(0.0, -1.0)}
    found = choose(truth, scores, rules, pulls=pulls, resamples=50)
    own, half, other = (found[name] for name in rules)
    assert isinstance(own, Point) and isinstance(half, Point) and isinstance(other, Point)
    assert half.threshold.value == pytest.approx((own.threshold.value - 1.0) / 2)
    assert other.threshold.value == other.threshold.low == other.threshold.high == -1.0
    for point in (half, other):
        at: Counts = counts_at(truth, scores, point.threshold.value)
        assert (point.sensitivity.value, point.specificity.value) == pytest.approx((at.sensitivity, at.specificity))
    assert half.threshold.high - half.threshold.low < own.threshold.high - own.threshold.low


def test_predictive_values_hold_at_the_stated_prevalence() -> None:
    truth, scores = drawn(2, 60, 200)
    point = choose(truth, scores, {"": youden()}, prevalence=0.02, resamples=200)[""]
    assert isinstance(point, Point) and point.ppv and point.npv
    ppv, npv = predictive_values(np.array(point.sensitivity.value), np.array(point.specificity.value), 0.02)
    assert (point.ppv.value, point.npv.value) == pytest.approx((float(ppv), float(npv)))
    for interval in (point.ppv, point.npv, point.sensitivity, point.specificity, point.threshold):
        assert interval.low < interval.value < interval.high
    assert isinstance(bare := choose(truth, scores, {"": youden()}, resamples=0)[""], Point) and bare.ppv is None


def test_a_rate_of_one_is_not_certain() -> None:
    truth = np.r_[np.ones(30), np.zeros(100)]
    point = choose(truth, truth + np.arange(130) / 1e4, {"": youden()}, resamples=100)[""]
    assert isinstance(point, Point)
    assert point.sensitivity.value == point.specificity.value == 1
    assert point.sensitivity.low <= 0.025 ** (1 / 30)
    assert point.specificity.low <= 0.025 ** (1 / 100)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("youden", youden()),
        ("corner", nearest_corner()),
        ("f1", best_f1()),
        ("sensitivity:0.9", sensitivity_at_least(0.9)),
        ("specificity:0.98", specificity_at_least(0.98)),
        ("cost:0.05:20", least_cost(0.05, 20)),
    ],
)
def test_rules_as_people_type_them(text: str, rule: object) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "best",
        "youden:1",
        "sensitivity",
        "sensitivity:x",
        "sensitivity:1",
        "sensitivity:nan",
        "cost:0.1",
        "cost:0.1:0",
    ],
)
def test_a_rule_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rule(text)
