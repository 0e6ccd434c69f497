"""From a recipe's data sets to samples: opened, split by patient, cached, and augmented as the stage says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from cxredge.pixels import Fit, Geometry
from cxredge.preprocess import placement
from cxredge.result import STRUCTURES
from training.checkpoint import DataUse, SplitFacts, patient_tag
from training.data import (
    Augment,
    Box,
    ChestDataset,
    Collection,
    Person,
    PlaneCache,
    Split,
    open_collection,
    size_of,
    split_of,
)
from training.errors import bad
from training.fit.drawn import PhantomSet
from training.fit.folds import Folds, Joined, SampleSet
from training.gating.samples import GateSamples
from training.methods.base import Options
from training.recipes import Augment as Wanted
from training.recipes import Source, Stage

__all__ = ["Cases", "Opened", "Places", "augment_of", "folds_of", "open_source_of"]

FIT: Fit = "pad"
"""How an image that is not square meets the field: whole, its proportions kept."""

PHANTOM_FOLDS = {"train": 0, "val": 400_000, "test": 700_000}
PHANTOM_SPAN = 300_000
PHANTOM_SEEDS = 1_000_000

APART = 7919
"""Between the seeds of an image's augmentations where an epoch shows it several times."""


@dataclass(frozen=True)
class Places:
    """Where data is and where its cache goes.

    Attributes:
        root: a recipe's folders are relative to it; None where every kind has a folder of its own.
        kinds: kind of data set -> its folder.
        cache: the folder of caches.
        workers: processes that build a cache; None is one a processor.
        say: told what takes long.
        draw_on: device of torch on which drawn chests are developed; as `device` of `training.phantoms.PhantomPool`.
    """

    root: Path | None
    kinds: Mapping[str, Path]
    cache: Path
    workers: int | None = None
    say: Callable[[str], None] = print
    draw_on: str | None = None

    def of(self, source: Source) -> Path:
        """The folder of a data set."""
        if source.kind in self.kinds:
            return self.kinds[source.kind]
        if self.root is None:
            raise bad(f"where is {source.kind}? --data {source.kind}=DIR")
        return self.root / source.folder


class Located(SampleSet, Protocol):
    """Samples that can be told their boxes."""

    def locate(self, boxes: Sequence[tuple[Box, ...]]) -> None:
        """Items have `evidence` from here on: of each position its boxes, as fractions of the field."""
        ...


class Opened(Protocol):
    """A data set with its split."""

    name: str
    shippable: bool
    citation: str
    split: SplitFacts

    def samples(self, fold: str, augment: Augment | None = None, seed: int = 0) -> Located:
        """The samples of "train", "val" or "test"."""
        ...

    def patients(self, fold: str) -> list[str]:
        """Each sample's patient."""
        ...

    def people(self, fold: str) -> list[Person]:
        """What is known of each sample beside its labels; [] where nothing is."""
        ...

    def boxes(self, fold: str) -> list[tuple[Box, ...]]:
        """Each sample's boxes, as fractions of the FIELD."""
        ...


class Cases(ChestDataset):
    """Cases of a collection as a `SampleSet`: the index of an item is its position.

    Attributes:
        guesses: whether guessed masks pass for known ones: to learn from, never to score against.
    """

    guesses = False

    def __getitem__(self, position: int) -> dict[str, object]:
        """The item at a position."""
        item = {**super().__getitem__(position), "index": position}
        source = self.collection.cases[self.indices[position]].masks
        if source is not None and source.guess_heart and not self.guesses:
            item["masks_known"] = torch.tensor(source.known)
        return item

    def describe(self, index: int) -> str:
        """File and row of a case."""
        case = self.collection.cases[self.indices[index]]
        row = f" (row {case.row})" if case.row else ""
        return f"{self.collection.relative(case)}{row}"

    def truth(self) -> npt.NDArray[np.float64]:
        """All labels; not-a-number where unknown."""
        return np.asarray(self.labels().numpy(), np.float64)

    def locate(self, boxes: Sequence[tuple[Box, ...]]) -> None:
        """Items have `evidence` from here on: of each position its boxes, as fractions of the field."""
        self.located = dict(zip(self.indices, boxes, strict=True))


