"""What the backbones share: their face, the rounding of channel counts, and how new weights start."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from training.errors import bad

__all__ = ["Backbone", "Levels", "Shape", "Stride", "check_shape", "scaled", "start_weights"]

Shape = tuple[int, int, int, int]
"""Four whole numbers, one a stage."""

Stride = Literal[16, 32]
"""Pixels of the image a cell of the last map, along each axis. With 16 the last stage sees the map of the one before in
full: what the published networks halve once more is not halved."""


class Levels(NamedTuple):
    """The last feature map of each stage, [N, C, H, W] with strides 4, 8, 16 and 32; the last 16 where told so."""

    u1: Tensor
    u2: Tensor
    u3: Tensor
    u4: Tensor


class Backbone(nn.Module):
    """A convolutional network without its classifier.

    `forward` gives the last feature map F (of stride 32 unless told otherwise, after a ReLU, so F >= 0); `levels` gives
    all four stages.

    Attributes:
        DEPTH: the published number of blocks in each stage.
        channels: how many channels each of the four levels has.
    """

    DEPTH: ClassVar[Shape]
    channels: Shape

    def levels(self, x: Tensor) -> Levels:
        """The four stages' maps of an image [N, 1 or 3, H, W] that is already normalised."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """The last feature map, [N, channels[3], H/32, W/32] (or a sixteenth)."""
        return self.levels(x).u4


def scaled(count: int, width: float) -> int:
    """A channel count of the published network times the width multiplier; at least 4."""
    return max(4, round(count * width))


def check_shape(width: float, blocks: Shape, channels: int) -> None:
    """Refuse what no backbone can be built from.

    Raises:
        UsageError: the width is not above 0, a stage has no block, or the image has neither 1 nor 3 channels.
    """
    if not width > 0:
        raise bad(f"the width multiplier must be above 0, not {width}")
    if len(blocks) != 4 or min(blocks) < 1:
        raise bad(f"four stages of at least one block each, not {blocks}")
    if channels not in (1, 3):
        raise bad(f"the first convolution takes 1 or 3 channels, not {channels}")


def start_weights(network: nn.Module) -> None:
    """He initialisation for convolutions that a ReLU follows; batch norms start as the identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
