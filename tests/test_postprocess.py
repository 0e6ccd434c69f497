"""Masks, measures and decisions against scipy, plain loops and geometry that can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage, special

from cxredge.errors import Code, NativeError
from cxredge.pixels import Geometry, Placement
from cxredge.postprocess import CleanMasks, clean_masks, decide, measure, native_map, native_masks, union
from cxredge.preprocess import placement
from tests.support import reference

WHOLE = Placement((0, 0, 1, 1), (0, 0, 1, 1))


def _masks(seed: int, height: int = 23, width: int = 31) -> Any:
    """Blobs with holes and islands: smoothed noise."""
    noise = np.random.default_rng(seed).normal(size=(3, height, width))
    smooth = ndimage.gaussian_filter(noise, (0, 1.2, 1.2))
    return special.expit(12 * smooth).astype(np.float32)


def _largest_by_scipy(mask: Any) -> Any:
    labels, count = ndimage.label(mask >= 0.5, structure=np.ones((3, 3)))
    if count == 0:
        return np.zeros(mask.shape, bool)
    sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + int(sizes.argmax())


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
@example(677, 19, 29)  # an island within a hole: dropped, then filled
def test_cleaning_is_that_of_scipy(seed: int, height: int, width: int) -> None:
    masks = _masks(seed, height, width)
    before = masks.copy()
    clean = clean_masks(masks)
    assert np.array_equal(masks, before)
    for one, binary, probabilities in zip(masks, clean.binary, clean.probabilities, strict=True):
        largest = _largest_by_scipy(one)
        expected = ndimage.binary_fill_holes(largest)
        assert np.array_equal(binary, expected)
        assert np.array_equal(probabilities >= 0.5, binary)
        untouched = largest | (~expected & (one < 0.5))
        assert np.array_equal(probabilities[untouched], one[untouched])
        assert set(np.unique(probabilities[~untouched])) <= {0.0, 1.0}


def test_masks_must_be_finite_and_three() -> None:
    for wrong in (np.full((3, 4, 4), np.nan), np.zeros((2, 4, 4)), np.zeros((4, 4))):
        with pytest.raises(NativeError) as caught:
            clean_masks(wrong.astype(np.float32))
        assert caught.value.code is Code.BAD_ARGUMENT


def test_union_of_masks() -> None:
    a, b = np.random.default_rng(1).random((2, 9, 7)) > 0.5
    assert np.array_equal(union(a, b), a | b)
    with pytest.raises(NativeError):
        union(a, b[:-1])


def _rectangles(height: int, width: int, *boxes: tuple[int, int, int, int] | None) -> CleanMasks:
    """(top, bottom, left, right) of each structure."""
    masks = np.zeros((3, height, width), np.float32)
    for mask, box in zip(masks, boxes, strict=True):
        if box is not None:
            mask[box[0] : box[1], box[2] : box[3]] = 1
    return clean_masks(masks)


def test_measures_of_rectangles() -> None:
    # A plane of 100 x 100 over an image of 2000 x 1000: one cell is 20 x 10 pixels.
    masks = _rectangles(100, 100, (20, 80, 60, 90), (20, 80, 10, 40), (50, 80, 40, 65))
    found = measure(masks, WHOLE, 2000, 1000)
    assert found.left_lung_px == pytest.approx(60 * 30 * 200)
    assert found.right_lung_px == pytest.approx(60 * 30 * 200)
    assert found.heart_px == pytest.approx(30 * 25 * 200)
    assert found.lung_fraction == (pytest.approx(0.18), pytest.approx(0.18))
    # Lungs from 10 to 90, midline 50: the heart reaches 10 to the one side and 15 to the other.
    assert found.cardiothoracic_ratio == pytest.approx(25 / 80)


def test_a_heart_to_one_side_counts_from_the_midline() -> None:
    masks = _rectangles(100, 100, (20, 80, 60, 90), (20, 80, 10, 40), (50, 80, 60, 70))
    assert measure(masks, WHOLE, 100, 100).cardiothoracic_ratio == pytest.approx(20 / 80)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_no_ratio_without_lungs_or_heart(missing: int) -> None:
    boxes: list[Any] = [(20, 80, 60, 90), (20, 80, 10, 40), (50, 80, 40, 65)]
    boxes[missing] = None
    found = measure(_rectangles(100, 100, *boxes), WHOLE, 500, 500)
    assert found.cardiothoracic_ratio is None
    assert (found.left_lung_px, found.right_lung_px, found.heart_px)[missing] == 0


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
def test_measures_do_not_depend_on_the_fit(fit: Any) -> None:
    """One anatomy of discs in the image, seen through each fit."""
    rows, columns = 1500, 1200
    place = placement(rows, columns, Geometry(256, 256, fit))
    y, x = np.mgrid[0:256, 0:256] + 0.5
    fx = place.source[0] + (x / 256 - place.plane[0]) / (place.plane[2] - place.plane[0]) * (
        place.source[2] - place.source[0]
    )
    fy = place.source[1] + (y / 256 - place.plane[1]) / (place.plane[3] - place.plane[1]) * (
        place.source[3] - place.source[1]
    )
    discs = [(0.7, 0.5, 180), (0.3, 0.5, 200), (0.53, 0.6, 150)]
    distance = [np.hypot(fx * columns - cx * columns, fy * rows - cy * rows) - r for cx, cy, r in discs]
    masks = clean_masks(special.expit(-np.array(distance) / 6).astype(np.float32))
    found = measure(masks, place, rows, columns)
    for area, (_, _, radius) in zip((found.left_lung_px, found.right_lung_px, found.heart_px), discs, strict=True):
        assert area == pytest.approx(np.pi * radius**2, rel=0.01)
    low, high = 0.3 * columns - 200, 0.7 * columns + 180
    assert found.cardiothoracic_ratio == pytest.approx(300 / (high - low), rel=0.004)
    native = native_masks(masks, place, rows, columns)
    assert native[0].sum() == pytest.approx(found.left_lung_px, rel=0.01)


places = st.sampled_from(
    [WHOLE, placement(50, 30, Geometry(64, 64, "pad")), placement(50, 30, Geometry(64, 64, "crop"))]
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), places)
def test_native_masks_are_bilinear(seed: int, place: Placement) -> None:
    clean = clean_masks(_masks(seed, 9, 12))
    native = native_masks(clean, place, 50, 30)
    for one, probabilities in zip(native, clean.probabilities, strict=True):
        exact = reference.bilinear(probabilities.astype(np.float64), (0, 0, 1, 1), place, 50, 30)
        sure = np.abs(exact - 0.5) > 1e-9
        assert np.array_equal(one[sure], exact[sure] >= 0.5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), places, st.sampled_from([(0.0, 0.0, 1.0, 1.0), (0.125, 0.1, 0.875, 0.9)]))
def test_native_maps_are_bilinear(seed: int, place: Placement, box: tuple[float, float, float, float]) -> None:
    values = np.random.default_rng(seed).normal(size=(7, 6)).astype(np.float32)
    native = native_map(values, box, place, 41, 37)
    exact = reference.bilinear(values.astype(np.float64), box, place, 41, 37)
    np.testing.assert_allclose(native, exact, rtol=0, atol=1e-6)


@given(st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=14), st.integers(0, 2**32 - 1))
def test_decisions_are_the_sigmoid(logits: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale, offset, thresholds = rng.uniform(0.2, 3, len(logits)), rng.normal(size=len(logits)), rng.random(len(logits))
    values = np.array(logits, np.float32)
    probabilities, positive = decide(values, scale, offset, thresholds)
    np.testing.assert_allclose(probabilities, special.expit(scale * values + offset), rtol=1e-14, atol=0)
    assert np.array_equal(positive, probabilities >= thresholds)


def test_a_probability_at_its_threshold_is_positive() -> None:
    one, zero = np.ones(1), np.zeros(1)
    assert decide(zero.astype(np.float32), one, zero, np.array([0.5]))[1].tolist() == [True]


def test_decisions_refuse_what_is_no_number() -> None:
    one = np.ones(2)
    for logits, scale in ((np.array([np.nan, 0]), one), (one, np.array([np.inf, 1])), (one, np.ones(3))):
        with pytest.raises(NativeError) as caught:
            decide(logits.astype(np.float32), scale, one, one)
        assert caught.value.code is Code.BAD_ARGUMENT
