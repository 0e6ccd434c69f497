"""Lungs that are only masks get landmarks, and a heart that lies between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cxredge.errors import UsageError
from training.phantoms import generate, heart_given_masks, lung_landmarks
from training.phantoms.shape_model import FRAME, HEART, LEFT_LUNG, LUNGS, RIGHT_LUNG, build


def filled(contour: np.ndarray, size: int) -> np.ndarray:
    picture = Image.new("1", (size, size))
    ImageDraw.Draw(picture).polygon([tuple(point) for point in contour], fill=1)
    return np.asarray(picture)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_landmarks_outline_the_lungs() -> None:
    for seed in range(6):
        left, right, _ = generate(seed, size=256, findings={}).masks
        found = lung_landmarks(left, right)
        assert found.shape == (94, 2)
        assert dice(filled(found[RIGHT_LUNG], 256), right) > 0.93
        assert dice(filled(found[LEFT_LUNG], 256), left) > 0.93


def test_heart_from_masks_of_phantoms() -> None:
    overlaps = []
    for seed in range(10):
        left, right, heart = generate(seed, size=256, findings={}).masks
        overlaps.append(dice(filled(heart_given_masks(left, right), 256), heart))
    assert np.mean(overlaps) > 0.85


def test_heart_from_masks_of_real_contours(shared_data: Path) -> None:
    """Patients that the model has not seen; every sixth, since each needs a model of its own."""
    with np.load(shared_data / "shapes" / "lungs_heart_contours.npz", allow_pickle=False) as file:
        contours = file["points"].astype(np.float64)
    overlaps = []
    for i in range(0, len(contours), 6):
        model, shape = build(np.delete(contours, i, axis=0)), contours[i] * 512 / FRAME
        found = lung_landmarks(filled(shape[LEFT_LUNG], 512), filled(shape[RIGHT_LUNG], 512), model=model)
        assert np.linalg.norm(found - shape[LUNGS], axis=1).mean() < 0.03 * 512
        overlaps.append(dice(filled(model.heart_given_lungs(found), 512), filled(shape[HEART], 512)))
    assert np.mean(overlaps) > 0.88


@pytest.mark.parametrize("shapes", [((64, 64), (32, 64)), ((64,), (64,))])
def test_unusable_masks_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(UsageError, match="two masks of one shape"):
        lung_landmarks(np.ones(shapes[0], bool), np.ones(shapes[1], bool))


def test_an_empty_lung_is_refused() -> None:
    with pytest.raises(UsageError, match="tiny"):
        lung_landmarks(np.zeros((64, 64), bool), np.ones((64, 64), bool))
