"""The shapes of lungs and heart: a mean and its modes, learnt from contours of real chests.

A contour set is 120 landmarks (x, y): the right lung (44), the left lung (50) and the heart (26), right and left being
the patient's. Shapes are brought together by similarity transforms found from the LUNGS alone (Procrustes), so that
the same model also answers where the heart lies when only the lungs are known: under the Gaussian x = mean + P b + e,
with b ~ N(0, diag(variances)) and e ~ N(0, noise), the mean of b given the lungs is a linear function of them
(Tipping and Bishop, Probabilistic Principal Component Analysis, equation 9, restricted to the rows of the lungs).

    python -m training.phantoms.shape_model CONTOURS.npz OUT.npz      builds the file that ships with the package
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.errors import bad

__all__ = [
    "HEART",
    "LEFT_LUNG",
    "LUNGS",
    "POINTS",
    "RIGHT_LUNG",
    "ShapeModel",
    "Similarity",
    "build",
    "heart_given_lungs",
    "load",
    "save",
]

Points = npt.NDArray[np.float64]

POINTS = 120
RIGHT_LUNG, LEFT_LUNG, HEART = slice(0, 44), slice(44, 94), slice(94, 120)
LUNGS = slice(0, 94)
FRAME = 1024.0
"""Side of the frame in which the contours were drawn; the model's unit is this side."""

SHIPPED = Path(__file__).with_name("shape_model.npz")
_MODES = 18
_LIMIT_QUANTILE = 0.98
_CORRELATED = 30.0
"""What the modes leave over errs together along a contour, so the 188 coordinates of the lungs count as few: the noise
is taken that much larger when the heart is inferred. Leave-one-out chose it: mean error 18.7 px of 1024 for anything
from 15 to 55, against 27.7 for 1 (the plain equation) and 29.9 for the mean heart."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """points -> scale * points @ rotation + shift; the rotation is a 2 x 2 matrix of determinant 1."""

    scale: float
    rotation: Points
    shift: Points

    def apply(self, points: Points) -> Points:
        """The points (N, 2) moved."""
        return self.scale * points @ self.rotation + self.shift

    def undo(self, points: Points) -> Points:
        """The points (N, 2) moved back."""
        return (points - self.shift) @ self.rotation.T / self.scale


def similarity_between(source: Points, target: Points) -> Similarity:
    """The similarity that brings source (N, 2) nearest to target in least squares, without mirroring."""
    centre_s, centre_t = source.mean(0), target.mean(0)
    a, b = source - centre_s, target - centre_t
    u, stretch, vt = np.linalg.svd(a.T @ b)
    flip = np.sign(np.linalg.det(u @ vt))
    rotation = u @ np.diag([1.0, flip]) @ vt
    scale = float((stretch * [1.0, flip]).sum() / (a**2).sum())
    return Similarity(scale, rotation, centre_t - scale * centre_s @ rotation)


@dataclass(frozen=True, slots=True, eq=False)
class ShapeModel:
    """Mean (120, 2), modes (K, 120, 2) of unit length, their variances (K,), and the variance left over per coordinate.

    The unit is the side of the frame; the origin is the centroid of the lungs' landmarks, y points down. `limit` is the
    largest Mahalanobis length of the mode weights that still counts as a plausible chest; `pose_spread` holds the
    standard deviations of log scale, angle (radians), and shift in x and y over the contours that it was learnt from.
    """

    mean: Points
    modes: Points
    variances: Points
    noise: float
    limit: float
    pose_spread: Points

    def weights(self, shape: Points) -> Points:
        """Mode weights (K,) of an aligned shape (120, 2), unlimited."""
        return np.tensordot(self.modes, shape - self.mean, axes=([1, 2], [0, 1]))

    def shape(self, weights: Points) -> Points:
        """The shape (120, 2) that the mode weights (K,) stand for."""
        return self.mean + np.tensordot(weights, self.modes, axes=1)

    def mahalanobis(self, weights: Points) -> float:
        """Length of the weights in standard deviations."""
        return float(np.sqrt((weights**2 / self.variances).sum()))

    def plausible(self, weights: Points) -> Points:
        """The weights, shortened to the limit where they are longer."""
        return weights * min(1.0, self.limit / max(self.mahalanobis(weights), 1e-12))

    def sample(self, rng: np.random.Generator, *, spread: float = 1.0) -> Points:
        """A plausible aligned shape (120, 2); `spread` scales the standard deviations."""
        drawn = rng.standard_normal(len(self.variances)) * np.sqrt(self.variances) * spread
        return self.shape(self.plausible(drawn))

    def align(self, shape: Points) -> Similarity:
        """The similarity that brings lungs (94, 2), or lungs and heart (120, 2), of any frame into the model's."""
        return similarity_between(np.asarray(shape, np.float64)[LUNGS], self.mean[LUNGS])

    def heart_given_lungs(self, lungs: Points) -> Points:
        """The expected heart contour (26, 2) given the lungs' landmarks (94, 2), in the frame of the lungs."""
        pose = self.align(lungs)
        known = (pose.apply(np.asarray(lungs, np.float64)) - self.mean[LUNGS]).ravel()
        basis = self.modes[:, LUNGS].reshape(len(self.modes), -1)
        precision = basis @ basis.T + np.diag(_CORRELATED * self.noise / self.variances)
        weights = self.plausible(np.linalg.solve(precision, basis @ known))
        return pose.undo(self.shape(weights)[HEART])


