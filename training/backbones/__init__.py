"""The backbones, without classifiers: DenseNet-121, ResNet-50, Res2Net-50 (26w x 4s), and a plain one."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from training.backbones.common import Backbone, Levels, Shape, Stride
from training.backbones.densenet import DenseNet121
from training.backbones.plain import Plain
from training.backbones.resnet import Res2Net50, ResNet50
from training.errors import bad

__all__ = [
    "BACKBONES",
    "Backbone",
    "DenseNet121",
    "Levels",
    "Plain",
    "Res2Net50",
    "ResNet50",
    "Shape",
    "Stride",
    "build_backbone",
]

BACKBONES: dict[str, type[DenseNet121] | type[ResNet50] | type[Plain]] = {
    "densenet121": DenseNet121,
    "resnet50": ResNet50,
    "res2net50_26w_4s": Res2Net50,
    "plain": Plain,
}


def build_backbone(
    name: str,
    *,
    width: float = 1.0,
    blocks: Shape | None = None,
    channels: int = 3,
    in_transition: Callable[[int], nn.Module] | None = None,
    stride: Stride = 32,
) -> Backbone:
    """A backbone with fresh weights.

    Args:
        name: a key of `BACKBONES`.
        width: multiplies the channel counts.
        blocks: blocks a stage; None is the published depth.
        channels: channels of the image, 1 or 3.
        in_transition: makes what goes into each transition of a DenseNet, for a given channel count.
        stride: of the last map.

    Raises:
        UsageError: an unknown name, a shape that cannot be built, or `in_transition` where there is no transition.
    """
    if name not in BACKBONES:
        raise bad(f"there is no backbone {name!r}: {', '.join(BACKBONES)}")
    kind = BACKBONES[name]
    depth = blocks or kind.DEPTH
    if kind is DenseNet121:
        return DenseNet121(width=width, blocks=depth, channels=channels, in_transition=in_transition, stride=stride)
    if in_transition is not None:
        raise bad(f"{name} has no transitions")
    return kind(width=width, blocks=depth, channels=channels, stride=stride)
