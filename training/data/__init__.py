"""Data sets as their makers ship them, their splits, and the planes that networks see. See docs/datasets.md.

    collection = open_collection("chestxray14", folder)      every image, label, box and mask, checked
    split = split_of(collection)                             patient-disjoint folds, with a hash
    cache = PlaneCache.build(collection, cache_folder, geometry=Geometry(256, 256, "pad"))
    dataset = ChestDataset(collection, split.train, cache, augment=Augment(...))

Names are imported when they are first used: what only reads tables or builds a cache never imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.data.augment import Augment
    from training.data.cache import PlaneCache
    from training.data.cases import Box, Case, Collection, MaskSource, Person
    from training.data.dataset import ChestDataset, PhantomDataset
    from training.data.kinds import KINDS, open_collection
    from training.data.planes import size_of
    from training.data.splits import Split, lacking, require_positives, split_of
    from training.data.summary import summarise

__all__ = [
    "KINDS",
    "Augment",
    "Box",
    "Case",
    "ChestDataset",
    "Collection",
    "MaskSource",
    "Person",
    "PhantomDataset",
    "PlaneCache",
    "Split",
    "lacking",
    "open_collection",
    "require_positives",
    "size_of",
    "split_of",
    "summarise",
]

_HOME = {
    "augment": ("Augment",),
    "cache": ("PlaneCache",),
    "cases": ("Box", "Case", "Collection", "MaskSource", "Person"),
    "dataset": ("ChestDataset", "PhantomDataset"),
    "kinds": ("KINDS", "open_collection"),
    "planes": ("size_of",),
    "splits": ("Split", "lacking", "require_positives", "split_of"),
    "summary": ("summarise",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"training.data.{module}"), name)
    raise AttributeError(f"module 'training.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
