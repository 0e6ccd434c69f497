"""How a picture may reach the gate: exposed, windowed, cut, framed and placed in many ways; inverted; turned.

Broad on purpose, so that no real chest of another hospital is refused for its grey values, its borders or its place in
the field. A mirror image is no matter of the gate: it occurs, and changes no answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFilter
from torch.nn.functional import affine_grid, grid_sample

__all__ = ["Pose", "draw_pose", "plain_view", "varied_view"]

Plane = npt.NDArray[np.float32]

BLACK = 0.03
"""Rows and columns that stay below this all along are a border, not a picture."""
LEAST_PART = 0.3
"""A picture is never trimmed to less than this share of the field's side: that would be a dark picture, no border."""


@dataclass(frozen=True, slots=True)
class Pose:
    """What the gate is asked about.

    Attributes:
        inverted: black and white are exchanged.
        quarters: quarter turns, 0 to 3.
    """

    inverted: bool = False
    quarters: int = 0


def draw_pose(rng: np.random.Generator, *, upright: float) -> Pose:
    """Upright as often as that; else inverted, turned, or both, equally often."""
    kind, quarters = rng.random(), int(rng.integers(1, 4))
    if kind < upright:
        return Pose()
    which = min(2, int((kind - upright) / (1 - upright) * 3))
    return Pose(which != 1, quarters if which != 0 else 0)


def plain_view(plane: Plane, pose: Pose) -> Plane:
    """The picture as it is, inverted and turned as the pose says. A black border stays black when it is inverted."""
    view = plane
    if pose.inverted:
        down, across = _content(plane)
        view = plane.copy()
        view[down, across] = 1 - view[down, across]
    return np.ascontiguousarray(np.rot90(view, pose.quarters))


def varied_view(rng: np.random.Generator, plane: Plane, pose: Pose) -> Plane:
    """The picture in a drawn way, then inverted and turned as the pose says.

    Args:
        rng: the view depends on it alone.
        plane: [side, side], 0..1; black borders around the picture are taken off first.
        pose: how it comes to lie.
    """
    down, across = _content(plane)
    picture = _detailed(rng, _exposed(rng, plane[down, across]))
    picture = _marked(rng, _coned(rng, picture))
    if rng.random() < 0.15:
        picture = picture[:, ::-1]
    if pose.inverted:
        picture = 1 - picture
    ground = _ground(rng, pose.inverted)
    placed = _placed(rng, np.ascontiguousarray(picture), len(plane), ground)
    return np.ascontiguousarray(np.rot90(placed, pose.quarters))


def _content(plane: Plane) -> tuple[slice, slice]:
    """Rows and columns of the picture without the black borders around it."""
    found = []
    for axis in (1, 0):
        lit = np.flatnonzero(plane.max(axis) > BLACK)
        if len(lit) < LEAST_PART * len(plane):
            return slice(None), slice(None)
        found.append(slice(int(lit[0]), int(lit[-1]) + 1))
    return found[0], found[1]


def _exposed(rng: np.random.Generator, picture: Plane) -> Plane:
    """Another curve, another window, uneven light."""
    out = picture
    if rng.random() < 0.7:
        out = np.clip(out, 0, 1) ** np.float32(math.exp(rng.uniform(-0.7, 0.7)))
    if rng.random() < 0.6:
        low, high = rng.uniform(-0.3, 0.2), rng.uniform(0.75, 1.4)
        out = np.clip((out - np.float32(low)) / np.float32(high - low), 0, 1)
    if rng.random() < 0.25:  # an S-shaped curve, as films and sigmoid windows have
        steep = rng.uniform(3, 9)
        middle = float(np.median(out)) + rng.normal(0, 0.08)
        out = 1 / (1 + np.exp(np.float32(-steep) * (out - np.float32(middle))))
    if rng.random() < 0.25:
        rows, columns = (np.linspace(-1, 1, count, dtype=np.float32) for count in out.shape)
        light = 1 + np.float32(rng.normal(0, 0.15)) * rows[:, None] + np.float32(rng.normal(0, 0.15)) * columns
        out = np.clip(out * light, 0, 1)
    return np.asarray(out, np.float32)


