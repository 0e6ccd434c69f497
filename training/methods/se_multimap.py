"""SE multi-map (Yan et al., ACM BCB 2018): squeeze-and-excitation, multi-map transfer, max-min pooling, ten crops."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from cxredge.result import LABELS
from training.errors import bad
from training.methods import base
from training.methods.base import Box, Method, Output, Positive, Scores, Whole

__all__ = ["Options", "SeMultiMap", "SqueezeExcite", "logit_of_mean", "max_min_pool"]

STRIDE = 32
"""Pixels of the view that make one cell of the last feature map."""


class Options(base.Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SE multi-map's own options.

    Attributes:
        se: the squeeze-and-excitation blocks.
        multi_map: M maps a disease; off is M = 1.
        max_min: the minimum's share of the pooling; off leaves the maximum alone (alpha = 0).
        ten_crops: score ten crops in evaluation; off scores the centre crop.
        maps: M.
        se_reduction: how many channels share one unit of the SE bottleneck.
        kept: k+ = k-, how many cells the maximum and the minimum are taken over.
        alpha: the minimum's weight.
    """

    field: Whole = 512
    crop: Whole = 448
    se: bool = True
    multi_map: bool = True
    max_min: bool = True
    ten_crops: bool = True
    maps: Whole = 12
    se_reduction: Whole = 16
    kept: Whole = 1
    alpha: Positive = 0.7

    def __post_init__(self) -> None:
        """The ten crops must lie on one grid of cells, so that their heat maps can be laid over the field."""
        super().__post_init__()
        if self.ten_crops and (self.crop % STRIDE or self.margin % STRIDE or 2 * self.crop < self.field):
            raise bad(f"ten crops of {self.crop} do not cover a field of {self.field} in cells of {STRIDE}")


class SqueezeExcite(nn.Module):
    """s = sigmoid(W2 relu(W1 z)) with z the mean of each channel (eq. 1 and 2); the channels times s (eq. 3)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] recalibrated."""
        scale = torch.sigmoid(self.excite(fn.relu(self.squeeze(x.mean((2, 3))))))
        return x * scale[:, :, None, None]


def max_min_pool(maps: Tensor, kept: int, alpha: float) -> Tensor:
    """Eq. 4: the mean of the `kept` highest cells plus alpha times the mean of the `kept` lowest.

    Args:
        maps: [N, C, H, W].
        kept: k+ = k-, at most H * W.
        alpha: 0 leaves the maximum alone.

    Returns:
        [N, C].
    """
    cells = maps.flatten(2)
    high = cells.topk(kept, dim=2).values.mean(2) if kept > 1 else cells.amax(2)
    if alpha == 0:
        return high
    low = cells.topk(kept, dim=2, largest=False).values.mean(2) if kept > 1 else cells.amin(2)
    return high + alpha * low


def logit_of_mean(logits: Tensor) -> Tensor:
    """The logit of the mean probability over the first axis, without ever forming a probability of 0 or 1.

    log(mean p) - log(mean (1 - p)), where log p = -softplus(-logit) and log(1 - p) = -softplus(logit).
    """
    return torch.logsumexp(-fn.softplus(-logits), 0) - torch.logsumexp(-fn.softplus(logits), 0)


class SeMultiMap(Method[Options]):
    """DenseNet-121 with SE in its transitions, M maps a disease, their mean, max-min pooling."""

    seen: Tensor
    name = "se_multimap"
    options_type: ClassVar[type[base.Options]] = Options

    def __init__(self, options: Options) -> None:
        super().__init__(options)

        def recalibrate(channels: int) -> nn.Module:
            return SqueezeExcite(channels, options.se_reduction)

        self.backbone = self.make_backbone(in_transition=recalibrate if options.se else None)
        self.maps = options.maps if options.multi_map else 1
        self.transfer = nn.Conv2d(self.backbone.channels[3], self.maps * len(LABELS), 1)
        self.alpha = options.alpha if options.max_min else 0.0
        if options.ten_crops:
            self.register_buffer("seen", self._count_seen(), persistent=False)

    @property
    def heatmap_box(self) -> Box:
        """With ten crops the heat maps cover the whole field, else the centre crop."""
        return Box(0.0, 0.0, 1.0, 1.0) if self.options.ten_crops else super().heatmap_box

    def score(self, view: Tensor, organs: Tensor | None = None) -> Scores:  # noqa: ARG002 - it looks at the image only
        """One view: the C maps (mean over each disease's M) and their max-min pooling."""
        found = self.transfer(self.backbone(self.normalise(view)))
        maps = found.reshape(-1, len(LABELS), self.maps, *found.shape[2:]).mean(2)
        return Scores(max_min_pool(maps, self.options.kept, self.alpha), maps)

    def forward(self, image: Tensor) -> Output:
        """In evaluation, ten crops: their mean probability as a logit, and their maps laid over the field.

        In training mode, and without `ten_crops`, the centre crop alone.
        """
        if self.training or not self.options.ten_crops:
            return super().forward(image)
        scores = self.score(torch.cat(self.crops(image)))
        logits, maps = (x.reshape(10, -1, *x.shape[1:]) for x in scores)
        seen = self.unet(image)
        return Output(logit_of_mean(logits), seen.masks, self._laid(maps), self.gated(seen.stages))

    def _corners(self) -> tuple[tuple[int, int], ...]:
        """Top and left of the four corner crops and the centre one."""
        far, middle = 2 * self.options.margin, self.options.margin
        return (0, 0), (0, far), (far, 0), (far, far), (middle, middle)

    def crops(self, image: Tensor) -> list[Tensor]:
        """The four corners, the centre, and the five mirrored left to right: ten of [N, 1, crop, crop]."""
        side = self.options.crop
        five = [image[:, :, top : top + side, left : left + side] for top, left in self._corners()]
        return five + [crop.flip(3) for crop in five]

    def _laid(self, maps: Tensor) -> Tensor:
        """The ten crops' maps [10, N, C, h, w] on one grid over the field: each cell the mean of those that saw it."""
        cells, side = self.options.field // STRIDE, self.options.crop // STRIDE
        both = (maps[:5] + maps[5:].flip(4)) / 2
        laid = []
        for view, (top, left) in zip(both.unbind(0), self._corners(), strict=True):
            row, column = top // STRIDE, left // STRIDE
            laid.append(fn.pad(view, (column, cells - column - side, row, cells - row - side)))
        return torch.stack(laid).sum(0) / self.seen

    def _count_seen(self) -> Tensor:
        """How many of the five places of a crop cover each cell of the field."""
        cells, side = self.options.field // STRIDE, self.options.crop // STRIDE
        seen = torch.zeros(cells, cells)
        for top, left in self._corners():
            row, column = top // STRIDE, left // STRIDE
            seen[row : row + side, column : column + side] += 1
        return seen