def build(contours: Points, *, modes: int = _MODES) -> ShapeModel:
    """Learn the model.

    Args:
        contours: (N, 120, 2) landmarks in a frame of 1024 x 1024, N well above `modes`.
        modes: how many modes are kept.

    Raises:
        UsageError: BAD_ARGUMENT: the array is not of that shape, or holds fewer contours than modes + 2.
    """
    if contours.ndim != 3 or contours.shape[1:] != (POINTS, 2) or len(contours) < modes + 2:
        raise bad(f"contours of shape {contours.shape}: need (N, {POINTS}, 2) with N >= {modes + 2}")
    shapes = contours.astype(np.float64) / FRAME
    aligned, poses = _procrustes(shapes)
    mean = aligned.mean(0)
    flat = (aligned - mean).reshape(len(aligned), -1)
    _, singular, vectors = np.linalg.svd(flat, full_matrices=False)
    spectrum = singular**2 / (len(flat) - 1)
    left = flat.shape[1] - modes
    lengths = np.sqrt(((flat @ vectors[:modes].T) ** 2 / spectrum[:modes]).sum(1))
    return ShapeModel(
        mean=mean,
        modes=vectors[:modes].reshape(modes, POINTS, 2),
        variances=spectrum[:modes],
        noise=float(spectrum[modes:].sum() / left),
        limit=float(np.quantile(lengths, _LIMIT_QUANTILE)),
        pose_spread=_pose_spread(poses, shapes),
    )


def _procrustes(shapes: Points, rounds: int = 4) -> tuple[Points, list[Similarity]]:
    """Generalised Procrustes analysis on the lungs: upright, and of the shapes' mean size."""
    target = shapes[0, LUNGS] - shapes[0, LUNGS].mean(0)
    size = np.mean([np.linalg.norm(s[LUNGS] - s[LUNGS].mean(0)) for s in shapes])
    upright = shapes[:, LUNGS].mean(0)
    for _ in range(rounds):
        moved = np.mean([similarity_between(s[LUNGS], target).apply(s)[LUNGS] for s in shapes], axis=0)
        turned = similarity_between(moved, upright - upright.mean(0)).apply(moved)
        target = (turned - turned.mean(0)) * (size / np.linalg.norm(turned - turned.mean(0)))
    poses = [similarity_between(s[LUNGS], target) for s in shapes]
    return np.stack([pose.apply(s) for pose, s in zip(poses, shapes, strict=True)]), poses


def _pose_spread(poses: list[Similarity], shapes: Points) -> Points:
    scale = np.std([np.log(pose.scale) for pose in poses])
    angle = np.std([np.arctan2(pose.rotation[0, 1], pose.rotation[0, 0]) for pose in poses])
    shift = np.std(shapes[:, LUNGS].mean(1), axis=0)
    return np.array([scale, angle, *shift])


def save(model: ShapeModel, path: Path) -> None:
    """Write the model as an npz of float32 arrays."""
    arrays = {name: np.asarray(getattr(model, name), np.float32) for name in ShapeModel.__dataclass_fields__}
    np.savez_compressed(path, **arrays)


@cache
def load(path: Path = SHIPPED) -> ShapeModel:
    """Read a model; by default the one that ships with the package."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: np.asarray(file[name], np.float64) for name in ShapeModel.__dataclass_fields__}
    arrays["noise"], arrays["limit"] = float(arrays["noise"]), float(arrays["limit"])
    return ShapeModel(**arrays)


def heart_given_lungs(lungs: Points) -> Points:
    """The expected heart contour (26, 2) given both lungs' landmarks (94, 2): right 44, then left 50, in any frame.

    The landmarks run as in the contours that the model was learnt from: from the apex down the outer border to the
    costophrenic angle, along the diaphragm, and up the inner border.
    """
    return load().heart_given_lungs(lungs)


def main() -> None:
    """Build the model from a file of contours."""
    parser = argparse.ArgumentParser(description="Build the shape model of lungs and heart.")
    parser.add_argument("contours", type=Path, help="npz with `points` (N, 120, 2) in a 1024 frame")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    with np.load(arguments.contours, allow_pickle=False) as file:
        save(build(file["points"]), arguments.out)


if __name__ == "__main__":
    main()
