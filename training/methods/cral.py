"""CRAL (Guan and Huang, Pattern Recognition Letters 2020): category-wise residual attention learning."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from cxredge.result import LABELS
from training.backbones.common import start_weights
from training.methods import base
from training.methods.base import Method, Scores, Whole

__all__ = ["Cral", "FlatAttention", "HourglassAttention", "Options", "attended_vectors"]


class Options(base.Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CRAL's own options; the three switches are the rows of table 2.

    Attributes:
        module: att1 (three convolutions) or att2 (an hourglass, and two residual blocks on the features).
        attention_width: channels between att1's convolutions. The paper does not state them.
        category: one attention map a disease; off is one for all.
        residual: (1 + a) * F (eq. 5); off is a * F.
        attention: the attention module; off classifies F itself.
    """

    module: Literal["att1", "att2"] = "att1"
    attention_width: Whole = 256
    category: bool = True
    residual: bool = True
    attention: bool = True


class FlatAttention(nn.Sequential):
    """att1: conv3x3 ReLU, conv3x3 ReLU, conv1x1. Gives Z of eq. 2, [N, maps, H, W]."""

    def __init__(self, channels: int, hidden: int, maps: int) -> None:
        super().__init__(
            nn.Conv2d(channels, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, maps, 1),
        )
        start_weights(self)


class _ResidualBlock(nn.Module):
    """A bottleneck of a quarter of the channels, as in ResNet-50; its output is at least 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(4, channels // 4)
        self.branch = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        start_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        return fn.relu(x + self.branch(x))


class HourglassAttention(nn.Module):
    """att2's attention branch: two max pools among residual blocks, two upsamplings, two 1x1 convolutions.

    The inner level passes a residual block of its own around the bottom, as in the hourglass that the paper cites
    (Wang et al., CVPR 2017). Gives Z of eq. 2, [N, maps, H, W].
    """

    def __init__(self, channels: int, maps: int) -> None:
        super().__init__()
        self.outer, self.inner, self.across, self.rise = (_ResidualBlock(channels) for _ in range(4))
        self.mix = nn.Conv2d(channels, channels, 1)
        self.last = nn.Conv2d(channels, maps, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[N, C, H, W] to [N, maps, H, W]; H and W need not be even."""
        half = self.outer(fn.max_pool2d(features, 3, stride=2, padding=1))
        quarter = self.inner(fn.max_pool2d(half, 3, stride=2, padding=1))
        back = self.rise(_resized(quarter, half) + self.across(half))
        out: Tensor = self.last(fn.relu(self.mix(_resized(back, features))))
        return out


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return fn.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


def attended_vectors(features: Tensor, attention: Tensor, *, residual: bool = True) -> Tensor:
    """The pooled vector of each class (eq. 4 to 7) without the tensor of classes x channels x cells.

    F >= 0 and a >= 0, so eq. 6's ReLU changes nothing, and the mean of (1 + a^c) F over the cells is
    GAP(F) + (1/HW) sum_ij a^c_ij F_ij: one product of [C, HW] and [HW, channels].

    Args:
        features: F, [N, channels, H, W], at least 0.
        attention: a, [N, C or 1, H, W], in 0..1.
        residual: with False, a^c F alone.

    Returns:
        [N, C or 1, channels].
    """
    cells = features.flatten(2)
    weighted = torch.bmm(attention.flatten(2), cells.transpose(1, 2)) / cells.shape[2]
    return weighted + cells.mean(2)[:, None, :] if residual else weighted


class Cral(Method[Options]):
    """A backbone, one attention map a disease, and one binary classifier a disease."""

    name = "cral"
    options_type: ClassVar[type[base.Options]] = Options

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.backbone = self.make_backbone()
        channels = self.backbone.channels[3]
        maps = len(LABELS) if options.category else 1
        self.attend: nn.Module | None = None
        self.trunk: nn.Module = nn.Identity()
        if options.attention and options.module == "att1":
            self.attend = FlatAttention(channels, options.attention_width, maps)
        elif options.attention:
            self.attend = HourglassAttention(channels, maps)
            self.trunk = nn.Sequential(_ResidualBlock(channels), _ResidualBlock(channels))
        # Row c is theta^c of eq. 8: each disease has a classifier of its own.
        self.classifier = nn.Linear(channels, len(LABELS))

    def weights(self, features: Tensor) -> Tensor | None:
        """The attention A of eq. 3, [N, 14 or 1, H, W] in 0..1; None without attention."""
        return None if self.attend is None else torch.sigmoid(self.attend(features))

    def score(self, view: Tensor, organs: Tensor | None = None) -> Scores:  # noqa: ARG002 - it looks at the image only
        """Each disease's classifier on its own vector, and the same classifier on each attended cell.

        The maps' mean over the cells is the logit.
        """
        features = self.backbone(self.normalise(view))
        attention, features = self.weights(features), self.trunk(features)
        evidence = fn.conv2d(features, self.classifier.weight[:, :, None, None])
        bias = self.classifier.bias
        if attention is None:
            return Scores(self.classifier(features.mean((2, 3))), evidence + bias[:, None, None])
        vectors = attended_vectors(features, attention, residual=self.options.residual)
        # The bias goes in before the sum: OpenVINO 2026.4 fuses one added behind it wrongly for more than one image.
        logits = (vectors * self.classifier.weight + bias[:, None] / vectors.shape[2]).sum(2)
        gain = 1.0 + attention if self.options.residual else attention
        return Scores(logits, gain * evidence + bias[:, None, None])
