"""Which images are compared in batches of which size: all, or fewer where one image costs as much as ten.

A batch of seven is proven by a full batch and a ragged one behind it. What a further image adds is another set of
values; where each takes many seconds on each engine, that is not worth the minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from export.answers import BATCHES
from export.cost import multiply_adds
from export.errors import ExportError, Problem
from export.images import Images

__all__ = ["Share", "share_of"]

DEAR = 50e9
"""Multiply-adds of one image. Networks of one view need 3 to 7 thousand millions; ten crops of 448, 114."""
ALONE, RAGGED = 4, 2
"""Of a dear network: images in batches of one, and those behind a full batch of the largest size."""


@dataclass(frozen=True)
class Share:
    """What is compared.

    Attributes:
        images: all of it.
        counts: how many of these, from the first, run in batches of a size.
    """

    images: Images
    counts: dict[int, int]


def share_of(images: Images, graph: bytes, *, every: bool = False) -> Share:
    """All images in every batch size; of a dear network, unless `every`, as many as prove the sizes.

    Raises:
        ExportError: the images do not fill the largest batch and begin another; or shapes do not follow from the
            graph, so its cost cannot be counted.
    """
    count = len(images.batch)
    if count <= max(BATCHES):
        detail = f"{count} images prove no batches of {max(BATCHES)}: at least {max(BATCHES) + 1} are needed"
        raise ExportError(Problem.PARITY, f"{detail} (--phantoms, --data, --images)")
    if every or multiply_adds(onnx.load_from_string(graph)) < DEAR:
        return Share(images, dict.fromkeys(BATCHES, count))
    most = min(count, max(BATCHES) + RAGGED)
    return Share(images.first(most), {size: min(count, ALONE if size == 1 else most) for size in BATCHES})