class OpenedCollection:
    """A data set of images."""

    def __init__(self, source: Source, places: Places, options: Options) -> None:
        self.collection: Collection = open_collection(source.kind, places.of(source), **source.options)
        for note in self.collection.notes:
            places.say(f"{self.collection.name}: {note}")
        self.made: Split = split_of(self.collection, seed=source.seed, validation=source.validation, kind=source.split)
        self.name, self.shippable, self.citation = source.kind, self.collection.shippable, self.collection.citation
        self.split = SplitFacts(self.made.name, self.made.official, self.made.sha256)
        self.geometry = Geometry(options.field, options.field, FIT)
        places.say(f"{self.collection.name}: {len(self.collection.cases)} images, split: {self.split.name}")
        self._cache = PlaneCache.build(
            self.collection,
            places.cache,
            geometry=self.geometry,
            masks_size=(options.mask, options.mask),
            workers=places.workers,
        )

    def samples(self, fold: str, augment: Augment | None = None, seed: int = 0) -> Cases:
        """See `Opened`."""
        found = Cases(self.collection, self.made.fold(fold), self._cache, augment=augment, seed=seed)
        found.guesses = fold == "train"
        return found

    def patients(self, fold: str) -> list[str]:
        """See `Opened`."""
        return [self.collection.cases[index].patient for index in self.made.fold(fold)]

    def people(self, fold: str) -> list[Person]:
        """See `Opened`."""
        cases = [self.collection.cases[index] for index in self.made.fold(fold)]
        return [Person(case.view, case.sex, case.age) for case in cases]

    def boxes(self, fold: str) -> list[tuple[Box, ...]]:
        """See `Opened`. An image with boxes is opened for its size, which its place in the field depends on."""
        return [self._on_field(index) for index in self.made.fold(fold)]

    def _on_field(self, index: int) -> tuple[Box, ...]:
        case = self.collection.cases[index]
        if not case.boxes:
            return ()
        place = placement(*size_of(case), self.geometry)
        return tuple(_placed(box, place.source, place.plane) for box in case.boxes)


Edges = tuple[float, float, float, float]


def _placed(box: Box, source: Edges, plane: Edges) -> Box:
    """A box of the image on the field: `source` of the image fills `plane` of the field."""

    def along(value: float, low: int) -> float:
        share = (value - source[low]) / (source[low + 2] - source[low])
        return plane[low] + min(max(share, 0.0), 1.0) * (plane[low + 2] - plane[low])

    return Box(box.label, along(box.left, 0), along(box.top, 1), along(box.right, 0), along(box.bottom, 1))


class OpenedPhantoms:
    """Phantoms; folds are ranges of seeds that never meet."""

    name, shippable, citation = "phantoms", True, "drawn by cxredge"

    def __init__(self, source: Source, places: Places, options: Options) -> None:
        rest = dict(source.options)
        named = {"train": "train", "val": "validation", "test": "test"}
        self.counts = {fold: int(rest.pop(key, 0)) for fold, key in named.items()}
        if not any(self.counts.values()) or max(self.counts.values()) > PHANTOM_SPAN:
            raise bad(f"phantoms need options train, validation and test of 0 to {PHANTOM_SPAN} in all")
        self._first = int(rest.pop("seed", 0)) * PHANTOM_SEEDS
        self._known = _structures(rest.pop("outlines", STRUCTURES))
        self._rest, self._places, self._options = rest, places, options
        text = ",".join(f"{fold}:{self._start(fold)}+{count}" for fold, count in self.counts.items())
        digest = hashlib.sha256(f"phantoms {text} {sorted(rest.items())}".encode()).hexdigest()
        self.split = SplitFacts("phantoms of separate seeds", False, digest)

    def _start(self, fold: str) -> int:
        return self._first + PHANTOM_FOLDS[fold]

    def _set(self, fold: str, augment: Augment | None, seed: int) -> PhantomSet:
        o = self._options
        found = PhantomSet.draw(
            self.counts[fold],
            self._places.cache,
            size=o.field,
            mask=o.mask,
            first_seed=self._start(fold),
            augment=augment,
            seed=seed,
            say=self._places.say,
            workers=self._places.workers,
            options=self._rest,
            device=self._places.draw_on,
        )
        found.known = self._known
        return found

    def samples(self, fold: str, augment: Augment | None = None, seed: int = 0) -> PhantomSet:
        """See `Opened`."""
        return self._set(fold, augment, seed)

    def patients(self, fold: str) -> list[str]:
        """See `Opened`: every phantom is a patient of its own."""
        return [f"phantom:{self._start(fold) + index}" for index in range(self.counts[fold])]

    def people(self, fold: str) -> list[Person]:  # noqa: ARG002 - as of `Opened`
        """See `Opened`: nothing is said of a phantom."""
        return []

    def boxes(self, fold: str) -> list[tuple[Box, ...]]:
        """See `Opened`."""
        return self._set(fold, None, 0).boxes


