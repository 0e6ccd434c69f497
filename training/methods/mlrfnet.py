"""MLRFNet (Li et al., IEEE Access 2023): multi-level residual feature fusion on Res2Net-50."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from cxredge.result import LABELS
from training.methods import base
from training.methods.base import Method, Positive, Scores, class_maps, pooled

__all__ = ["EfficientChannelAttention", "MlrfNet", "Options", "csra"]


class Options(base.Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """MLRFNet's own options; the two switches are the rows of table 9.

    Attributes:
        eca: channel attention on each level.
        mrfc: the multi-level classifier; off is average pooling and a linear layer on the last level.
        temperature: T of eq. 2.
        lambdas: the residual vector's weight on U2, U3 and U4.
    """

    backbone: str = "res2net50_26w_4s"
    eca: bool = True
    mrfc: bool = True
    temperature: Positive = 99.0
    lambdas: tuple[float, float, float] = (0.5, 0.3, 0.1)


class EfficientChannelAttention(nn.Module):
    """Eq. 1: U * sigmoid(C1D_k(GAP(U))), one 1-D convolution over neighbouring channels, k = 3."""

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] with each channel weighted."""
        weight = torch.sigmoid(self.conv(x.mean((2, 3))[:, None, :]))[:, 0]
        return x * weight[:, :, None, None]


def csra(maps: Tensor, weight: float, temperature: float) -> Tensor:
    """Eq. 2: the mean of each map plus `weight` times its mean under softmax(T * map).

    Args:
        maps: mu, [N, C, H, W].
        weight: lambda.
        temperature: T. The softmax runs over the cells of each map; at 99 it is nearly the maximum.

    Returns:
        [N, C].
    """
    cells = maps.flatten(2)
    attention = torch.softmax(temperature * cells, 2)
    return cells.mean(2) + weight * (attention * cells).sum(2)


class MlrfNet(Method[Options]):
    """Res2Net-50; on each of U2, U3, U4 channel attention, 14 score maps and CSRA; the three vectors added."""

    name = "mlrfnet"
    options_type: ClassVar[type[base.Options]] = Options

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.backbone = self.make_backbone()
        sizes = self.backbone.channels[1:] if options.mrfc else self.backbone.channels[3:]
        self.eca = nn.ModuleList([EfficientChannelAttention() if options.eca else nn.Identity() for _ in sizes])
        if options.mrfc:
            self.heads = nn.ModuleList([nn.Conv2d(size, len(LABELS), 1) for size in sizes])
        else:
            self.classifier = nn.Linear(sizes[0], len(LABELS))

    def score(self, view: Tensor, organs: Tensor | None = None) -> Scores:  # noqa: ARG002 - it looks at the image only
        """P_sum = P1 + P2 + P3, and the three levels' score maps added on the grid of the finest."""
        levels = self.backbone.levels(self.normalise(view))
        if not self.options.mrfc:
            features = self.eca[0](levels.u4)
            return Scores(self.classifier(pooled(features)), class_maps(features, self.classifier))
        maps = [head(eca(level)) for head, eca, level in zip(self.heads, self.eca, levels[1:], strict=True)]
        parts = [csra(m, w, self.options.temperature) for m, w in zip(maps, self.options.lambdas, strict=True)]
        finest = maps[0].shape[2:]
        shown = [maps[0], *(fn.interpolate(m, size=finest, mode="bilinear", align_corners=False) for m in maps[1:])]
        return Scores(torch.stack(parts).sum(0), torch.stack(shown).sum(0))
