"""Calibration against SciPy's minimiser, scikit-learn's losses, and simulations whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from cxredge.operating_points import (
    Calibrator,
    ScoresError,
    choose_calibration,
    fit_platt,
    fit_temperature,
    logit,
    quality,
    reliability,
    sigmoid,
)
from cxredge.operating_points.calibration import _folds

IDENTITY = Calibrator("temperature", 1.0)


def drawn(seed: int, count: int = 800, *, scale: float = 0.5, offset: float = -1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that are true with the probability sigmoid(scale * logit + offset)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1, 3, count)
    return (rng.random(count) < sigmoid(scale * z + offset)).astype(float), z


@pytest.mark.parametrize("seed", range(4))
def test_fits_are_the_minimum_that_scipy_finds(seed: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    truth, z = drawn(seed, 300)
    ones = truth.sum()
    target = np.where(truth == 1, (ones + 1) / (ones + 2), 1 / (300 - ones + 2))

    def loss(x: np.ndarray) -> float:
        s = x[0] * z + (x[1] if len(x) > 1 else 0.0)
        return float((np.logaddexp(0, s) - target * s).mean())

    platt, warm = fit_platt(truth, z), fit_temperature(truth, z)
    wanted = optimize.minimize(loss, [1.0, 0.0], tol=1e-12).x
    assert (platt.scale, platt.offset) == pytest.approx(tuple(wanted), abs=1e-4)
    assert warm.scale == pytest.approx(optimize.minimize(loss, [1.0], tol=1e-12).x[0], abs=1e-4)
    assert warm.offset == 0


def test_a_known_calibration_is_found_again() -> None:
    truth, z = drawn(0, 40_000)
    found = fit_platt(truth, z)
    assert (found.scale, found.offset) == pytest.approx((0.5, -1.0), abs=0.04)
    truth, z = drawn(1, 40_000, scale=0.4, offset=0.0)
    assert fit_temperature(truth, z).scale == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("spread", [1e-6, 1.0, 1e6])
def test_the_unit_of_the_logits_does_not_matter(spread: float) -> None:
    truth, z = drawn(2)
    assert fit_platt(truth, z * spread).scale * spread == pytest.approx(fit_platt(truth, z).scale, rel=1e-6)


def test_classes_that_are_wholly_apart_still_have_a_finite_fit() -> None:
    truth = np.r_[np.ones(30), np.zeros(50)]
    for fit in (fit_platt, fit_temperature):
        made = fit(truth, 8 * truth - 4)
        p = sigmoid(made.apply(8 * truth - 4))
        assert np.isfinite([made.scale, made.offset]).all()
        assert p[0] < 1 and p[0] > 0.9 and p[-1] > 0


@pytest.mark.parametrize(
    ("truth", "z"),
    [
        (np.ones(40), np.arange(40.0)),
        (np.r_[np.ones(20), np.zeros(20)], np.ones(40)),
        (np.r_[np.ones(20), np.zeros(20)], np.arange(40.0)),
        (np.r_[np.ones(20), np.zeros(20)], np.full(40, np.nan)),
    ],
    ids=["one class", "constant", "wrong way round", "not a number"],
)
def test_what_cannot_be_calibrated_is_refused(truth: np.ndarray, z: np.ndarray) -> None:
    with pytest.raises(ScoresError):
        fit_platt(truth, z)


def test_the_choice_follows_the_truth_and_is_judged_on_unseen_patients() -> None:
    biased = choose_calibration(*drawn(3), current=IDENTITY)
    assert biased.calibrator.kind == "platt" and not biased.kept
    assert biased.after.log_loss < biased.before.log_loss and biased.after.ece < biased.before.ece / 2
    blunt = choose_calibration(*drawn(4, scale=0.3, offset=0.0), current=IDENTITY)
    assert blunt.calibrator.scale == pytest.approx(0.3, abs=0.08)
    right = [choose_calibration(*drawn(seed, 300, scale=1.0, offset=0.0), current=IDENTITY) for seed in range(20)]
    assert sum(choice.kept for choice in right) >= 10  # a fit to noise predicts unseen patients worse
    assert all(choice.after == choice.before for choice in right if choice.kept)


def test_folds_keep_patients_whole_and_spread_the_ill() -> None:
    rng = np.random.default_rng(5)
    owners = rng.integers(0, 60, 500).astype(str)
    labels = np.isin(owners, [str(index) for index in range(20)]).astype(float)
    place = _folds(labels, owners, 5, 0)
    assert all(len(np.unique(place[owners == owner])) == 1 for owner in np.unique(owners))
    assert [len(np.unique(owners[(place == fold) & (labels == 1)])) for fold in range(5)] == [4] * 5
    assert (_folds(labels, owners, 5, 1) != place).any()


def test_the_log_loss_is_that_of_unseen_patients() -> None:
    """Two images of each of ten patients, of whom no score knows anything: a fit that had seen one would know both."""
    z, ill = np.repeat(np.random.default_rng(6).normal(size=10), 2), np.repeat(np.arange(10) % 2, 2).astype(float)
    owners = [str(index // 2) for index in range(20)]
    whole, parted = (choose_calibration(ill, z, names, current=IDENTITY) for names in (owners, None))
    assert whole.losses["platt"] > parted.losses["platt"]


def test_losses_and_bins_are_those_of_scikit_learn() -> None:
    metrics, curve = pytest.importorskip("sklearn.metrics"), pytest.importorskip("sklearn.calibration")
    truth, z = drawn(6)
    found = quality(truth, z)
    assert found.log_loss == pytest.approx(metrics.log_loss(truth, sigmoid(z)))
    assert found.brier == pytest.approx(metrics.brier_score_loss(truth, sigmoid(z)))
    rate, mean = curve.calibration_curve(truth, sigmoid(z), n_bins=10, strategy="quantile")
    bins = reliability(truth, sigmoid(z))
    np.testing.assert_allclose(bins.rate, rate, atol=0.02)
    np.testing.assert_allclose(bins.probability, mean, atol=0.02)
    assert found.ece == pytest.approx(float(np.abs(rate - mean) @ np.full(10, 0.1)), abs=0.01)


def test_equal_probabilities_share_a_bin() -> None:
    p = np.repeat([0.1, 0.5, 0.9], 20)
    truth = np.tile([0.0, 1.0], 30)
    bins = reliability(truth, p)
    assert bins.count.tolist() == [20, 20, 20]
    assert bins.ece == pytest.approx((0.4 + 0.0 + 0.4) / 3)
    order = np.random.default_rng(0).permutation(60)
    assert reliability(truth[order], p[order]).ece == pytest.approx(bins.ece)


def test_logits_survive_the_way_through_probabilities() -> None:
    z = np.array([-600.0, -30.0, -1e-3, 0.0, 4.0, 15.0])
    np.testing.assert_allclose(logit(sigmoid(z)), z, rtol=1e-8, atol=1e-12)
    assert np.isfinite(logit([0.0, 1.0])).all()
    own = Calibrator("platt", 0.7, -0.3)
    np.testing.assert_allclose(own.undo(own.apply(z)), z, atol=1e-12)