def _structures(wanted: object) -> tuple[bool, ...]:
    """Which structures' outlines are learned from: phantoms have all, and a recipe may know better ones elsewhere."""
    if not isinstance(wanted, list | tuple) or not wanted or not set(wanted) <= set(STRUCTURES):
        raise bad(f"outlines of phantoms are some of {', '.join(STRUCTURES)}, not {wanted!r}")
    return tuple(name in wanted for name in STRUCTURES)


def open_source_of(source: Source, places: Places, options: Options) -> Opened:
    """Open a recipe's data set for a method's geometry: its cache is built if it is not there."""
    kind = OpenedPhantoms if source.kind == "phantoms" else OpenedCollection
    return kind(source, places, options)


def augment_of(wanted: Wanted, stage: str, options: Options) -> Augment | None:
    """A recipe's augmentation for the data set; None where images stay as they are.

    The U-Net's images stay whole fields; the gate's are left alone, it has views of its own
    (`training/gating/views.py`). A classifier's become views, unless they are cropped at the centre: that is
    left to the method, which crops all images so.
    """
    moved = any((wanted.flip, wanted.rotation, wanted.contrast, wanted.gamma))
    if wanted.crop == "centre" and not moved:
        return None
    view = stage != "unet" and wanted.crop != "centre"
    return Augment(
        size=(options.crop, options.crop) if view else None,
        scale=wanted.scale if wanted.crop == "resized" else None,
        ratio=wanted.ratio,
        flip=wanted.flip,
        rotate=wanted.rotation,
        contrast=wanted.contrast,
        gamma=wanted.gamma,
    )


def folds_of(stage: Stage, sources: tuple[Source, ...], places: Places, options: Options, seed: int) -> Folds:
    """Everything that a stage learns from.

    Raises:
        DataError: what is wrong with a data set, with the file and the row.
        UsageError: a data set has no training or validation fold here.
    """
    opened = [open_source_of(source, places, options) for source in sources]
    judges = [found for found, source in zip(opened, sources, strict=True) if source.validates]
    augment = augment_of(stage.augment, stage.name, options)
    train = [_again(found, augment, seed, source.times) for found, source in zip(opened, sources, strict=True)]
    validation = {id(found): found.samples("val") for found in judges}
    use = []
    for found, parts in zip(opened, train, strict=True):
        taught, judged = len(parts[0]), len(validation[id(found)]) if found in judges else 0
        if not taught or (found in judges and not judged):
            raise bad(f"{found.name} has {taught} training and {judged} validation images ({found.split.name})")
        use.append(DataUse(stage.name, found.name, taught, judged, found.shippable, found.citation, found.split))
        if stage.evidence:
            boxes = found.boxes("train")
            for part in parts:
                part.locate(boxes)
    tags = [
        frozenset(patient_tag(name) for found in those for name in found.patients(fold))
        for those, fold in ((opened, "train"), (judges, "val"))
    ]
    made = Folds(
        Joined([part for parts in train for part in parts]),
        Joined(list(validation.values())),
        tuple(use),
        tags[0] | tags[1],
        tags[0],
    )
    return _gated(made, places, seed) if stage.name == "gate" else made


def _again(found: Opened, augment: Augment | None, seed: int, times: int) -> list[Located]:
    """The training samples so many times, each time drawn anew."""
    return [found.samples("train", augment, seed + time * APART) for time in range(times)]


def _gated(chests: Folds, places: Places, seed: int) -> Folds:
    """The same chests in all poses, and drawn pictures that are none."""
    train = GateSamples(chests.train, "train", seed, places.cache, places.say)
    validation = GateSamples(chests.validation, "val", seed, places.cache, places.say)
    digest = hashlib.sha256(f"others {train.others} {validation.others} {seed}".encode()).hexdigest()
    drawn = SplitFacts("drawn pictures of separate seeds", False, digest)
    use = DataUse("gate", "drawn pictures", train.others, validation.others, True, "drawn by cxredge", drawn)
    return Folds(train, validation, (*chests.use, use), chests.tags, chests.taught)
