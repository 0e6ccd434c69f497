"""ResNet-50 (He et al., CVPR 2016) and Res2Net-50 26w x 4s (Gao et al., TPAMI 2021).

The tensors carry the names of torchvision (ResNet-50, with the stride on the 3x3 convolution) and of timm (Res2Net).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from training.backbones.common import Backbone, Levels, Shape, Stride, check_shape, scaled, start_weights

__all__ = ["Res2Net50", "ResNet50"]

EXPANSION = 4


class _Residual(nn.Module):
    """y = relu(f(x) + x), with a strided 1x1 convolution on the shortcut where the shape changes."""

    downsample: nn.Sequential | None

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def branch(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return fn.relu(self.branch(x) + shortcut)


class _Bottleneck(_Residual):
    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        outputs = EXPANSION * planes
        super().__init__(inputs, outputs, stride)
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)

    def branch(self, x: Tensor) -> Tensor:
        x = fn.relu(self.bn1(self.conv1(x)))
        x = fn.relu(self.bn2(self.conv2(x)))
        out: Tensor = self.bn3(self.conv3(x))
        return out


class _Res2Block(_Residual):
    """The 3x3 convolution split into `SCALES` groups in a row: y_i = K_i(x_i + y_{i-1}) (eq. 1 of Res2Net).

    In a stage's first block the groups do not feed each other, and the group that has no convolution is pooled
    instead, so that its size follows the stride: as the published weights were trained.
    """

    SCALES: ClassVar[int] = 4

    def __init__(self, inputs: int, planes: int, stride: int, *, first: bool) -> None:
        outputs = EXPANSION * planes
        super().__init__(inputs, outputs, stride)
        self.first, self.stride, part = first, stride, max(1, planes * 26 // 64)
        groups = range(self.SCALES - 1)
        self.conv1 = nn.Conv2d(inputs, part * self.SCALES, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(part * self.SCALES)
        self.convs = nn.ModuleList([nn.Conv2d(part, part, 3, stride=stride, padding=1, bias=False) for _ in groups])
        self.bns = nn.ModuleList([nn.BatchNorm2d(part) for _ in groups])
        self.conv3 = nn.Conv2d(part * self.SCALES, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)

    def branch(self, x: Tensor) -> Tensor:
        *parts, last = fn.relu(self.bn1(self.conv1(x))).chunk(self.SCALES, 1)
        done: list[Tensor] = []
        for part, conv, norm in zip(parts, self.convs, self.bns, strict=True):
            group = part + done[-1] if done and not self.first else part
            done.append(fn.relu(norm(conv(group))))
        done.append(fn.avg_pool2d(last, 3, self.stride, 1) if self.first else last)
        out: Tensor = self.bn3(self.conv3(torch.cat(done, 1)))
        return out


class ResNet50(Backbone):
    """ResNet-50: stages of 3, 4, 6 and 3 bottleneck blocks, levels of 256, 512, 1024 and 2048 channels.

    Args:
        width: multiplies every channel count.
        blocks: blocks in each of the four stages.
        channels: channels of the image, 1 or 3.
        stride: of the last map.
    """

    DEPTH = (3, 4, 6, 3)

    def __init__(self, *, width: float = 1.0, blocks: Shape = DEPTH, channels: int = 3, stride: Stride = 32) -> None:
        super().__init__()
        check_shape(width, blocks, channels)
        stem = scaled(64, width)
        planes = tuple(scaled(64 << stage, width) for stage in range(4))
        self.conv1 = nn.Conv2d(channels, stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.channels = (EXPANSION * planes[0], EXPANSION * planes[1], EXPANSION * planes[2], EXPANSION * planes[3])
        self.layer1 = self._stage(stem, planes[0], blocks[0], 1)
        self.layer2 = self._stage(self.channels[0], planes[1], blocks[1], 2)
        self.layer3 = self._stage(self.channels[1], planes[2], blocks[2], 2)
        self.layer4 = self._stage(self.channels[2], planes[3], blocks[3], stride // 16)
        start_weights(self)

    def _block(self, inputs: int, planes: int, stride: int, *, first: bool) -> nn.Module:  # noqa: ARG002
        return _Bottleneck(inputs, planes, stride)

    def _stage(self, inputs: int, planes: int, count: int, stride: int) -> nn.Sequential:
        blocks = [self._block(inputs, planes, stride, first=True)]
        blocks += [self._block(EXPANSION * planes, planes, 1, first=False) for _ in range(count - 1)]
        return nn.Sequential(*blocks)

    def levels(self, x: Tensor) -> Levels:
        """The outputs of the four stages, each after a ReLU."""
        x = fn.max_pool2d(fn.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        u1 = self.layer1(x)
        u2 = self.layer2(u1)
        u3 = self.layer3(u2)
        return Levels(u1, u2, u3, self.layer4(u3))


class Res2Net50(ResNet50):
    """Res2Net-50 26w x 4s: ResNet-50 with the 3x3 convolutions split into four groups of 26 x 2^stage channels."""

    def _block(self, inputs: int, planes: int, stride: int, *, first: bool) -> nn.Module:
        return _Res2Block(inputs, planes, stride, first=first)
