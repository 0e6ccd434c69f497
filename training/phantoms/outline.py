"""Landmarks for lungs that are only known as masks, and the heart guessed from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.errors import bad
from training.phantoms.shape_model import LEFT_LUNG, LUNGS, RIGHT_LUNG, Points, ShapeModel, load, similarity_between

__all__ = ["heart_given_masks", "lung_landmarks"]

Mask = npt.NDArray[np.bool_]

_ROUNDS = 40
_SMALLEST = 50


def lung_landmarks(left: Mask, right: Mask, *, model: ShapeModel | None = None) -> Points:
    """The landmarks (94, 2) of both lungs, right first, in pixels (x, y; the first pixel's centre is at 0.5).

    The model's lungs are moved and bent, within what is plausible, until their landmarks lie on the masks' outlines:
    each round takes the nearest places of the outlines to the landmarks, and of the landmarks to the outlines.

    Args:
        left: the patient's left lung (H, W), which lies on the image's right.
        right: the other one.
        model: another model than the shipped one.

    Raises:
        UsageError: BAD_ARGUMENT: a mask is empty or tiny, or the masks differ in shape.
    """
    if left.shape != right.shape or left.ndim != 2 or min(left.sum(), right.sum()) < _SMALLEST:
        raise bad(f"lungs of shapes {left.shape} and {right.shape}: need two masks of one shape, none of them tiny")
    model = model or load()
    parts = ((RIGHT_LUNG, _outline(right)), (LEFT_LUNG, _outline(left)))
    basis = model.modes[:, LUNGS].reshape(len(model.modes), -1)
    weights = np.zeros(len(model.variances))
    target = _box_start(model, np.concatenate([outline for _, outline in parts]))
    for step in range(_ROUNDS):
        pose = model.align(target)
        off = (pose.apply(target) - model.mean[LUNGS]).ravel()
        # Stiff at first, so that the landmarks find their part of the outline; then as supple as the data allow.
        stiff = 30.0 * 0.8**step + 0.5
        weights = np.linalg.solve(basis @ basis.T + np.diag(stiff * model.noise / model.variances), basis @ off)
        placed = pose.undo(model.shape(model.plausible(weights))[LUNGS])
        target = np.concatenate([_pulled(placed[part], outline) for part, outline in parts])
    return placed


def heart_given_masks(left: Mask, right: Mask) -> Points:
    """The expected heart contour (26, 2) in pixels, given the lungs' masks; see `lung_landmarks`."""
    return load().heart_given_lungs(lung_landmarks(left, right))


def _outline(mask: Mask) -> Points:
    """Centres of the pixels at the mask's border (N, 2)."""
    padded = np.pad(mask, 1)
    inner = padded[1:-1, :-2] & padded[1:-1, 2:] & padded[:-2, 1:-1] & padded[2:, 1:-1]
    rows, columns = np.nonzero(mask & ~inner)
    return np.stack([columns, rows], 1) + 0.5


def _box_start(model: ShapeModel, outline: Points) -> Points:
    """The mean lungs, stretched to the outlines' bounding box."""
    mean = model.mean[LUNGS]
    stretch = np.ptp(outline, axis=0) / np.ptp(mean, axis=0)
    start: Points = (mean - mean.min(0)) * stretch + outline.min(0)
    return similarity_between(mean, start).apply(mean)


def _pulled(landmarks: Points, outline: Points) -> Points:
    """Where each landmark is drawn to: its nearest place of the outline, and the places that are nearest to it."""
    from scipy.spatial import cKDTree

    _, nearest = cKDTree(outline).query(landmarks)
    _, owner = cKDTree(landmarks).query(outline)
    count = np.bincount(owner, minlength=len(landmarks))[:, None]
    drawn = np.stack([np.bincount(owner, outline[:, i], len(landmarks)) for i in (0, 1)], 1)
    pulled: Points = (outline[nearest] + drawn) / (1 + count)
    return pulled
