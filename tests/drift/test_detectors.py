"""The promise on false alarms, piece by piece and as a whole, and how soon a change is seen."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.drift import POINT, RATES, baseline, delays, draw, false_alarms
from cxredge.drift import IMAGES_PER_FALSE_ALARM
from cxredge.drift.detectors import ABSTENTION, Detectors
from cxredge.result import LABELS


@pytest.mark.parametrize("images", [200, 5000])
def test_no_bet_gains_while_nothing_has_changed(images: int) -> None:
    """The mean of every bet's gain, at the baseline's own rates, is at most 1: what the proof stands on."""
    usual = baseline(np.random.default_rng(0), images)
    detectors = Detectors(usual, POINT)
    total = usual.images + usual.abstained
    assert detectors._weights.sum() <= 1 + 1e-12
    for bet in detectors._bets:
        if bet.stream < len(LABELS):
            rate = usual.findings[bet.stream].positives[POINT] / usual.images
            shares = np.array([1 - rate, rate])
        elif bet.stream < 2 * len(LABELS):
            shares = np.array(usual.findings[bet.stream - len(LABELS)].counts) / usual.images
        else:
            shares = np.array([usual.images, usual.abstained]) / total
        assert (bet.gains >= 0).all()
        assert shares @ bet.gains <= 1 + 0.02 * (images == 200), bet  # smoothed counts, of a small baseline


def test_levels_grow_by_one_an_image_at_most() -> None:
    rng = np.random.default_rng(1)
    detectors = Detectors(baseline(rng, 5000), POINT)
    state = detectors.start(1500)
    for _ in range(40):
        detectors.step(state, draw(rng, 1500))
    totals = detectors.totals(state)
    assert totals.shape == (1500, ABSTENTION + 1)
    assert totals.sum(-1).mean() <= 40 * 1.15  # heavy tails: the mean of 1500 runs is itself rough


def test_one_image_at_a_time_is_what_many_runs_are() -> None:
    rng = np.random.default_rng(2)
    detectors = Detectors(baseline(rng, 1000), POINT)
    together, alone = detectors.start(3), detectors.start()
    for _ in range(50):
        cells = draw(rng, 3)
        detectors.step(together, cells)
        detectors.step(alone, cells[1])
    np.testing.assert_allclose(detectors.totals(together)[1], detectors.totals(alone))


def test_the_recursion_is_the_sum_over_all_beginnings() -> None:
    rng = np.random.default_rng(3)
    detectors = Detectors(baseline(rng, 1000), POINT)
    state, gains = detectors.start(), []
    for _ in range(40):
        cells = draw(rng, 1)[0]
        detectors.step(state, cells)
        gains.append([bet.gains[cells[bet.stream]] if cells[bet.stream] >= 0 else np.nan for bet in detectors._bets])
    for column, level in enumerate(state.level):
        told = [row[column] for row in gains if not np.isnan(row[column])]
        assert level == pytest.approx(sum(np.prod(told[start:]) for start in range(len(told))))


def test_false_alarms_are_rarer_than_promised() -> None:
    """At one in 10,000 images, 26 of 100 streams of 3,000 would alarm; what is proven leaves room below that."""
    assert false_alarms(4, 1000, 60, images=3000, drawn=2) <= 0.15


def test_a_threefold_rate_is_seen_within_100_images() -> None:
    found = delays(5, 5000, 200, before=200, most=400)
    assert len(found) >= 195  # hardly any run has alarmed before
    assert np.median(found) <= 80 and found.mean() <= 90
    assert (found <= 100).mean() >= 0.75


def test_a_small_baseline_costs_time_not_false_alarms() -> None:
    small, large = (delays(6, images, 100, before=100, most=600) for images in (300, 20_000))
    assert np.median(small) > np.median(large)
    assert np.isfinite(small).mean() > 0.95


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda cells: {**cells, 0: 0}, "fewer positives"),
        (lambda cells: {**cells, 14: min(9, cells[14] + 3)}, "higher scores"),
        (lambda cells: {**cells, 14: max(0, cells[14] - 3)}, "lower scores"),
        (lambda cells: {**cells, 14: 0 if cells[14] < 5 else 9}, "scores further apart"),
        (lambda cells: {**cells, 14: 4 + cells[14] % 2}, "scores closer together"),
    ],
)
def test_each_kind_of_change_is_told_by_its_name(change: object, says: str) -> None:
    rng = np.random.default_rng(7)
    rates = (0.3, *RATES[1:])
    detectors = Detectors(baseline(rng, 5000, rates), POINT)
    state = detectors.start()
    for image in range(1500):
        cells = draw(rng, 1, rates)[0]
        if image >= 300 and cells[0] >= 0:
            cells = np.array(list(change(dict(enumerate(cells.tolist()))).values()))  # type: ignore[operator]
        detectors.step(state, cells)
        if (detectors.totals(state) >= IMAGES_PER_FALSE_ALARM).any():
            break
    assert np.flatnonzero(detectors.totals(state) >= IMAGES_PER_FALSE_ALARM).tolist() == [0]
    what, since = detectors.leading(state, 0)
    assert what == says
    assert 250 <= since <= 340


def test_a_disease_that_was_never_seen_can_still_appear() -> None:
    rates = (*RATES[:-1], 1e-9)
    rng = np.random.default_rng(8)
    detectors = Detectors(baseline(rng, 2000, rates), POINT)
    state = detectors.start()
    for image in range(400):
        cells = draw(rng, 1, rates)[0]
        if image % 10 == 0 and cells[13] >= 0:
            cells[13] = 1
        detectors.step(state, cells)
    assert detectors.totals(state)[13] >= IMAGES_PER_FALSE_ALARM
    assert (detectors.totals(state)[:13] < IMAGES_PER_FALSE_ALARM).all()
