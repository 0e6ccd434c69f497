"""A network that trains in seconds, and pictures that it can learn: each disease is a bright spot in its own place.

The network has no batch norm in what a classifier stage trains, so one process and several must agree.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cxredge.result import LABELS
from training.checkpoint import DataUse, SplitFacts, patient_tag
from training.fit.folds import Folds
from training.methods import METHODS
from training.methods.base import Method, Options, Scores, class_maps, pooled
from training.recipes import Recipe, parse

SIDE = 32


class Toy(Method[Options]):
    """Two convolutions and a linear layer over each cell of a 4 x 4 grid, so that places matter."""

    name = "toy"
    options_type = Options

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 4, stride=4),
            nn.ReLU(),
            nn.Conv2d(8, 16, 2, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Unflatten(1, (256, 1, 1)),
        )
        self.classifier = nn.Linear(256, len(LABELS))

    def score(self, view: Tensor, organs: Tensor | None = None) -> Scores:
        features = self.features(view - 0.5)
        return Scores(self.classifier(pooled(features)), class_maps(features, self.classifier))


def install() -> None:
    """Make the toy a method like the others; the tests of those must not meet it, so a fixture takes it out again."""
    sys.modules["training.methods.toy"] = sys.modules[__name__]
    METHODS["toy"] = ("Toy", "A network for tests.")


def uninstall() -> None:
    """Take the toy out again."""
    METHODS.pop("toy", None)
    sys.modules.pop("training.methods.toy", None)


OPTIONS: dict[str, Any] = {"field": SIDE, "crop": SIDE, "mask": SIDE, "unet_width": 4, "unet_depth": 2, "channels": 1}


class ToySet:
    """Seeded pictures with labels, a disc for a heart and two bars for lungs.

    Args:
        count: how many.
        seed: of the pictures.
        unlabelled: a share of the labels is unknown.
        poison: pictures with a value that is not a number.
    """

    def __init__(self, count: int, seed: int, *, unlabelled: float = 0.0, poison: Sequence[int] = ()) -> None:
        rng = np.random.default_rng(seed)
        self.drawn = (rng.random((count, len(LABELS))) < 0.4).astype(np.float32)
        self.known = rng.random(self.drawn.shape) >= unlabelled
        self.noise = rng.normal(0.4, 0.1, (count, SIDE, SIDE)).astype(np.float32)
        self.shift = rng.integers(-2, 3, count)
        self.poison, self.epoch, self.seed = frozenset(poison), 0, seed

    def __len__(self) -> int:
        return len(self.drawn)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def describe(self, index: int) -> str:
        return f"toy-{self.seed}.png (row {index + 1})"

    def truth(self) -> npt.NDArray[np.float64]:
        return np.where(self.known, self.drawn, np.nan).astype(np.float64)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = self.noise[index].copy()
        for disease in np.flatnonzero(self.drawn[index]):
            row, column = divmod(int(disease), 4)
            image[row * 8 + 2 : row * 8 + 6, column * 8 + 2 : column * 8 + 6] += 0.4
        masks = np.zeros((3, SIDE, SIDE), np.float32)
        left = 18 + int(self.shift[index])
        masks[0, 4:28, left : left + 10] = 1
        masks[1, 4:28, 4:14] = 1
        image[masks[:2].any(0)] -= 0.2
        if index in self.poison:
            image[0, 0] = np.nan
        return {
            "image": torch.from_numpy(image)[None],
            "labels": torch.from_numpy(self.drawn[index]),
            "labels_known": torch.from_numpy(self.known[index]),
            "masks": torch.from_numpy(masks),
            "masks_known": torch.tensor([True, True, False]),
            "index": index,
        }


def toy_folds(train: ToySet | None = None, validation: ToySet | None = None) -> Folds:
    """96 pictures to learn from and 64 to look at."""
    train, validation = train or ToySet(96, 1), validation or ToySet(64, 2)
    use = DataUse("any", "toy", len(train), len(validation), True, "drawn", SplitFacts("drawn", False, "0" * 64))
    taught, chosen = (frozenset(patient_tag(f"toy:{fold}-{index}") for index in range(5)) for fold in ("train", "val"))
    return Folds(train, validation, (use,), taught | chosen, taught)


def toy_recipe(*stages: dict[str, Any], **changes: Any) -> Recipe:
    """A recipe of the toy; each stage's keys are laid over a short classifier stage."""
    usual = {
        "name": "classifier",
        "epochs": 3,
        "batch": 16,
        "optimiser": {"name": "adam", "rate": 0.01},
        "watch": "auroc",
    }
    return parse(
        {
            "schema": "cxredge.recipe/1",
            "name": "toy",
            "summary": "A toy",
            "method": "toy",
            "options": OPTIONS,
            "data": [{"kind": "phantoms"}],
            "stages": [{**usual, **stage} for stage in stages or ({},)],
            **changes,
        }
    )
