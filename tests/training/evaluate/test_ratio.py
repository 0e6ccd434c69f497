"""The ratio of outlines: measured as the runtime measures it, against drawn ones, and against the label."""

from __future__ import annotations

import numpy as np
import pytest

from cxredge.postprocess import clean_masks
from cxredge.result import LABELS
from training.data import Person
from training.evaluate.predict import ratio_of
from training.evaluate.ratio import LABEL, ratio_part, ratios

HOW = {"resamples": 200, "seed": 0}


def chest(heart: tuple[int, int] | None, side: int = 100) -> np.ndarray:
    """Two lungs from 10 to 90 and a heart between these columns."""
    masks = np.zeros((3, side, side), np.float32)
    masks[0, 20:80, 60:90] = 1  # the patient's left is on the right
    masks[1, 20:80, 10:40] = 1
    if heart is not None:
        masks[2, 50:80, slice(*heart)] = 1
    return masks


def test_it_is_the_widest_heart_over_the_widest_chest() -> None:
    assert ratio_of(clean_masks(chest((30, 70)))) == pytest.approx(0.5, abs=0.01)
    assert ratio_of(clean_masks(chest((44, 60)))) == pytest.approx(0.2, abs=0.01)
    assert np.isnan(ratio_of(clean_masks(chest(None))))


def labelled(ill: np.ndarray) -> np.ndarray:
    truth = np.zeros((len(ill), len(LABELS)))
    truth[:, LABEL] = ill
    return truth


def test_against_drawn_hearts_and_against_the_label_within_views() -> None:
    rng = np.random.default_rng(1)
    ill = np.arange(80) % 4 == 0
    lying = np.arange(80) % 2 == 0  # all who are ill lie
    found = np.where(ill, 0.6, 0.5) + rng.normal(0, 0.01, 80)
    drawn = np.full(80, np.nan)
    drawn[:5] = found[:5] + 0.02
    people = [Person("AP" if flat else "PA", None, None) for flat in lying]
    told = ratios(found, drawn, labelled(ill), people, [str(row) for row in range(80)], **HOW)
    assert told["error"]["images"] == 5
    assert told["error"]["value"] == pytest.approx(0.02)
    assert set(told["cardiomegaly"]) == {"all", "AP"}, "nobody who stands is ill"
    assert told["cardiomegaly"]["all"]["auroc"]["value"] == 1.0
    assert told["cardiomegaly"]["all"]["mean_with"] == pytest.approx(0.6, abs=0.01)
    assert (told["cardiomegaly"]["AP"]["positives"], told["cardiomegaly"]["AP"]["negatives"]) == (20, 20)
    text = "\n".join(ratio_part(told, "a split"))
    assert "on 5 images: mean absolute error 0.020" in text
    assert "| all | 20 | 60 | 0." in text and "Split: **a split**" in text


def test_a_ratio_that_was_not_found_counts_for_nothing_and_an_unknown_label_neither() -> None:
    ill = np.arange(60) % 2 == 0
    found = np.where(ill, 0.4, 0.6)
    found[:20] = np.nan
    truth = labelled(ill)
    truth[20:30, LABEL] = np.nan
    told = ratios(found, np.full(60, np.nan), truth, [], [str(row) for row in range(60)], **HOW)
    assert "error" not in told
    assert told["cardiomegaly"]["all"]["auroc"]["value"] == 0.0
    assert told["cardiomegaly"]["all"]["positives"] == 15


def test_nothing_is_said_where_nothing_could_be_measured() -> None:
    few = np.arange(30) < 5
    told = ratios(np.full(30, 0.5), np.full(30, np.nan), labelled(few), [], [str(row) for row in range(30)], **HOW)
    assert told == {} and ratio_part(told, "a split") == []
