"""DenseNet-121 (Huang et al., CVPR 2017), with torchvision's names of tensors.

Every layer of a block reads all maps before it: x_l = H_l([x_0, ..., x_{l-1}]) (eq. 2 there), where H is batch norm,
ReLU, a 1x1 convolution to 4k channels, batch norm, ReLU and a 3x3 convolution to k channels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from training.backbones.common import Backbone, Levels, Shape, Stride, check_shape, scaled, start_weights

__all__ = ["DenseNet121"]

Extra = Callable[[int], nn.Module]
"""Makes a module for a given channel count."""


class _DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(fn.relu(self.norm1(x), inplace=True))
        out: Tensor = self.conv2(fn.relu(self.norm2(x), inplace=True))
        return out


class _DenseBlock(nn.ModuleDict):
    def __init__(self, layers: int, inputs: int, growth: int) -> None:
        super().__init__({f"denselayer{i + 1}": _DenseLayer(inputs + i * growth, growth) for i in range(layers)})

    def forward(self, x: Tensor) -> Tensor:
        # Joined layer by layer, so that a layer's own maps are needed no longer than until the next joint. A list of
        # them that lives through the block makes OpenVINO, whose batch is free, keep three times the memory.
        for layer in self.values():
            x = torch.cat([x, layer(x)], 1)
        return x


def _transition(inputs: int, extra: Extra | None, *, halves: bool) -> nn.Sequential:
    """Batch norm, ReLU, a 1x1 convolution that halves the channels, what a method adds here, and 2x2 pooling.

    Without pooling (`halves` is false) the map keeps its size.
    """
    steps: OrderedDict[str, nn.Module] = OrderedDict()
    steps["norm"] = nn.BatchNorm2d(inputs)
    steps["relu"] = nn.ReLU(inplace=True)
    steps["conv"] = nn.Conv2d(inputs, inputs // 2, 1, bias=False)
    if extra is not None:
        steps["extra"] = extra(inputs // 2)
    if halves:
        steps["pool"] = nn.AvgPool2d(2, 2)
    return nn.Sequential(steps)


class DenseNet121(Backbone):
    """DenseNet-121: growth 32, blocks of 6, 12, 24 and 16 layers.

    The levels are the dense blocks' outputs (256, 512, 1024 and 1024 channels); the last one after its norm and ReLU.

    Args:
        width: multiplies the growth rate and the stem's channels.
        blocks: layers in each of the four dense blocks.
        channels: channels of the image, 1 or 3.
        in_transition: makes a module to put between each transition's convolution and its pooling.
        stride: of the last map.
    """

    DEPTH = (6, 12, 24, 16)

    def __init__(
        self,
        *,
        width: float = 1.0,
        blocks: Shape = DEPTH,
        channels: int = 3,
        in_transition: Extra | None = None,
        stride: Stride = 32,
    ) -> None:
        super().__init__()
        check_shape(width, blocks, channels)
        growth, count = scaled(32, width), scaled(64, width)
        steps: OrderedDict[str, nn.Module] = OrderedDict()
        steps["conv0"] = nn.Conv2d(channels, count, 7, stride=2, padding=3, bias=False)
        steps["norm0"] = nn.BatchNorm2d(count)
        steps["relu0"] = nn.ReLU(inplace=True)
        steps["pool0"] = nn.MaxPool2d(3, stride=2, padding=1)
        sizes = []
        for index, layers in enumerate(blocks, start=1):
            steps[f"denseblock{index}"] = _DenseBlock(layers, count, growth)
            count += layers * growth
            sizes.append(count)
            if index < len(blocks):
                steps[f"transition{index}"] = _transition(count, in_transition, halves=index < 3 or stride == 32)
                count //= 2
        steps["norm5"] = nn.BatchNorm2d(count)
        self.features = nn.Sequential(steps)
        self.channels = (sizes[0], sizes[1], sizes[2], sizes[3])
        start_weights(self)

    def levels(self, x: Tensor) -> Levels:
        """The outputs of the four dense blocks; the last after norm5 and ReLU."""
        found = []
        for name, step in self.features.named_children():
            x = step(x)
            if name.startswith("denseblock"):
                found.append(x)
        return Levels(found[0], found[1], found[2], fn.relu(x))
