"""Outlines against SciPy's components, exact areas, and the masks that they came from."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cxredge.report.contours import area, outlines, simplify, smooth, svg_path, trace

Floats = npt.NDArray[np.float64]


@st.composite
def some_mask(draw: st.DrawFn) -> npt.NDArray[np.bool_]:
    rows, columns = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    bits = draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    return np.array(bits).reshape(rows, columns)


def fill(loops: list[Floats], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask back from its borders: each vertical step toggles what lies to its right (even-odd rule)."""
    toggles = np.zeros((shape[0], shape[1] + 1), dtype=int)
    for loop in loops:
        for (x0, y0), (x1, y1) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
            if x0 == x1:
                toggles[int(min(y0, y1)), int(x0)] += 1
    return np.cumsum(toggles, axis=1)[:, :-1] % 2 == 1


def distance_to(points: Floats, loop: Floats) -> Floats:
    """From each point to the nearest place on a closed polygon."""
    starts, steps = loop, np.roll(loop, -1, axis=0) - loop
    offsets = points[:, None] - starts[None]
    along = np.clip((offsets * steps).sum(-1) / np.maximum((steps**2).sum(-1), 1e-12), 0, 1)
    return np.asarray(np.linalg.norm(offsets - along[..., None] * steps, axis=-1).min(axis=1))


def disc(radius: float, size: int) -> npt.NDArray[np.bool_]:
    y, x = np.mgrid[:size, :size] + 0.5
    return np.hypot(x - size / 2, y - size / 2) < radius


@settings(max_examples=300, deadline=None)
@given(some_mask())
def test_trace_gives_the_mask_back(mask: npt.NDArray[np.bool_]) -> None:
    loops = trace(mask)
    np.testing.assert_array_equal(fill(loops, mask.shape), mask)
    assert sum(map(area, loops)) == mask.sum()
    for loop in loops:
        steps = np.abs(np.roll(loop, -1, axis=0) - loop)
        assert (steps.sum(axis=1) == 1).all(), "a step that is not one pixel long"


@settings(max_examples=300, deadline=None)
@given(some_mask())
def test_trace_has_the_topology_of_the_mask(mask: npt.NDArray[np.bool_]) -> None:
    signs = np.sign([area(loop) for loop in trace(mask)])
    components = ndimage.label(mask)[1]
    outside_and_holes = ndimage.label(np.pad(~mask, 1, constant_values=True), np.ones((3, 3)))[1]
    assert (signs > 0).sum() == components
    assert (signs < 0).sum() == outside_and_holes - 1


def test_nothing_in_nothing() -> None:
    for mask in (np.zeros((5, 7), bool), np.zeros((0, 0), bool)):
        assert trace(mask) == [] and outlines(mask) == []
        assert svg_path(outlines(mask)) == ""


def test_smoothing_takes_the_stairs_and_leaves_the_shape() -> None:
    (loop,) = trace(disc(150, 400))
    around = smooth(loop, 2.5)
    radii, rough = (np.hypot(*(points - 200).T) for points in (around, loop))
    assert abs(radii - 150).max() < 0.6
    assert radii.std() < rough.std() / 3
    assert abs(area(around) - area(loop)) < 0.002 * area(loop)


def test_smoothing_keeps_a_single_pixel() -> None:
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    (loop,) = outlines(mask)
    assert 0.2 < area(loop) <= 1.0
    assert (abs(loop - 4.5) <= 0.5).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(5, 80), st.floats(0.05, 2.0), st.integers(0, 2**32 - 1))
def test_simplify_stays_within_its_tolerance(count: int, tolerance: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    loop = np.column_stack([np.cos(angle), np.sin(angle)]) * 20 + rng.normal(0, 0.5, (count, 2))
    fewer = simplify(loop, tolerance)
    assert 3 <= len(fewer) <= len(loop)
    assert distance_to(loop, fewer).max() <= tolerance + 1e-9


@pytest.mark.parametrize("size", [200, 400, 1600])
def test_outlines_of_a_lung_like_shape_stay_close_and_are_short(size: int) -> None:
    mask = disc(size * 0.22, size) | np.roll(disc(size * 0.15, size), (size // 6, size // 10), axis=(0, 1))
    (traced,), (drawn,) = trace(mask), outlines(mask)
    assert distance_to(traced[::3], drawn).max() < max(2.0, size / 200)
    assert abs(area(drawn) - area(traced)) < 0.01 * area(traced)
    assert len(drawn) < len(traced) / 5


def test_svg_path_says_the_loops_to_a_tenth() -> None:
    loops = outlines(disc(30, 80)) + outlines(disc(5, 80))
    pieces = svg_path(loops).split("M")[1:]
    assert len(pieces) == len(loops)
    for piece, loop in zip(pieces, loops, strict=True):
        assert piece.endswith("Z")
        read = np.array([[float(v) for v in point.split()] for point in re.split("L", piece[:-1])])
        np.testing.assert_allclose(read, loop, atol=0.05 + 1e-9)
