"""What a loader of torch takes: cases of a collection, or phantoms, as the same dictionary of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cxredge.result import LABELS
from training.data.augment import Augment, Drawn, apply, moved
from training.data.cache import PlaneCache
from training.data.cases import Box, Collection
from training.data.evidence import covered
from training.errors import bad

__all__ = ["ChestDataset", "PhantomDataset"]

Item = dict[str, Any]
Plane = npt.NDArray[np.float32]


CELL = 4
"""Pixels of the field a cell of `evidence`, along each axis: finer than any heat map."""


class _Augmented(Dataset[Item]):
    """Seeded augmentation: what an item looks like depends on seed, epoch and index, and on nothing else.

    Attributes:
        located: the boxes of each item by its index, as fractions of the field; with them, items have `evidence`,
            float32 [14, H / 4, W / 4]: how much of each cell lies in a box of each disease. None leaves it out.
    """

    located: Mapping[int, tuple[Box, ...]] | None = None

    def __init__(
        self,
        field: tuple[int, int],
        cached_masks: tuple[int, int],
        augment: Augment | None,
        masks_size: tuple[int, int] | None,
        seed: int,
    ) -> None:
        self._augment, self._seed, self._field = augment, seed, field
        self._size = (augment.size if augment is not None else None) or field
        wanted = masks_size or cached_masks
        self._plain = augment is None and wanted == cached_masks
        # `masks_size` is of the whole field: a smaller view has as much less of it.
        height, width = (max(1, round(m * s / f)) for m, s, f in zip(wanted, self._size, field, strict=True))
        self._masks_size = (height, width)
        # Shared memory: workers that stay alive over epochs see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, epoch: int) -> None:
        """Draw anew from here on; also seen by workers that are already running."""
        self._epoch.fill_(epoch)

    def _item(self, index: int, image: Plane, labels: Sequence[float], masks: Plane, known: Sequence[bool]) -> Item:
        values = torch.tensor(labels, dtype=torch.float32)
        picture, outlines = torch.from_numpy(image)[None], torch.from_numpy(masks)
        drawn_known = torch.tensor(known)
        drawn = None
        if not self._plain:
            augment = self._augment or Augment()
            rng = np.random.default_rng([self._seed, int(self._epoch), index])
            drawn = augment.draw(rng, *self._field)
            picture, outlines, drawn_known = apply(
                drawn, picture, outlines, drawn_known, size=self._size, masks_size=self._masks_size
            )
        labels_known = ~values.isnan()
        item = {
            "image": picture,
            "labels": values.nan_to_num(0.0),
            "labels_known": labels_known,
            "masks": outlines,
            "masks_known": drawn_known,
            "index": index,
        }
        return item if self.located is None else {**item, "evidence": self._evidence(self.located[index], drawn)}

    def _evidence(self, boxes: Sequence[Box], drawn: Drawn | None) -> Tensor:
        """The boxes of an item on its view, if it was moved, else on the field."""
        cells = self._field[0] // CELL
        planes = torch.from_numpy(covered(boxes, cells))
        size = (self._size[0] // CELL, self._size[1] // CELL)
        return planes if drawn is None else moved(drawn, planes, self._field, size)


class ChestDataset(_Augmented):
    """Cases of a collection, from its cache.

    An item is a dictionary: `image` float32 [1, H, W] in 0..1; `labels` float32 [14] (0 where unknown) and
    `labels_known` bool [14]; `masks` float32 [3, h, w] (0 where unknown) and `masks_known` bool [3]; `index` of the
    case in the collection.
    """

    def __init__(
        self,
        collection: Collection,
        indices: Sequence[int],
        cache: PlaneCache,
        *,
        augment: Augment | None = None,
        masks_size: tuple[int, int] | None = None,
        seed: int = 0,
    ) -> None:
        """Choose the cases.

        Args:
            collection: the one that the cache was built of.
            indices: of the cases, in the order of the items.
            cache: their planes.
            augment: None gives the planes as they are.
            masks_size: rows and columns of the masks over the whole field; the cache's by default.
            seed: of the augmentation.
        """
        if len(cache) != len(collection.cases):
            raise bad("the cache is not of this collection")
        field = (cache.geometry.rows, cache.geometry.columns)
        super().__init__(field, cache.masks_size, augment, masks_size, seed)
        self.collection, self.indices, self._cache = collection, tuple(indices), cache

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Item:
        """The item at a position of `indices`."""
        index = self.indices[position]
        masks, known = self._cache.masks(index)
        return self._item(index, self._cache.plane(index), self.collection.cases[index].labels, masks, known)

    def labels(self) -> Tensor:
        """All labels, float32 [len, 14], not-a-number where unknown: no image is touched."""
        return torch.tensor([self.collection.cases[index].labels for index in self.indices]).reshape(-1, len(LABELS))


class PhantomDataset(_Augmented):
    """Phantoms drawn as they are asked for, as the same items; item i is the phantom of seed `first_seed` + i."""

    def __init__(
        self,
        count: int,
        *,
        size: int = 256,
        masks_size: tuple[int, int] | None = None,
        first_seed: int = 0,
        augment: Augment | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        """Choose the phantoms.

        Args:
            count: how many.
            size: side of the square field.
            masks_size: rows and columns of the masks over the whole field; half the field by default.
            first_seed: of the first phantom. Training and test phantoms must not share seeds.
            augment: None gives the pictures as they are.
            seed: of the augmentation.
            options: passed on to `training.phantoms.generate`.
        """
        if count < 1:
            raise bad("at least one phantom")
        super().__init__((size, size), (size, size), augment, masks_size or (size // 2, size // 2), seed)
        self._count, self._side, self._first, self._options = count, size, first_seed, options

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: int) -> Item:
        """The item of phantom `first_seed + position`."""
        if not 0 <= position < self._count:
            raise IndexError(position)
        from training.phantoms import generate

        phantom = generate(self._first + position, size=self._side, **self._options)
        image = np.ascontiguousarray(phantom.image, np.float32)
        masks = np.ascontiguousarray(phantom.masks, np.float32)
        labels = np.asarray(phantom.labels, np.float64).tolist()
        return self._item(position, image, labels, masks, (True, True, True))