def _detailed(rng: np.random.Generator, picture: Plane) -> Plane:
    """Softer, sharper, noisier."""
    out = picture
    kind = rng.random()
    if kind < 0.5:
        soft = _blurred(picture, rng.uniform(0.4, 2.0) if kind < 0.3 else rng.uniform(1.0, 8.0))
        out = soft if kind < 0.3 else picture + np.float32(rng.uniform(0.2, 1.2)) * (picture - soft)
    if rng.random() < 0.4:
        out = out + np.float32(rng.uniform(0, 0.06)) * rng.standard_normal(out.shape, dtype=np.float32)
    return np.clip(out, 0, 1).astype(np.float32)


def _blurred(picture: Plane, radius: float) -> Plane:
    """Pillow blurs 8 bits only; that is fine enough for what is noisy anyway."""
    grey = Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    return np.asarray(grey.filter(ImageFilter.GaussianBlur(radius)), np.float32) / np.float32(255)


def _coned(rng: np.random.Generator, picture: Plane) -> Plane:
    """The collimator's edges: black, seldom white, on any side."""
    if rng.random() > 0.3:
        return picture
    out = picture.copy()
    value = np.float32(rng.random() < 0.2)
    rows, columns = out.shape
    top, bottom, left, right = rng.uniform(0, 0.1, 4) * (rng.random(4) < 0.5)
    out[: int(top * rows)] = value
    out[rows - int(bottom * rows) :] = value
    out[:, : int(left * columns)] = value
    out[:, columns - int(right * columns) :] = value
    return out


def _marked(rng: np.random.Generator, picture: Plane) -> Plane:
    """A letter of the side, burnt-in words, a corner covered: flat boxes near the edges, white or black."""
    if rng.random() > 0.35:
        return picture
    out = picture.copy()
    rows, columns = out.shape
    for _ in range(int(rng.integers(1, 4))):
        high, wide = max(1, int(rows * rng.uniform(0.01, 0.07))), max(1, int(columns * rng.uniform(0.01, 0.15)))
        row = int((rows - high) * rng.choice([rng.uniform(0, 0.12), rng.uniform(0.88, 1)]))
        column = int((columns - wide) * rng.choice([rng.uniform(0, 0.15), rng.uniform(0.85, 1)]))
        out[row : row + high, column : column + wide] = rng.choice([0.0, 1.0, 1.0])
    return out


def _ground(rng: np.random.Generator, inverted: bool) -> float:
    """What lies around the picture: black, as the runtime pads; white where a border was in the pixels themselves."""
    return float(rng.random() < (0.3 if inverted else 0.06))


def _placed(rng: np.random.Generator, picture: Plane, side: int, ground: float) -> Plane:
    """The picture in the field: turned by up to 15 degrees, nearer or further, its shape a little changed, moved.

    What is smaller than the field may lie at any side of it, so that bars of any width stand on any side.
    """
    rows, columns = picture.shape
    fitting = np.array([columns, rows]) / max(rows, columns)
    size = fitting * math.exp(rng.uniform(math.log(0.62), math.log(1.35)))
    if rng.random() < 0.4:
        size = fitting.copy()  # as the runtime fits a whole image
    size *= np.exp(rng.uniform(-0.1, 0.1, 2) * (rng.random() < 0.6))
    angle = math.radians(rng.uniform(-15, 15)) if rng.random() < 0.6 else 0.0
    room = np.where(size < 1, 1 - size, 0.35 * (size - 1))
    centre = rng.uniform(-1, 1, 2) * room
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]]) / size[:, None]
    theta = torch.from_numpy(np.column_stack([turn, -turn @ centre]).astype(np.float32))
    grid = affine_grid(theta[None], [1, 1, side, side], align_corners=False)
    source = torch.from_numpy(picture - np.float32(ground))[None, None]
    found = grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0, 0].numpy()
    return np.clip(found + np.float32(ground), 0, 1).astype(np.float32)
