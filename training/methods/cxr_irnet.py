"""CXR-IRNet (Fang et al., BMC Medical Imaging 2021): weighing the features of lung and heart."""

from __future__ import annotations

from typing import ClassVar

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from cxredge.result import LABELS
from training.backbones import Backbone, Shape, Stride, build_backbone
from training.methods import base
from training.methods.base import Method, Scores, class_maps, pooled

__all__ = ["CxrIrNet", "Member", "MultiScaleAttention", "Options", "organ_weight"]


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further classifier of a committee; its fields are as of `Options`."""

    backbone: str = "densenet121"
    width: base.Positive = 1.0
    blocks: Shape | None = None


class Options(base.Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CXR-IRNet's own options.

    Attributes:
        feature_weighting: multiply F_g by the lungs and heart (off: "Ours w/o Fl" of table 2).
        attention: the multi-scale attention in front of the backbone (off: "FE w/o MA" of table 3).
        binarize: round the pooled mask to 0 or 1, for a strict AND, in place of the fraction of each cell.
        stride: pixels of the view a cell of the last map and of the heat maps: 32 as published, or 16.
        members: further classifiers beside the first. Each has an attention, a backbone and a linear layer of its own;
            all share the U-Net, and what they say is averaged. `python -m training join` makes one network of several.
        mirrored: outside of training, what is said of the view is averaged with what is said of its mirror image. It
            suits networks that were trained on mirror images too, to which the side of the heart says nothing.
    """

    feature_weighting: bool = True
    attention: bool = True
    binarize: bool = False
    stride: Stride = 32
    members: tuple[Member, ...] = ()
    mirrored: bool = False


class MultiScaleAttention(nn.Module):
    """Spatial attention over the image itself, a 5x5 and a 9x9 convolution of it.

    Maximum and mean over the channels of each make six maps; one convolution makes them one, a sigmoid a weight of
    every pixel. The paper gives no size for that convolution: 7x7, as in the CBAM module that it says it improves.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale5 = nn.Conv2d(channels, channels, 5, padding=2)
        self.scale9 = nn.Conv2d(channels, channels, 9, padding=4)
        self.join = nn.Conv2d(6, 1, 7, padding=3)

    def weight(self, image: Tensor) -> Tensor:
        """The weight in 0..1 of every pixel, [N, 1, H, W]."""
        scales = (image, self.scale5(image), self.scale9(image))
        if image.shape[1] == 1:
            # Maximum and mean of one channel are that channel: each is read once, with the sum of both weights.
            kernel = self.join.weight[:, 0::2] + self.join.weight[:, 1::2]
            return torch.sigmoid(fn.conv2d(torch.cat(scales, 1), kernel, self.join.bias, padding=3))
        maps = [found for x in scales for found in (x.amax(1, keepdim=True), x.mean(1, keepdim=True))]
        return torch.sigmoid(self.join(torch.cat(maps, 1)))

    def forward(self, image: Tensor) -> Tensor:
        """The image times its weight."""
        return image * self.weight(image)


def organ_weight(organs: Tensor, shape: tuple[int, int], *, binarize: bool = False) -> Tensor:
    """M_g of eq. 3: the union of lungs and heart as a share of each cell.

    Args:
        organs: probabilities [N, 3, h, w]; a pixel belongs to the union if any of them is at least 0.5.
        shape: rows and columns of the feature map.
        binarize: 1 where at least half of the cell is lung or heart, else 0.

    Returns:
        [N, 1, rows, columns] in 0..1. No gradient passes: the U-Net is trained first, and frozen.
    """
    union = (organs.detach().amax(1, keepdim=True) >= 0.5).to(organs.dtype)
    share = fn.adaptive_avg_pool2d(union, shape)
    return (share >= 0.5).to(share.dtype) if binarize else share


class _Classifier(nn.Module):
    """A member of a committee: what a `CxrIrNet` has beside its U-Net."""

    def __init__(self, options: Options, member: Member) -> None:
        super().__init__()
        o, m = options, member
        self.attention = MultiScaleAttention(o.channels) if o.attention else nn.Identity()
        self.backbone = build_backbone(m.backbone, width=m.width, blocks=m.blocks, channels=o.channels, stride=o.stride)
        self.classifier = nn.Linear(self.backbone.channels[3], len(LABELS))


class CxrIrNet(Method[Options]):
    """Multi-scale attention, DenseNet-121, F_l = F_g * M_g (eq. 3), average pooling, a linear layer."""

    name = "cxr_irnet"
    options_type: ClassVar[type[base.Options]] = Options

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.attention = MultiScaleAttention(options.channels) if options.attention else nn.Identity()
        self.backbone = self.make_backbone(stride=options.stride)
        self.classifier = nn.Linear(self.backbone.channels[3], len(LABELS))
        self.members = nn.ModuleList([_Classifier(options, member) for member in options.members])

    def score(self, view: Tensor, organs: Tensor | None = None) -> Scores:
        """Logits and class activation maps of the weighted features F_l; without weighting, of F_g."""
        if self.training or not self.options.mirrored:
            return self._said(view, organs)
        # Both in one batch, each image beside its mirror image.
        both = self._said(_beside(view), None if organs is None else _beside(organs))
        logits, maps = (each.unflatten(0, (-1, 2)) for each in both)
        return Scores(logits.mean(1), (maps[:, 0] + maps[:, 1].flip(3)) / 2)

    def _said(self, view: Tensor, organs: Tensor | None) -> Scores:
        """What all members say on average."""
        image, weight = self.normalise(view), None
        said: list[Scores] = []
        for one in (self, *self.members):
            features = one.backbone(one.attention(image))
            if self.options.feature_weighting:
                if weight is None:
                    seen = self._organs(view) if organs is None else organs
                    size = (features.shape[2], features.shape[3])
                    weight = organ_weight(seen, size, binarize=self.options.binarize)
                features = features * weight
            said.append(Scores(one.classifier(pooled(features)), class_maps(features, one.classifier)))
        if len(said) == 1:
            return said[0]
        return Scores(*(torch.stack(each).mean(0) for each in zip(*said, strict=True)))

    def backbones(self) -> tuple[Backbone, ...]:
        """That of every member: each starts from the published weights."""
        return (self.backbone, *(member.backbone for member in self.members))

    def _organs(self, view: Tensor) -> Tensor:
        """The frozen U-Net on the view: its batch norms must not learn from images without masks."""
        training = self.unet.training
        with torch.no_grad():
            masks: Tensor = self.unet.eval()(view).masks
        self.unet.train(training)
        return masks


def _beside(images: Tensor) -> Tensor:
    """[N, C, H, W] to [2 N, C, H, W]: each image, then its mirror image."""
    return torch.stack([images, images.flip(3)], 1).flatten(0, 1)
