"""AG-CNN's mask inference as a static graph: the largest connected region of a mask, its box, and the crop.

No step depends on values in Python: labels spread by a fixed number of masked 3x3 max-pools, sizes come from comparing
every cell with every other, the box from reductions, the crop from grid sampling.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

__all__ = ["box_of", "crop_box", "largest_region", "spread_steps", "unit_range"]


def unit_range(heat: Tensor) -> Tensor:
    """Each map [N, H, W] of its own range to 0..1: its lowest cell 0, its highest 1; a constant map becomes 0."""
    low, high = heat.amin((1, 2), keepdim=True), heat.amax((1, 2), keepdim=True)
    span = high - low
    return (heat - low) / torch.where(span > 0, span, torch.ones_like(span))


def spread_steps(rows: int, columns: int) -> int:
    """How many 3x3 max-pools let a label reach every cell of its region, whatever the region's shape.

    A shortest path within a region never holds three cells of one 2x2 square (they all touch, so one of them could be
    left out). So it has at most two cells for each of the ceil(rows/2) * ceil(columns/2) squares: 31 steps on 7x7.
    """
    return 2 * -(-rows // 2) * -(-columns // 2) - 1


def largest_region(mask: Tensor) -> Tensor:
    """The largest 8-connected region of each mask; of equal ones, the one whose first cell in reading order is first.

    Args:
        mask: [N, H, W] of 0 and 1, floating.

    Returns:
        The same shape: 1 in that region, else 0. An empty mask gives an empty region.
    """
    rows, columns = mask.shape[1], mask.shape[2]
    cells = rows * columns
    # The first cell has the highest label, so a region ends up with the label of its first cell. All values are whole
    # numbers up to H * W: exact in every floating type down to bfloat16, where H * W <= 256.
    label = torch.arange(cells, 0, -1, dtype=mask.dtype, device=mask.device).reshape(1, rows, columns) * mask
    for _ in range(spread_steps(rows, columns)):
        label = fn.max_pool2d(label[:, None], 3, stride=1, padding=1)[:, 0] * mask
    flat, inside = label.flatten(1), mask.flatten(1)
    same = (flat[:, :, None] == flat[:, None, :]).to(mask.dtype)
    size = same.sum(2) * inside
    biggest = (size == size.amax(1, keepdim=True)).to(mask.dtype) * inside
    candidate = flat * biggest
    chosen = (candidate == candidate.amax(1, keepdim=True)).to(mask.dtype) * biggest
    return chosen.reshape(mask.shape)


def box_of(region: Tensor) -> Tensor:
    """The box around each region, as fractions of the map; the whole map where the region is empty.

    Args:
        region: [N, H, W] of 0 and 1.

    Returns:
        [N, 4]: left, top, right, bottom, on the outer edges of the cells.
    """
    left, right = _extent(region.amax(1))
    top, bottom = _extent(region.amax(2))
    return torch.stack([left, top, right, bottom], 1)


def _extent(line: Tensor) -> tuple[Tensor, Tensor]:
    """First and last edge of the ones in [N, L], as fractions of L."""
    length = line.shape[1]
    cell = torch.arange(length, dtype=line.dtype, device=line.device)
    first = torch.where(line > 0, cell, float(length)).amin(1)
    last = torch.where(line > 0, cell + 1, 0.0).amax(1)
    empty = line.amax(1) <= 0
    return torch.where(empty, 0.0, first) / length, torch.where(empty, float(length), last) / length


def crop_box(image: Tensor, box: Tensor) -> Tensor:
    """Each image's box, bilinearly resized to the image's own size.

    Args:
        image: [N, C, H, W].
        box: [N, 4]: left, top, right, bottom as fractions of the image.

    Returns:
        [N, C, H, W]. Pixel centres are at (i + 0.5) / H, so the whole image as a box gives the image back.
    """
    rows, columns = image.shape[2], image.shape[3]
    x = _places(box[:, 0], box[:, 2], columns)[:, None, :].expand(-1, rows, -1)
    y = _places(box[:, 1], box[:, 3], rows)[:, :, None].expand(-1, -1, columns)
    grid = torch.stack([x, y], 3)
    return fn.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _places(low: Tensor, high: Tensor, count: int) -> Tensor:
    """The centres of `count` pixels between two edges, in grid_sample's -1..1."""
    centre = (torch.arange(count, dtype=low.dtype, device=low.device) + 0.5) / count
    return 2.0 * (low[:, None] + centre[None, :] * (high - low)[:, None]) - 1.0
