"""The one face of all methods: an image of the whole field in, logits, masks, heat maps and perhaps the gate out.

    image     [N, 1, field, field]  display values in 0..1, bright = dense
    logits    [N, 14]               before the sigmoid, in the order of `cxredge.result.LABELS`
    masks     [N, 3, mask, mask]    probabilities over the whole field, in the order of `cxredge.result.STRUCTURES`
    heatmaps  [N, 14, hh, ww]       each disease's evidence, in logits; they cover `heatmap_box` of the field
    gate      [N, 3]                logits: not a frontal chest, inverted, turned; only with the option `gate`

What a host need not know happens inside: the centre crop, three channels of one grey, normalisation, U-Net, attention.
Nothing in `forward` depends on values in Python, so one traced graph serves every image.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from cxredge.result import LABELS
from training.backbones import Backbone, Shape, build_backbone
from training.errors import bad
from training.gate import GateHead
from training.unet import Segmentation, UNet

__all__ = ["Box", "Method", "Normalise", "Options", "OptionsT", "Output", "Scores", "class_maps", "pooled"]

# The channels' mean and deviation over ImageNet: what published weights were trained with.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Whole = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Output(NamedTuple):
    """What `Method.forward` gives: the outputs of the graph, in its order; None is one that the method lacks."""

    logits: Tensor
    masks: Tensor
    heatmaps: Tensor
    gate: Tensor | None = None


class Scores(NamedTuple):
    """What a classifier says of its view of the image: logits [N, 14] and evidence [N, 14, hh, ww] over the view."""

    logits: Tensor
    maps: Tensor


class Box(NamedTuple):
    """A part of the field, as fractions of it."""

    left: float
    top: float
    right: float
    bottom: float


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every method can be told. A boolean that is true by default is an ablation switch.

    Attributes:
        backbone: a key of `training.backbones.BACKBONES`.
        width: multiplies the channel counts of backbone and U-Net; below 1 for narrow variants.
        blocks: the backbone's blocks a stage; None is the published depth.
        channels: channels of the backbone's first convolution, 1 or 3.
        scale: the values that the backbone was trained on: ImageNet's mean and deviation, or -1024..1024 (signed).
        field: side of the whole field in pixels.
        crop: side of the centre crop that classifiers see.
        mask: side of the masks.
        unet_width: channels of the U-Net's first stage.
        unet_depth: how many times the U-Net halves its map.
        gate: whether the graph says if the picture is an upright frontal chest (`training/gate.py`).
    """

    backbone: str = "densenet121"
    width: Positive = 1.0
    blocks: Shape | None = None
    channels: Literal[1, 3] = 3
    scale: Literal["imagenet", "signed"] = "imagenet"
    field: Whole = 256
    crop: Whole = 224
    mask: Whole = 128
    unet_width: Whole = 16
    unet_depth: Whole = 4
    gate: bool = False

    def __post_init__(self) -> None:
        """Refuse a geometry in which crop, masks and field do not meet on whole cells."""
        margin, cell = self.field - self.crop, self.field // self.mask
        if margin < 0 or margin % 2:
            raise bad(f"a crop of {self.crop} has no centre in a field of {self.field}")
        if self.field % self.mask or self.crop % cell or margin // 2 % cell:
            raise bad(f"a mask of {self.mask} does not share its cells with field {self.field} and crop {self.crop}")
        for side in (self.mask, self.crop // cell):
            if side % (1 << self.unet_depth):
                raise bad(f"a map of {side} cannot be halved {self.unet_depth} times by the U-Net")

    @property
    def margin(self) -> int:
        """Pixels of the field on each side of the centre crop."""
        return (self.field - self.crop) // 2

    @property
    def reduction(self) -> int:
        """Pixels of the field that make one cell of the masks, along each axis."""
        return self.field // self.mask

    def without(self, *switches: str) -> dict[str, bool]:
        """The fields that turn these ablation switches off.

        Raises:
            UsageError: there is no such switch.
        """
        for name in switches:
            if name not in self.switches():
                raise bad(f"there is no switch {name!r}: {', '.join(self.switches()) or 'this method has none'}")
        return dict.fromkeys(switches, False)

    @classmethod
    def switches(cls) -> tuple[str, ...]:
        """The names of the ablation switches: the booleans that are true unless told otherwise."""
        return tuple(field.name for field in msgspec.structs.fields(cls) if field.default is True)


OptionsT = TypeVar("OptionsT", bound=Options)


class Normalise(nn.Module):
    """Grey in 0..1 to what the backbone was trained on.

    With three channels the grey is copied and each channel gets ImageNet's mean and deviation. With one channel
    the mean of the three is used: the same up to how the channels differ. `signed` makes -1024..1024 of 0..1, as
    torchxrayvision's weights want it.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, scale: str = "imagenet") -> None:
        super().__init__()
        mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
        if scale == "signed":
            mean, deviation = torch.full((3,), 0.5), torch.full((3,), 1 / 2048)
        if channels == 1:
            mean, deviation = mean.mean(0, keepdim=True), deviation.mean(0, keepdim=True)
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("deviation", deviation.reshape(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """[N, 1, H, W] in 0..1 to [N, channels, H, W]."""
        return (image - self.mean) / self.deviation


class Method(nn.Module, Generic[OptionsT]):
    """A published classifier with the U-Net beside it.

    A subclass sets the class attributes, builds its parts in `__init__` and implements `score`.

    Attributes:
        name: how it is called in recipes, manifests and on the command line.
        options_type: the type of its options.
        trained: what its training logits are trained on, in their order.
        options: what this one was built with.
        unet: the U-Net.
        gate: the head on its encoder; None without that option.
    """

    name: ClassVar[str]
    options_type: ClassVar[type[Options]]
    trained: ClassVar[tuple[str, ...]] = LABELS

    def __init__(self, options: OptionsT) -> None:
        super().__init__()
        self.options = options
        self.unet = UNet(
            width=options.unet_width,
            depth=options.unet_depth,
            reduction=options.reduction,
            multiplier=options.width,
        )
        self.normalise = Normalise(options.channels, options.scale)
        cells = options.mask >> options.unet_depth
        self.gate = GateHead(self.unet.stage_channels, cells) if options.gate else None

    def make_backbone(self, **extra: Any) -> Backbone:
        """A backbone as the options want it."""
        o = self.options
        return build_backbone(o.backbone, width=o.width, blocks=o.blocks, channels=o.channels, **extra)

    def backbones(self) -> tuple[Backbone, ...]:
        """The networks that published weights of the backbone are loaded into."""
        return tuple(module for module in self.children() if isinstance(module, Backbone))

    @property
    def heatmap_box(self) -> Box:
        """The part of the field that `heatmaps` cover: here the centre crop."""
        edge = self.options.margin / self.options.field
        return Box(edge, edge, 1.0 - edge, 1.0 - edge)

    def view(self, image: Tensor) -> Tensor:
        """The centre crop of the field, [N, 1, crop, crop]."""
        return _centre(image, self.options.margin, self.options.crop)

    def view_masks(self, masks: Tensor) -> Tensor:
        """The part of the field's masks that lies over the centre crop."""
        cell = self.options.reduction
        return _centre(masks, self.options.margin // cell, self.options.crop // cell)

    def score(self, view: Tensor, organs: Tensor | None = None) -> Scores:
        """The classifier on one view.

        Args:
            view: [N, 1, crop, crop] in 0..1: the centre crop, or in training any crop of that size.
            organs: probabilities [N, 3, h, w] over the view, where they are already known. A method that needs them
                runs its U-Net on the view if they are not given.
        """
        raise NotImplementedError

    def training_logits(self, view: Tensor) -> Tensor:
        """What the loss sees for a view: [N, len(trained)]."""
        return self.score(view).logits

    def gated(self, stages: tuple[Tensor, ...]) -> Tensor | None:
        """The gate's logits [N, 3] from the U-Net's stages; None where the method has no gate."""
        return None if self.gate is None else self.gate(stages)

    def forward(self, image: Tensor) -> Output:
        """The graph: image [N, 1, field, field] in 0..1 to logits, masks, heat maps and the gate."""
        seen: Segmentation = self.unet(image)
        scores = self.score(self.view(image), self.view_masks(seen.masks))
        return Output(scores.logits, seen.masks, scores.maps, self.gated(seen.stages))


def _centre(image: Tensor, margin: int, side: int) -> Tensor:
    return image[:, :, margin : margin + side, margin : margin + side]


def pooled(features: Tensor) -> Tensor:
    """Global average pooling: [N, C, H, W] to [N, C]."""
    return features.mean((2, 3))


def class_maps(features: Tensor, classifier: nn.Linear, count: int = len(LABELS)) -> Tensor:
    """The class activation maps: the classifier applied to every cell (Zhou et al., CVPR 2016, eq. 2), with its bias.

    Their mean over the cells is the logit of a classifier behind global average pooling.

    Args:
        features: [N, C, H, W].
        classifier: a linear layer over the C channels.
        count: how many of its outputs, from the first.

    Returns:
        [N, count, H, W], in logits.
    """
    return fn.conv2d(features, classifier.weight[:count, :, None, None], classifier.bias[:count])
