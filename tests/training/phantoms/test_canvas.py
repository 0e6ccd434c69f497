"""Line integrals: what is drawn has the area, the length and the mass that geometry says, at every pose."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from training.phantoms.canvas import Canvas
from training.phantoms.curves import smooth_closed
from training.phantoms.shape_model import Similarity
from training.phantoms.strokes import Band, even


def pose(angle: float = 0.1, scale: float = 1.1) -> Similarity:
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return Similarity(scale, turn, np.array([0.52, 0.48]))


@pytest.fixture
def canvas() -> Canvas:
    return Canvas(128, pose())


def circle(radius: float, centre: tuple[float, float] = (0.0, 0.0), count: int = 200) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([centre[0] + radius * np.cos(turn), centre[1] + radius * np.sin(turn)], 1)


def test_coverage_agrees_with_a_fine_polygon(canvas: Canvas) -> None:
    """Pillow's polygon at 16 times the resolution, averaged."""
    star = np.array(
        [(np.cos(a) * r, np.sin(a) * r) for a, r in zip(np.arange(10) * np.pi / 5, [0.3, 0.12] * 5, strict=True)]
    )
    picture = Image.new("L", (2048, 2048))
    ImageDraw.Draw(picture).polygon([tuple(p) for p in canvas.pixels(star) * 16 - 0.5], fill=1)
    fine = np.asarray(picture, np.float64).reshape(128, 16, 128, 16).mean((1, 3))
    drawn = canvas.coverage(star)
    assert np.abs(drawn - fine).max() < 0.1
    assert np.abs(drawn - fine).mean() < 2e-3
    assert drawn.sum() == pytest.approx(fine.sum(), rel=5e-3)


def test_coverage_outside_the_picture(canvas: Canvas) -> None:
    assert canvas.coverage(circle(0.1, (3.0, 0.0))).max() < 0.01
    assert not canvas.coverage(circle(0.1, (0.0, 3.0))).any()
    assert canvas.coverage(circle(5.0)).min() > 0.99


def loose(x: np.ndarray, y: np.ndarray, volume: np.ndarray) -> Band:
    """Single grains."""
    return Band(np.stack([x, y], 1), np.zeros((len(x), 2)), volume, 1, even)


def test_splat_keeps_mass(canvas: Canvas) -> None:
    rng = np.random.default_rng(0)
    x, y, volume = (rng.uniform(low, high, 5000) for low, high in ((-0.3, 0.3), (-0.3, 0.3), (0, 1)))
    assert canvas.splat(loose(x, y, volume)).sum() * canvas.pixel**2 == pytest.approx(volume.sum(), rel=1e-4)


def test_splat_agrees_with_a_histogram(canvas: Canvas) -> None:
    """NumPy's 2-D histogram of half pixels, shared among pixels; half of the grains lie outside the picture."""
    rng = np.random.default_rng(3)
    x, y, volume = rng.uniform(-0.9, 0.9, 20000), rng.uniform(-0.9, 0.9, 20000), rng.uniform(0, 1, 20000)
    places = canvas.pixels(np.stack([x, y], 1))
    edges = np.arange(-2, 2 * 128 + 3) / 2
    fine, _, _ = np.histogram2d(places[:, 1], places[:, 0], bins=(edges, edges), weights=volume)
    rows = sum(share * fine[1 + i : 257 + i : 2] for i, share in enumerate((0.25, 0.75, 0.75, 0.25)))
    shared = sum(share * rows[:, 1 + i : 257 + i : 2] for i, share in enumerate((0.25, 0.75, 0.75, 0.25)))
    expected = shared / canvas.pixel**2
    drawn = canvas.splat(loose(x, y, volume))
    # Rounding may put a grain beside its border: few pixels differ, by little.
    assert np.quantile(np.abs(drawn - expected), 0.999) < 1e-4 * expected.max()
    assert np.abs(drawn - expected).mean() < 1e-5 * expected.mean()


def test_part_of_a_splat_is_all_of_it(canvas: Canvas) -> None:
    tube = canvas.tube(np.array([(-0.7, -0.1), (0.1, 0.2)]), 0.03)  # begins beyond the picture's edge
    where, part = canvas.splat_part(tube)
    drawn = canvas.splat(tube)
    assert np.array_equal(drawn[where], part)
    assert drawn.sum() == pytest.approx(part.sum())
    assert 0 < part.size < 0.5 * drawn.size
    assert canvas.splat(tube.times(3.0)) == pytest.approx(3 * drawn, rel=1e-5)


def test_splat_outside_the_picture_draws_nothing(canvas: Canvas) -> None:
    far = np.full(10, 4.0)
    for x, y in ((far, far), (-far, 0 * far), (0 * far, -far)):
        assert not canvas.splat(loose(x, y, far)).any()


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.47, -0.3), (3.0, 0.0)])
def test_sphere_is_cut_off_by_nothing_but_the_picture(canvas: Canvas, centre: tuple[float, float]) -> None:
    whole = np.sqrt(np.clip(1 - canvas.disc(centre, (0.11, 0.07), 0.7), 0, None))
    assert np.array_equal(canvas.sphere(centre, (0.11, 0.07), 0.7), whole)


def test_tube_is_as_thick_as_a_tube(canvas: Canvas) -> None:
    """A straight tube of radius r: the path through its axis is 2 r, its volume pi r^2 l, and nothing lies beyond r."""
    radius = 0.06
    drawn = canvas.splat(canvas.tube(np.array([(-0.2, 0.0), (0.2, 0.0)]), radius))
    axis = (np.abs(canvas.y) < 0.3 * canvas.pixel) & (np.abs(canvas.x) < 0.12)
    assert drawn[axis].mean() == pytest.approx(2 * radius, rel=0.04)
    assert drawn.sum() * canvas.pixel**2 == pytest.approx(np.pi * radius**2 * 0.4, rel=0.01)
    assert drawn[np.abs(canvas.y) > radius + 2 * canvas.pixel].max() == 0


@pytest.mark.parametrize("width", [0.4, 0.65, 1.0, 2.0, 3.5, 9.0, 40.0])
def test_blur_agrees_with_scipy(canvas: Canvas, width: float) -> None:
    """Within the steps of 6 percent in which widths are taken."""
    picture = gaussian_filter(np.random.default_rng(1).normal(size=(128, 128)), 1.5).astype(np.float32)
    expected = gaussian_filter(picture, width, mode="nearest", truncate=6)
    assert np.abs(canvas.blur(picture, width * canvas.pixel) - expected).max() < 0.04 * np.abs(picture).max()


def test_noise_has_unit_variance_and_its_scale(canvas: Canvas) -> None:
    fine, coarse = (canvas.noise(np.random.default_rng(2), scale) for scale in (0.012, 0.1))
    assert fine.std() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(coarse[:, 1:].ravel(), coarse[:, :-1].ravel())[0, 1] > 0.97
    assert np.corrcoef(fine[:, 8:].ravel(), fine[:, :-8].ravel())[0, 1] < 0.2


def test_spline_goes_through_its_points() -> None:
    points = circle(1.0, count=12)
    assert np.allclose(smooth_closed(points, 4)[::4], points)
    assert np.allclose(np.hypot(*smooth_closed(points, 4).T), 1, atol=0.01)
