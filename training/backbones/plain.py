"""A plain convolutional network: pairs of 3x3 convolutions with pooling between them, as VGG's (Simonyan, ICLR 2015).

It errs otherwise than a DenseNet does, which is what a teacher beside one is for.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as fn

from training.backbones.common import Backbone, Levels, Shape, Stride, check_shape, scaled, start_weights

__all__ = ["Plain"]


class Plain(Backbone):
    """Two 3x3 convolutions, the first of stride 2, then four stages of them, each behind a 2x2 maximum.

    Levels of 64, 128, 192 and 256 channels.

    Args:
        width: multiplies every channel count.
        blocks: convolutions in each of the four stages.
        channels: channels of the image, 1 or 3.
        stride: of the last map.
    """

    DEPTH = (2, 2, 2, 2)

    def __init__(self, *, width: float = 1.0, blocks: Shape = DEPTH, channels: int = 3, stride: Stride = 32) -> None:
        super().__init__()
        check_shape(width, blocks, channels)
        self.halvings = 4 if stride == 32 else 3
        stem = scaled(32, width)
        sizes = [scaled(count, width) for count in (64, 128, 192, 256)]
        self.channels = (sizes[0], sizes[1], sizes[2], sizes[3])
        self.stem = nn.Sequential(_convolution(channels, stem, stride=2), _convolution(stem, stem))
        self.stages = nn.ModuleList()
        for inputs, outputs, count in zip((stem, *sizes), sizes, blocks, strict=False):
            layers = [_convolution(inputs if i == 0 else outputs, outputs) for i in range(count)]
            self.stages.append(nn.Sequential(*layers))
        start_weights(self)

    def levels(self, x: Tensor) -> Levels:
        """The outputs of the four stages, each after a ReLU."""
        x, found = self.stem(x), []
        for index, stage in enumerate(self.stages):
            x = stage(fn.max_pool2d(x, 2) if index < self.halvings else x)
            found.append(x)
        return Levels(found[0], found[1], found[2], found[3])


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
