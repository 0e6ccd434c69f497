"""AG-CNN (Guan et al., 2018): a global branch, a local branch on the region that it points at, and their fusion."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from cxredge.result import LABELS
from training.backbones import Backbone
from training.errors import bad
from training.methods import base
from training.methods.base import Method, Scores, class_maps
from training.methods.regions import box_of, crop_box, largest_region, unit_range

__all__ = ["STAGES", "AgCnn", "Branches", "Options", "heat_map"]

STAGES = ("global", "local", "fusion")
"""The branches in the order in which the paper trains them; each stage freezes those before it."""


class Options(base.Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """AG-CNN's own options.

    Attributes:
        tau: cells of the heat map above this, of its range 0..1, make the mask (eq. 4).
        statistic: what of the channels makes the heat map: max (eq. 3), l1 or l2 (table III).
        local_crop: crop the region for the local branch; off gives it the whole view ("inputting a global image into
            both", section IV-C).
    """

    tau: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.7
    statistic: Literal["max", "l1", "l2"] = "max"
    local_crop: bool = True


class Branches(NamedTuple):
    """What the three branches say: 15 logits each, and what the local one looked at."""

    whole: Tensor
    local: Tensor
    fusion: Tensor
    features: Tensor
    """The global branch's last feature map."""
    heat: Tensor
    """H_g in 0..1, [N, H, W]."""
    box: Tensor
    """[N, 4]: left, top, right, bottom as fractions of the view."""


def heat_map(features: Tensor, statistic: str = "max") -> Tensor:
    """H_g of eq. 3 from the last feature map [N, K, H, W]: the largest |f_k| of each cell, or its L1 or L2 variant."""
    size = features.abs()
    if statistic == "l1":
        return size.mean(1)
    if statistic == "l2":
        return size.square().sum(1).sqrt() / features.shape[1]
    return size.amax(1)


class AgCnn(Method[Options]):
    """Two networks of one kind with weights of their own, global MAX pooling, and a linear layer over both.

    It trains 15 outputs, the last being "No Finding"; of the fusion branch's, `forward` gives the 14.
    """

    name = "ag_cnn"
    options_type: ClassVar[type[base.Options]] = Options
    trained = (*LABELS, "No Finding")

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.global_backbone = self.make_backbone()
        self.local_backbone = self.make_backbone()
        channels, outputs = self.global_backbone.channels[3], len(self.trained)
        self.global_classifier = nn.Linear(channels, outputs)
        self.local_classifier = nn.Linear(channels, outputs)
        self.fusion_classifier = nn.Linear(2 * channels, outputs)
        self.stage: str | None = None

    def branches(self, view: Tensor) -> Branches:
        """All three branches on a view [N, 1, crop, crop] (algorithm 1)."""
        features = self.global_backbone(self.normalise(view))
        heat, box = self.region(features)
        part = crop_box(view, box) if self.options.local_crop else view
        pool_global = features.amax((2, 3))
        pool_local = self.local_backbone(self.normalise(part)).amax((2, 3))
        return Branches(
            self.global_classifier(pool_global),
            self.local_classifier(pool_local),
            self.fusion_classifier(torch.cat([pool_global, pool_local], 1)),
            features,
            heat,
            box,
        )

    def region(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The heat map scaled to 0..1, and the box of the largest region above tau. No gradient passes.

        The paper does not say how H_g is scaled before it meets tau: here by its own range, image by image. A map
        without range points nowhere, and the box is then the whole view.
        """
        heat = unit_range(heat_map(features.detach(), self.options.statistic))
        mask = (heat > self.options.tau).to(heat.dtype)
        return heat, box_of(largest_region(mask))

    def score(self, view: Tensor, organs: Tensor | None = None) -> Scores:  # noqa: ARG002 - it looks at the image only
        """The fusion branch's 14 diseases, and the global branch's class activation maps over the view.

        The paper shows H_g, which is the same for all diseases. The evidence of one disease is taken from the global
        branch's classifier on each cell; behind max pooling no map adds up to the logit.
        """
        found = self.branches(view)
        return Scores(found.fusion[:, : len(LABELS)], class_maps(found.features, self.global_classifier))

    def training_logits(self, view: Tensor) -> Tensor:
        """The 15 logits of the branch that `set_stage` chose; the fusion branch's if none was chosen."""
        if self.stage == "global":
            pooled: Tensor = self.global_backbone(self.normalise(view)).amax((2, 3))
            out: Tensor = self.global_classifier(pooled)
            return out
        found = self.branches(view)
        return found.local if self.stage == "local" else found.fusion

    def set_stage(self, stage: str | None) -> None:
        """Train one branch: its weights learn, the others' are frozen, batch norms too.

        Args:
            stage: one of `STAGES`; None lets everything learn together.

        Raises:
            UsageError: there is no such stage.
        """
        if stage is not None and stage not in STAGES:
            raise bad(f"there is no stage {stage!r}: {', '.join(STAGES)}")
        self.stage = stage
        for name, parts in self._parts().items():
            for part in parts:
                part.requires_grad_(stage is None or name == stage)
        self.train(self.training)

    def train(self, mode: bool = True) -> AgCnn:
        """As torch's, but frozen branches stay in evaluation: their running statistics must not move."""
        super().train(mode)
        for name, parts in self._parts().items():
            for part in parts:
                part.train(mode and self.stage in (None, name))
        return self

    def backbones(self) -> tuple[Backbone, ...]:
        """Both networks: each starts from the published weights."""
        return self.global_backbone, self.local_backbone

    def _parts(self) -> dict[str, tuple[nn.Module, ...]]:
        return {
            "global": (self.global_backbone, self.global_classifier),
            "local": (self.local_backbone, self.local_classifier),
            "fusion": (self.fusion_classifier,),
        }
