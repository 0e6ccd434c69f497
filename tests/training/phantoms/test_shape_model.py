"""The shape model: what it rebuilds, what it calls plausible, and how well it guesses hearts that it has not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.spatial import procrustes

from cxredge.errors import UsageError
from training.phantoms import heart_given_lungs
from training.phantoms.anatomy import cardiothoracic_ratio, draw_contours, set_ratio
from training.phantoms.shape_model import (
    FRAME,
    HEART,
    LEFT_LUNG,
    LUNGS,
    RIGHT_LUNG,
    build,
    load,
    save,
    similarity_between,
)


@pytest.fixture(scope="module")
def contours(shared_data: Path) -> np.ndarray:
    with np.load(shared_data / "shapes" / "lungs_heart_contours.npz", allow_pickle=False) as file:
        return file["points"].astype(np.float64)


def filled(contour: np.ndarray, size: int = 512) -> np.ndarray:
    picture = Image.new("1", (size, size))
    ImageDraw.Draw(picture).polygon([(x * size / FRAME, y * size / FRAME) for x, y in contour], fill=1)
    return np.asarray(picture)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_similarity_agrees_with_scipy() -> None:
    """scipy's Procrustes leaves the same distance between the shapes (it normalises both)."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(40, 2))
    b = a @ np.array([[0.8, 0.6], [-0.6, 0.8]]) * 3 + [5, -2] + 0.05 * rng.normal(size=(40, 2))
    moved = similarity_between(a, b).apply(a)
    scale = np.linalg.norm(b - b.mean(0))
    assert (((moved - b) / scale) ** 2).sum() == pytest.approx(procrustes(b, a)[2], rel=1e-9)


def test_similarity_never_mirrors() -> None:
    a = np.random.default_rng(1).normal(size=(30, 2))
    pose = similarity_between(a, a * [-1, 1])
    assert np.linalg.det(pose.rotation) == pytest.approx(1.0)
    assert np.allclose(pose.undo(pose.apply(a)), a)


def test_shipped_model_is_the_one_of_the_contours(contours: np.ndarray, tmp_path: Path) -> None:
    save(build(contours), tmp_path / "again.npz")
    again, shipped = load(tmp_path / "again.npz"), load()
    assert np.allclose(again.mean, shipped.mean, atol=1e-5)
    assert np.allclose(again.variances, shipped.variances, rtol=1e-3)


def test_reconstruction(contours: np.ndarray) -> None:
    """Contours that took no part in learning come back within a hundredth of the frame."""
    model = build(contours[::2])
    errors = []
    for shape in contours[1::2]:
        pose = model.align(shape)
        back = pose.undo(model.shape(model.plausible(model.weights(pose.apply(shape)))))
        errors.append(np.linalg.norm(back - shape, axis=1).mean())
    assert np.mean(errors) < 0.01 * FRAME


def test_heart_of_unseen_patients(contours: np.ndarray) -> None:
    """Leave-one-out on every third: the guess overlaps the drawn heart, and is clearly better than the mean heart."""
    errors, plain, overlaps = [], [], []
    for i in range(0, len(contours), 3):
        shape, model = contours[i], build(np.delete(contours, i, axis=0))
        guess = model.heart_given_lungs(shape[LUNGS])
        errors.append(np.linalg.norm(guess - shape[HEART], axis=1).mean())
        plain.append(np.linalg.norm(model.align(shape).undo(model.mean[HEART]) - shape[HEART], axis=1).mean())
        overlaps.append(dice(filled(guess), filled(shape[HEART])))
    assert np.mean(errors) < 20 < 28 < np.mean(plain)
    assert np.mean(overlaps) > 0.92


def test_heart_follows_the_frame_of_the_lungs() -> None:
    lungs = load().mean[LUNGS]
    turn = np.array([[np.cos(0.2), np.sin(0.2)], [-np.sin(0.2), np.cos(0.2)]])
    here, there = heart_given_lungs(lungs), heart_given_lungs(lungs @ turn * 700 + [300, 400])
    assert np.allclose(here @ turn * 700 + [300, 400], there, atol=1e-6)


def test_samples_are_plausible_chests() -> None:
    model = load()
    for seed in range(40):
        shape = model.sample(np.random.default_rng(seed), spread=3.0)
        assert model.mahalanobis(model.weights(shape)) <= model.limit * (1 + 1e-4)  # kept in single precision
        assert shape[RIGHT_LUNG, 0].max() < shape[LEFT_LUNG, 0].max()
        assert shape[HEART, 1].mean() > shape[LUNGS, 1].mean()


def test_ratio_is_set_and_normal_hearts_are_normal() -> None:
    for seed in range(20):
        shape = draw_contours(np.random.default_rng(seed))
        assert cardiothoracic_ratio(shape) <= 0.5
        assert cardiothoracic_ratio(set_ratio(shape, 0.62)) == pytest.approx(0.62, abs=0.02)


@pytest.mark.parametrize("shape", [(5, 120, 2), (60, 94, 2), (60, 120)])
def test_unusable_contours_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="contours of shape"):
        build(np.zeros(shape))
