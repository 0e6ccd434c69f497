"""What other networks think of the training images: softer than the labels, and with less noise in it.

Knowledge distillation (Hinton et al., arXiv 1503.02531): the targets of a stage "distil" are the labels mixed with the
mean probability that several networks give the same image. Here the image is the clean one, and its mirror image,
however the student sees it; so each image is looked at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cxredge.result import LABELS
from training.checkpoint import DataUse, Facts, load
from training.errors import bad
from training.fit.folds import SampleSet, loader
from training.methods.base import Method, Options

__all__ = ["Teacher", "fingerprint", "hire", "opinions"]

ROLE = "teacher"
"""The stage that data is listed under which taught a teacher, and so this network too."""


@dataclass(frozen=True)
class Teacher:
    """A trained network, and what its checkpoint says of it."""

    network: Method[Any]
    facts: Facts

    @property
    def uses(self) -> tuple[DataUse, ...]:
        """The data that taught it."""
        return tuple(
            DataUse(ROLE, use.name, use.train, use.validation, use.shippable, use.citation, use.split)
            for use in self.facts.data
        )


def hire(paths: Sequence[Path], options: Options) -> list[Teacher]:
    """The networks of these checkpoints.

    Raises:
        CheckpointError: a file is no checkpoint.
        UsageError: one sees another field than the student.
    """
    found = []
    for path in paths:
        network, facts = load(path)
        if network.options.field != options.field:
            raise bad(f"the teacher {path} sees {network.options.field} pixels a side, its student {options.field}")
        found.append(Teacher(network.eval(), facts))
    return found


def fingerprint(paths: Sequence[Path]) -> list[str]:
    """A hash of each checkpoint: a run goes on with the teachers that it began with."""
    return [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths]


def opinions(networks: Sequence[Method[Any]], images: SampleSet, batch: int) -> Tensor:
    """The mean probability of the networks for each image and its mirror image.

    Args:
        networks: each is put into evaluation for this, and back.
        images: whole fields, not augmented.
        batch: images at once.

    Returns:
        [len(images), 14].
    """
    told = torch.zeros(len(images), len(LABELS))
    order = loader(images, batch=batch, training=False, rank=0, world=1, seed=0, workers=0)
    modes = [network.training for network in networks]
    device = next(networks[0].parameters()).device
    try:
        for network in networks:
            network.to(device).eval()
        with torch.no_grad():
            for part in order:
                image = part["image"].to(device)
                seen = [_says(network, each) for network in networks for each in (image, image.flip(3))]
                told[part["index"]] = torch.stack(seen).mean(0).cpu()
    finally:
        for network, mode in zip(networks, modes, strict=True):
            network.train(mode)
    return told


def _says(network: Method[Any], image: Tensor) -> Tensor:
    logits: Tensor = network.training_logits(network.view(image))
    return logits[:, : len(LABELS)].float().sigmoid()
