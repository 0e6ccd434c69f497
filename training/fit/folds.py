"""What a stage learns from, however it was made: two data sets of samples, and the facts that a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from training.checkpoint import DataUse

__all__ = ["Batch", "Folds", "Joined", "SampleSet", "ShareSampler", "loader"]

Batch = dict[str, Tensor]
"""image [N,1,H,W] in 0..1; labels, labels_known [N,14]; masks [N,3,h,w]; masks_known [N,3]; index [N]."""


@runtime_checkable
class SampleSet(Protocol):
    """A data set of samples. `set_epoch` seeds the augmentation; `describe` names a sample's file and row."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...

    def set_epoch(self, epoch: int) -> None:
        """Seed the augmentation."""
        ...

    def describe(self, index: int) -> str:
        """The file and row of a sample, for messages."""
        ...

    def truth(self) -> npt.NDArray[np.float64]:
        """[len, 14]: 1, 0, or not-a-number where unknown; without reading an image."""
        ...


@dataclass(frozen=True)
class Folds:
    """What a stage learns from.

    Attributes:
        train, validation: the samples; the validation is not augmented.
        use: one entry a data set.
        tags: hashes of all patients of both folds.
        taught: those of the training fold.
    """

    train: SampleSet
    validation: SampleSet
    use: tuple[DataUse, ...]
    tags: frozenset[str]
    taught: frozenset[str]


class Joined:
    """Several sample sets as one, in order."""

    def __init__(self, parts: Sequence[SampleSet]) -> None:
        self.parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in self.parts])

    def _place(self, index: int) -> tuple[int, int]:
        part = int(np.searchsorted(self._ends, index, side="right"))
        return part, index - (int(self._ends[part - 1]) if part else 0)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> dict[str, Any]:
        part, inner = self._place(index)
        return {**self.parts[part][inner], "index": index}

    def set_epoch(self, epoch: int) -> None:
        """Seed every part's augmentation."""
        for part in self.parts:
            part.set_epoch(epoch)

    def describe(self, index: int) -> str:
        """The file and row of a sample."""
        part, inner = self._place(index)
        return self.parts[part].describe(inner)

    def truth(self) -> npt.NDArray[np.float64]:
        """Those of all parts."""
        return np.concatenate([part.truth() for part in self.parts])


class ShareSampler(Sampler[int]):
    """The indices of one process, in the order of one epoch.

    Shuffled by (seed, epoch) alone, so that a resumed run sees what an uninterrupted one would have seen, and dealt
    out so that step k of all processes together holds the images that step k of a single process would hold.

    Args:
        data: the data set.
        batch: images a step over all processes; None for validation: every image once, in order.
        rank: of this process.
        world: how many processes.
        seed: of the order.
    """

    def __init__(self, data: Sized, *, batch: int | None, rank: int = 0, world: int = 1, seed: int = 0) -> None:
        self.size, self.batch, self.rank, self.world, self.seed, self.epoch = len(data), batch, rank, world, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def _usable(self) -> int:
        """Images of an epoch: whole batches, so that no step has a batch norm over one image; at least one step."""
        if self.batch is None:
            return self.size
        return self.size // self.batch * self.batch or self.size // self.world * self.world

    def __iter__(self) -> Iterator[int]:
        order = np.arange(self.size)
        if self.batch is not None:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.size)[: self._usable()]
        return iter(order[self.rank :: self.world].tolist())

    def __len__(self) -> int:
        return len(range(self.rank, self._usable(), self.world))


def loader(
    data: SampleSet, *, batch: int, training: bool, rank: int, world: int, seed: int, workers: int
) -> DataLoader[dict[str, Any]]:
    """Batches of one process: `batch` is the total over all processes.

    Raises:
        UsageError: the total batch cannot be dealt out evenly, or there are fewer images than processes.
    """
    from training.errors import bad

    if batch % world:
        raise bad(f"a batch of {batch} cannot be dealt out to {world} processes")
    if training and len(data) < world:
        raise bad(f"{len(data)} training images for {world} processes")
    sampler = ShareSampler(data, batch=batch if training else None, rank=rank, world=world, seed=seed)
    return DataLoader(
        data,  # type: ignore[arg-type]  # a map-style data set by shape, not by descent
        batch_size=batch // world,
        sampler=sampler,
        num_workers=workers,
    )
