"""ROC, AUROC and precision-recall against scikit-learn, and what the docs say of odd scores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxredge.errors import Code
from cxredge.operating_points import (
    Ranking,
    ScoresError,
    auroc,
    average_precision,
    counts_at,
    precision_recall,
    predictive_values,
    roc_curve,
)


def drawn(seed: int, count: int = 200, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = (rng.random(count) < rng.uniform(0.05, 0.6)).astype(float)
    truth[:2] = 0, 1
    scores = rng.normal(size=count) + truth
    return truth, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_curves_agree_with_scikit_learn(seed: int, ties: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, scores = drawn(seed, 20 + 90 * seed, ties=ties)
    assert auroc(truth, scores) == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-9)
    curve = roc_curve(truth, scores)
    alarms, hits, thresholds = metrics.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive_rate, alarms, atol=1e-12)
    np.testing.assert_allclose(curve.true_positive_rate, hits, atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, thresholds)
    assert average_precision(truth, scores) == pytest.approx(metrics.average_precision_score(truth, scores), abs=1e-9)
    precision, recall, limits = metrics.precision_recall_curve(truth, scores)
    found = precision_recall(truth, scores)
    np.testing.assert_allclose(found.precision, precision[:-1][::-1], atol=1e-12)
    np.testing.assert_allclose(found.recall, recall[:-1][::-1], atol=1e-12)
    np.testing.assert_array_equal(found.threshold, limits[::-1])


@pytest.mark.parametrize("seed", range(5))
def test_auroc_is_the_share_of_ordered_pairs(seed: int) -> None:
    truth, scores = drawn(seed, 60, ties=True)
    pairs = scores[truth == 1][:, None] - scores[truth == 0][None]
    assert auroc(truth, scores) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean(), abs=1e-12)


def test_many_weightings_at_once_are_each_alone() -> None:
    truth, scores = drawn(3, 80, ties=True)
    weights = np.random.default_rng(0).integers(0, 3, (5, 80)).astype(float)
    together = Ranking(truth, scores).curve(weights)
    for row in range(5):
        repeated = np.repeat(np.arange(80), weights[row].astype(int))
        for threshold, true, false in zip(
            together.threshold, together.true_positive_rate[row], together.false_positive_rate[row], strict=True
        ):
            counts = counts_at(truth[repeated], scores[repeated], threshold)
            assert (counts.sensitivity, counts.specificity) == pytest.approx((true, 1 - false))


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_decides_as_its_point_and_no_case_lies_on_it(seed: int) -> None:
    truth, scores = drawn(seed, 90, ties=True)
    curve = roc_curve(truth, scores)
    for cut, threshold in zip(curve.cuts[:-1], curve.threshold[:-1], strict=True):
        assert ((scores >= cut) == (scores >= threshold)).all()
        assert cut not in scores
    assert curve.at(curve.cuts).tolist() == list(range(len(curve.cuts)))
    neighbours = np.array([1.0, np.nextafter(1.0, 2.0), 3.0])
    close = roc_curve(np.array([0.0, 1.0, 1.0]), neighbours)
    assert ((neighbours >= close.cuts[2]) == [False, True, True]).all()


def test_constant_scores_know_nothing() -> None:
    truth = np.array([0.0, 1.0, 1.0, 0.0])
    assert auroc(truth, np.ones(4)) == 0.5
    assert len(roc_curve(truth, np.ones(4)).threshold) == 2


def test_one_class_is_refused_or_not_a_number() -> None:
    assert math.isnan(auroc(np.ones(5), np.arange(5.0)))
    assert math.isnan(auroc(np.full(5, np.nan), np.arange(5.0)))
    for curve in (roc_curve, precision_recall, average_precision):
        with pytest.raises(ScoresError) as caught:
            curve(np.zeros(4), np.arange(4.0))
        assert caught.value.code == Code.SCORES_UNUSABLE


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused_but_where_truth_is_unknown(bad: float) -> None:
    truth, scores = np.array([0.0, 1.0, np.nan]), np.array([0.1, 0.9, bad])
    assert auroc(truth, scores) == 1.0
    for made in (auroc, roc_curve):
        with pytest.raises(ScoresError):
            made(truth, scores[::-1])


def test_truth_is_one_or_zero_and_as_long_as_the_scores() -> None:
    for truth in ([0.0, 2.0], [0.0, 1.0, 1.0], [[0.0, 1.0]]):
        with pytest.raises(ScoresError):
            auroc(np.array(truth), np.array([0.1, 0.2]))


def test_predictive_values_are_those_of_a_counted_town() -> None:
    ppv, npv = predictive_values(np.array(0.9), np.array(0.8), 0.1)  # of 1000: 90 found, 180 alarmed, 720 cleared
    assert (float(ppv), float(npv)) == pytest.approx((90 / 270, 720 / 730))
    ppv, npv = predictive_values(np.array([0.0, 1.0]), np.array([1.0, 0.0]), 0.1)
    assert math.isnan(ppv[0]) and math.isnan(npv[1])
