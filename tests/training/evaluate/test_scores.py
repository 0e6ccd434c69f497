"""Scores against scikit-learn, and intervals against a truth that a simulation knows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.evaluate.bootstrap import auroc_intervals, mean_interval, rate_intervals, resampled
from training.evaluate.points import LEAST, choose
from training.evaluate.scores import Ranking, auroc, counts_at, mean_auroc, measurable, roc_curve

metrics = pytest.importorskip("sklearn.metrics")


def drawn(seed: int, count: int = 200, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = (rng.random(count) < rng.uniform(0.05, 0.6)).astype(float)
    truth[:2] = 0, 1
    scores = rng.normal(size=count) + truth
    return truth, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_auroc_agrees_with_scikit_learn(seed: int, ties: bool) -> None:
    truth, scores = drawn(seed, 20 + 50 * seed, ties=ties)
    assert auroc(truth, scores) == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-9)
    weights = np.random.default_rng(seed).integers(0, 4, len(truth)).astype(float)
    weights[:2] = 1
    weighted = metrics.roc_auc_score(truth, scores, sample_weight=weights)
    assert Ranking(truth, scores).auroc(weights) == pytest.approx(weighted, abs=1e-9)


def test_unknown_labels_are_left_out_and_one_class_is_not_a_number() -> None:
    truth, scores = drawn(3)
    gaps = truth.copy()
    gaps[::3] = np.nan
    kept = ~np.isnan(gaps)
    assert auroc(gaps, scores) == pytest.approx(metrics.roc_auc_score(truth[kept], scores[kept]), abs=1e-9)
    assert math.isnan(auroc(np.ones(5), np.arange(5.0)))
    assert math.isnan(auroc(np.full(5, np.nan), np.arange(5.0)))
    columns = np.stack([truth, np.ones_like(truth), np.full_like(truth, np.nan)], 1)
    assert measurable(columns).tolist() == [True, False, False]
    assert mean_auroc(columns, np.stack([scores] * 3, 1)) == auroc(truth, scores)
    assert mean_auroc(columns[:, 1:], np.stack([scores] * 2, 1)) is None


@pytest.mark.parametrize("seed", range(6))
def test_roc_curve_and_rates_agree_with_scikit_learn(seed: int) -> None:
    truth, scores = drawn(seed, ties=True)
    curve = roc_curve(truth, scores)
    alarms, hits, thresholds = metrics.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive_rate, alarms, atol=1e-12)
    np.testing.assert_allclose(curve.true_positive_rate, hits, atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, thresholds)
    for limit in (-0.5, 0.3, 1.2):
        found, called = counts_at(truth, scores, limit), scores >= limit
        assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, called))
        assert found.f1 == pytest.approx(metrics.f1_score(truth, called))
        assert found.sensitivity == pytest.approx(metrics.recall_score(truth, called))
        assert found.specificity == pytest.approx(metrics.recall_score(1 - truth, ~called))


@pytest.mark.parametrize("seed", range(8))
def test_operating_points_are_what_their_rules_say(seed: int) -> None:
    truth, scores = drawn(seed, 150, ties=True)
    rates = {t: counts_at(truth, scores, t) for t in [*np.unique(scores), np.inf]}
    chosen = choose(truth, scores)
    best = max(rate.sensitivity + rate.specificity for rate in rates.values())
    at = rates[chosen["balanced"]]
    assert at.sensitivity + at.specificity == pytest.approx(best)
    assert chosen["screening"] == max(t for t, rate in rates.items() if rate.sensitivity >= LEAST)
    assert chosen["confirm"] == min(t for t, rate in rates.items() if rate.specificity >= LEAST)


def clustered(rng: np.random.Generator, patients: int, images: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Patients whose images share their label and a part of their score."""
    sick = (rng.random(patients) < 0.4).astype(float)
    sick[:2] = 0, 1
    owner = np.repeat(np.arange(patients), images)
    scores = 1.2 * sick[owner] + rng.normal(0, 0.8, patients)[owner] + rng.normal(0, 0.6, patients * images)
    return sick[owner], scores, [f"p{index}" for index in owner]


def test_the_bootstrap_interval_covers_the_truth_and_only_by_patients() -> None:
    truth = 0.5 * (1 + math.erf(1.2 / math.sqrt(2 * (0.8**2 + 0.6**2)) / math.sqrt(2)))
    rng = np.random.default_rng(7)
    by_patient = by_image = 0
    runs = 250
    for run in range(runs):
        labels, scores, owners = clustered(rng, 60, 4)
        for names, by in ((owners, "patient"), ([str(index) for index in range(len(owners))], "image")):
            found = auroc_intervals(labels[:, None], scores[:, None], names, resamples=150, seed=run)[1]
            assert found is not None
            inside = found.low <= truth <= found.high
            by_patient += inside if by == "patient" else 0
            by_image += inside if by == "image" else 0
    # 95 % of 250, give or take three standard errors of a coverage (1.4 %) and the percentile's small-sample bias.
    assert 0.90 <= by_patient / runs <= 0.985
    assert by_image / runs < 0.85  # four like images are not four patients


def test_the_mean_over_diseases_covers_too() -> None:
    truth = 0.5 * (1 + math.erf(1.2 / math.sqrt(2 * (0.8**2 + 0.6**2)) / math.sqrt(2)))
    rng = np.random.default_rng(8)
    hits = 0
    for run in range(120):
        columns = [clustered(rng, 50, 2) for _ in range(3)]
        labels, scores = (np.stack([column[k] for column in columns], 1) for k in (0, 1))
        found = auroc_intervals(labels, scores, columns[0][2], resamples=120, seed=run)[1]
        assert found is not None
        hits += found.low <= truth <= found.high
    assert 0.88 <= hits / 120 <= 1.0


def test_resampling_draws_patients_whole() -> None:
    owners = ["a", "a", "b", "c", "c", "c"]
    for weights in resampled(owners, 50):
        assert weights[0] == weights[1]
        assert weights[3] == weights[4] == weights[5]
        assert weights[0] + weights[2] + weights[3] == 3


def test_intervals_of_means_and_rates_leave_out_what_is_not_there() -> None:
    values = np.array([0.2, np.nan, 0.4, 0.9])
    found = mean_interval(values, list("abcd"), resamples=200)
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert 0.2 <= found.low <= found.value <= found.high <= 0.9
    assert mean_interval(np.full(3, np.nan), list("abc")) is None
    part = np.array([[True, False], [False, False], [True, False]])
    whole = np.array([[True, False], [True, False], [True, False]])
    some, none = rate_intervals(part, whole, list("abc"), resamples=100)
    assert some.value == pytest.approx(2 / 3)
    assert math.isnan(none.value)
    assert none.resamples == 0
