"""The U-Net that every method carries: the whole field in, left lung, right lung and heart out.

Ronneberger et al., MICCAI 2015, with three departures: convolutions are padded, so that masks cover the whole field;
each is followed by a batch norm; and the field is averaged down to the masks' size first, because outlines of lungs
and heart need no finer grid than that (`mask` of the options; 128 cells a side unless told otherwise).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from cxredge.result import STRUCTURES
from training.backbones.common import scaled, start_weights
from training.errors import bad

__all__ = ["Segmentation", "UNet"]

# Where display values of chest radiographs lie: ImageNet's grey mean and deviation do well enough.
GREY_MEAN, GREY_DEVIATION = 0.449, 0.226


class Segmentation(NamedTuple):
    """What the U-Net gives for images [N, 1, H, W]."""

    masks: Tensor
    """Probabilities [N, 3, H/reduction, W/reduction] in the order of `STRUCTURES`; structures may overlap."""
    logits: Tensor
    """The same before the sigmoid: what a stable loss takes."""
    code: Tensor
    """The encoder's deepest features [N, code_channels, h, w]."""
    stages: tuple[Tensor, ...]
    """The features of every stage of the encoder, the shallowest first, `code` last: what the gate reads."""


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """A U-Net with a stated width and depth.

    Args:
        width: channels of the first stage; each stage down doubles them.
        depth: how many times the map is halved.
        reduction: how many pixels of the image make one cell of the masks, along each axis.
        multiplier: scales `width`, as it scales the backbones.

    Attributes:
        code_channels: channels of `Segmentation.code`.
        stage_channels: channels of each of `Segmentation.stages`.
    """

    def __init__(self, *, width: int = 16, depth: int = 4, reduction: int = 2, multiplier: float = 1.0) -> None:
        super().__init__()
        if min(width, depth, reduction) < 1:
            raise bad("the U-Net's width, depth and reduction must be at least 1")
        self.depth, self.reduction = depth, reduction
        sizes = [scaled(width << stage, multiplier) for stage in range(depth + 1)]
        self.code_channels, self.stage_channels = sizes[-1], tuple(sizes)
        self.down = nn.ModuleList([_double(a, b) for a, b in zip([1, *sizes], sizes, strict=False)])
        deeper = list(zip(sizes[:0:-1], sizes[-2::-1], strict=True))
        self.up = nn.ModuleList([nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in deeper])
        self.merge = nn.ModuleList([_double(2 * b, b) for _, b in deeper])
        self.head = nn.Conv2d(sizes[0], len(STRUCTURES), 1)
        start_weights(self)

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """The encoder alone: `Segmentation.stages` of images as `forward` takes them."""
        x = fn.avg_pool2d(image, self.reduction) if self.reduction > 1 else image
        x = (x - GREY_MEAN) / GREY_DEVIATION
        passed: list[Tensor] = []
        for index, stage in enumerate(self.down):
            x = stage(fn.max_pool2d(x, 2) if index else x)
            passed.append(x)
        return tuple(passed)

    def forward(self, image: Tensor) -> Segmentation:
        """Segment images in 0..1.

        Args:
            image: [N, 1, H, W]; H and W must be multiples of `reduction * 2**depth`.

        Returns:
            Masks, logits and the encoder's features.
        """
        stages = self.encode(image)
        x = stages[-1]
        for grow, merge, passed in zip(self.up, self.merge, stages[-2::-1], strict=True):
            x = merge(torch.cat([passed, grow(x)], 1))
        logits: Tensor = self.head(x)
        return Segmentation(logits.sigmoid(), logits, stages[-1], stages)
