"""CheXNet (Rajpurkar et al., 2017): DenseNet-121, global average pooling, one linear layer, fourteen sigmoids."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from cxredge.result import LABELS
from training.methods.base import Method, Options, OptionsT, Scores, class_maps, pooled

__all__ = ["CheXNet", "PooledClassifier"]


class PooledClassifier(Method[OptionsT]):
    """A backbone, global average pooling and a linear layer; its heat maps are class activation maps."""

    def __init__(self, options: OptionsT) -> None:
        super().__init__(options)
        self.backbone = self.make_backbone()
        self.classifier = nn.Linear(self.backbone.channels[3], len(LABELS))

    def score(self, view: Tensor, organs: Tensor | None = None) -> Scores:  # noqa: ARG002 - it looks at the image only
        """Logits of the pooled features, and the evidence of each cell."""
        features = self.backbone(self.normalise(view))
        return Scores(self.classifier(pooled(features)), class_maps(features, self.classifier))


class CheXNet(PooledClassifier[Options]):
    """The DenseNet-121 baseline."""

    name = "chexnet"
    options_type: ClassVar[type[Options]] = Options
