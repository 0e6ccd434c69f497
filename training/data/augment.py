"""Augmentation: one random crop, turn, flip and contrast, drawn from a seed and applied to image and masks alike.

Everything that moves pixels is one affine map, sampled once: nothing is blurred by being resampled twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from training.errors import bad

__all__ = ["Augment", "Drawn", "apply", "moved"]

_TRIES = 10
_FAR = 4.0  # times the field's area: beyond that a chest is a dot


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn for one image.

    Attributes:
        box: top, left, height, width of the crop in pixels of the field.
        flip: whether left and right are exchanged.
        angle: degrees that the picture turns, counterclockwise.
        contrast: what distances to the mean grey value are multiplied by.
        gamma: the exponent of grey values.
    """

    box: tuple[int, int, int, int]
    flip: bool = False
    angle: float = 0.0
    contrast: float = 1.0
    gamma: float = 1.0


@dataclass(frozen=True, slots=True)
class Augment:
    """What is drawn, and how widely.

    Attributes:
        size: rows and columns that come out; None is the field's size.
        scale: the crop's share of the field's area, from and to; above 1 the field is seen from further away, with 0
            around it. None: the crop has `size` pixels and is only moved.
        ratio: the crop's width over its height, from and to; only with `scale`.
        flip: how likely left and right are exchanged. The masks of the lungs are exchanged too, so that left stays the
            patient's left by the picture. A flipped heart lies on the wrong side of the chest: the papers flip all the
            same; set 0 where the side of the heart matters.
        rotate: the largest angle in degrees, either way; what comes from outside the field is 0.
        contrast: the largest relative change of contrast, either way; values stay in 0..1.
        gamma: the exponent of grey values lies between 1 / (1 + gamma) and 1 + gamma: as display curves differ.
    """

    size: tuple[int, int] | None = None
    scale: tuple[float, float] | None = None
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.0
    rotate: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0

    def __post_init__(self) -> None:
        """Refuse ranges that cannot be drawn from."""
        if self.size is not None and min(self.size) < 1:
            raise bad(f"an image of {self.size[0]} x {self.size[1]}")
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1] <= _FAR:
            raise bad(f"the crop's share of the area goes from above 0 to at most {_FAR:g}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise bad("the crop's width over height goes from above 0 upward")
        if not (0 <= self.flip <= 1 and 0 <= self.rotate <= 180 and 0 <= self.contrast < 1 and self.gamma >= 0):
            raise bad("flip is in 0..1, rotate in 0..180, contrast in 0..1, gamma is not negative")

    def draw(self, rng: np.random.Generator, rows: int, columns: int) -> Drawn:
        """Draw for one field of `rows` x `columns`. The same numbers are taken from `rng` whatever is switched on."""
        height, width = self._crop(rng, rows, columns)
        top, left = _place(rng, rows - height), _place(rng, columns - width)
        flip, angle, contrast, gamma = rng.random(), rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-1, 1)
        return Drawn(
            (top, left, height, width),
            bool(flip < self.flip),
            float(angle * self.rotate),
            float(1 + contrast * self.contrast),
            (1 + self.gamma) ** float(gamma),
        )

    def _crop(self, rng: np.random.Generator, rows: int, columns: int) -> tuple[int, int]:
        if self.scale is None:
            height, width = self.size or (rows, columns)
            if height > rows or width > columns:
                raise bad(f"a crop of {height} x {width} does not fit into a field of {rows} x {columns}")
            return height, width
        ends = (math.log(self.ratio[0]), math.log(self.ratio[1]))
        for _ in range(_TRIES):
            area, ratio = rng.uniform(*self.scale) * rows * columns, math.exp(rng.uniform(*ends))
            height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            inside = height <= rows and width <= columns
            around = height >= rows and width >= columns
            if min(height, width) > 0 and (inside or around):
                return height, width
        side = math.sqrt(min(1.0, self.scale[1]))  # the largest crop of the field's own shape always fits
        return max(1, int(rows * side)), max(1, int(columns * side))


def _place(rng: np.random.Generator, room: int) -> int:
    """Where a crop begins, that leaves so much room in the field, or juts out by so much if that is negative."""
    return int(rng.integers(min(0, room), max(0, room) + 1))


def apply(
    drawn: Drawn, image: Tensor, masks: Tensor, known: Tensor, *, size: tuple[int, int], masks_size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Apply what was drawn.

    Args:
        drawn: from `Augment.draw`.
        image: [1, H, W] in 0..1.
        masks: [3, h, w] over the same field: left lung, right lung, heart.
        known: [3] bool, which masks are known.
        size: rows and columns of the image that comes out.
        masks_size: rows and columns of the masks that come out.

    Returns:
        Image, masks and known, moved alike; a flip exchanges the lungs' masks.
    """
    theta = _theta(drawn, *image.shape[-2:])
    picture = _sampled(image, theta, size)
    if drawn.gamma != 1.0:
        picture = picture.clamp_(0.0, 1.0) ** drawn.gamma
    if drawn.contrast != 1.0:
        mean = picture.mean()
        picture = ((picture - mean) * drawn.contrast + mean).clamp_(0.0, 1.0)
    outlines = _sampled(masks, theta, masks_size)
    if drawn.flip:
        order = torch.tensor([1, 0, 2])
        outlines, known = outlines[order], known[order]
    return picture, outlines, known


def moved(drawn: Drawn, planes: Tensor, field: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Planes [C, h, w] over the field, moved as `apply` moves the image, on a grid of `size`."""
    return _sampled(planes, _theta(drawn, *field), size)


def _theta(drawn: Drawn, rows: int, columns: int) -> Tensor:
    """The map from the output's to the field's coordinates, both -1..1, as `affine_grid` takes it.

    Output -> flip -> crop in pixels -> turn about the crop's centre -> field. Turning is done in pixels, so that it
    stays a turn where the field is not square.
    """
    top, left, height, width = drawn.box
    angle = math.radians(drawn.angle)
    cosine, sine = math.cos(angle), math.sin(angle)
    across, down = (-width if drawn.flip else width) / 2, height / 2
    centre = ((2 * left + width) / columns - 1, (2 * top + height) / rows - 1)
    return torch.tensor(
        [
            [cosine * across * 2 / columns, -sine * down * 2 / columns, centre[0]],
            [sine * across * 2 / rows, cosine * down * 2 / rows, centre[1]],
        ]
    )


def _sampled(planes: Tensor, theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Planes [C, H, W] on the grid of `theta`; outside the field is 0, as around a padded image."""
    grid = affine_grid(theta[None], [1, 1, *size], align_corners=False)
    found = grid_sample(planes[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found[0]
