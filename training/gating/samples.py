"""What the gate stage looks at: chests in all poses, and pictures that are none, as samples with three answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cxredge.result import LABELS
from training.fit.folds import SampleSet
from training.gating.bank import FOLDS, bank_of, kinds_of
from training.gating.views import Plane, Pose, draw_pose, plain_view, varied_view
from training.others import SPOILT, choose, spoil

__all__ = ["GateSamples", "answers"]

OTHERS = 1.4
"""Pictures that are no chests, for each chest."""
SPOILT_SHARE = 0.25
"""The share of the others that are made of chests."""
UPRIGHT = 0.4
"""The share of the chests that stand upright in training."""


def answers(chest: bool, pose: Pose) -> tuple[torch.Tensor, torch.Tensor]:
    """The three answers and which are known: what is no chest cannot be inverted, nor lie on its side."""
    wanted = torch.tensor([not chest, pose.inverted, pose.quarters > 0], dtype=torch.float32)
    return wanted, torch.tensor([True, chest, chest])


class GateSamples:
    """Chests first, then the others; what an item looks like depends on seed, fold, epoch and index alone.

    In training every chest comes once an epoch, varied and in a drawn pose. A fold that is measured on shows every
    chest twice, upright as it is, and varied in a pose that goes round with the index; it is the same every time.

    Args:
        chests: samples with an `image`, without augmentation; all of one size.
        fold: train, val or test.
        seed: of all that is drawn.
        cache: where drawn pictures are kept.
        say: told when they are drawn.
    """

    def __init__(
        self, chests: SampleSet, fold: str, seed: int, cache: Path, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.chests, self.fold, self.seed = chests, fold, seed
        self.side = int(chests[0]["image"].shape[-1])
        self.others = max(1, round(OTHERS * len(chests)))
        self._bank = bank_of(self.others, self.side, fold, seed, cache, say)
        # Shared memory: workers that stay alive over epochs see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    @property
    def learns(self) -> bool:
        """Whether the samples are drawn anew every epoch."""
        return self.fold == "train"

    @property
    def views(self) -> int:
        """Samples of each chest."""
        return 1 if self.learns else 2

    def __len__(self) -> int:
        return self.views * len(self.chests) + self.others

    def set_epoch(self, epoch: int) -> None:
        """Draw anew from here on, in training."""
        self._epoch.fill_(epoch if self.learns else 0)

    def describe(self, index: int) -> str:
        """The file and row of a chest; the number of a drawn picture."""
        chest = index // self.views
        if chest < len(self.chests):
            return self.chests.describe(chest)
        return f"drawn picture {index - self.views * len(self.chests)}"

    def truth(self) -> npt.NDArray[np.float64]:
        """No disease is known of any."""
        return np.full((len(self), len(LABELS)), np.nan)

    def kinds(self) -> list[str]:
        """What each sample of a fold that is measured on shows: a pose, or what is drawn."""
        chests = [name for chest in range(len(self.chests)) for name in ("as it is", _named(_in_turn(chest)))]
        drawn = kinds_of(self.others, self.fold, self.seed)
        return chests + [self._kind(place, name) for place, name in enumerate(drawn)]

    def _kind(self, place: int, drawn: str) -> str:
        rng = self._stream(self.views * len(self.chests) + place)
        return f"chest, {choose(rng, SPOILT)}" if rng.random() < SPOILT_SHARE else drawn

    def _stream(self, index: int) -> np.random.Generator:
        return np.random.default_rng([FOLDS[self.fold], self.seed, int(self._epoch), index])

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Image [1, side, side], `gate` [3] and `gate_known` [3], index."""
        rng = self._stream(index)
        place = index - self.views * len(self.chests)
        view, wanted, known = self._chest(rng, index) if place < 0 else self._other(rng, place)
        return {"image": torch.from_numpy(view)[None], "gate": wanted, "gate_known": known, "index": index}

    def _plane(self, index: int) -> Plane:
        return np.asarray(self.chests[index]["image"][0].numpy(), np.float32)

    def _chest(self, rng: np.random.Generator, index: int) -> tuple[Plane, torch.Tensor, torch.Tensor]:
        chest, second = divmod(index, self.views)
        plane = self._plane(chest)
        if self.learns:
            pose = draw_pose(rng, upright=UPRIGHT)
        elif second:
            pose = _in_turn(chest)
        else:
            return plane, *answers(True, Pose())
        return varied_view(rng, plane, pose), *answers(True, pose)

    def _other(self, rng: np.random.Generator, place: int) -> tuple[Plane, torch.Tensor, torch.Tensor]:
        if rng.random() < SPOILT_SHARE:
            plane = spoil(rng, len(self.chests), self._plane)
        else:
            plane = self._bank[place].astype(np.float32) / np.float32(255)
        pose = Pose(bool(rng.random() < 0.4), int(rng.integers(4)))
        varied = rng.random() < 0.85
        view = varied_view(rng, plane, pose) if varied else plain_view(plane, pose)
        return view, *answers(False, pose)


def _named(pose: Pose) -> str:
    words = [word for word, true in (("inverted", pose.inverted), ("turned", pose.quarters > 0)) if true]
    return " and ".join(words) or "upright"


def _in_turn(chest: int) -> Pose:
    """Upright, inverted, turned by each quarter, both: each as often."""
    return (Pose(), Pose(True), Pose(False, 1 + chest // 4 % 3), Pose(True, 1 + chest // 4 % 3))[chest % 4]
