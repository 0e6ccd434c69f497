"""Phantoms that are drawn once and kept: an epoch reads them as fast as a real data set's planes."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cxredge.result import LABELS, STRUCTURES
from training.data import Augment, Box, PhantomDataset
from training.errors import bad

if TYPE_CHECKING:
    from training.phantoms import Phantom

__all__ = ["PhantomSet", "draw_one"]

SEVERE = 20171219
"""Keeps the draw of diseases here apart from all that `generate` draws from the same seed."""

FEW = 64
"""Below this, starting processes takes longer than drawing."""


class PhantomSet(PhantomDataset):
    """Phantoms of consecutive seeds, from disk, as a `SampleSet`. Made by `draw`.

    Attributes:
        boxes: of each phantom.
        known: of which structures the outlines count; of the others nothing is learned.
    """

    boxes: list[tuple[Box, ...]]
    known: tuple[bool, ...] = (True,) * len(STRUCTURES)

    @classmethod
    def draw(
        cls,
        count: int,
        cache: Path,
        *,
        size: int,
        mask: int,
        first_seed: int,
        augment: Augment | None,
        seed: int,
        say: Callable[[str], None],
        workers: int | None,
        options: Mapping[str, Any],
        device: str | None = None,
    ) -> PhantomSet:
        """Open these phantoms, drawing them if they are not there or were drawn by other code.

        Args:
            count: how many; 0 gives an empty set.
            cache: the folder of caches.
            size: side of the image.
            mask: side of the masks; must divide `size`.
            first_seed: of the first phantom.
            augment: as of `PhantomDataset`.
            seed: of the augmentation.
            say: told when drawing starts.
            workers: processes that draw; None is one a processor.
            options: of `training.phantoms.generate`, `least_severity`, and `finer`: how many pixels, along each axis,
                are drawn for one of the image and then averaged, as a file's are. What is drawn at the size of the
                image itself has a finer grain than a file that was reduced to it.
            device: as of `training.phantoms.PhantomPool`.
        """
        from training.phantoms import PhantomPool
        from training.phantoms.device import chosen

        used = chosen(device)
        folder = cache / f"phantoms-{size}-{_key(count, size, mask, first_seed, options, used)}"
        if count and not folder.is_dir():
            say(f"drawing {count} phantoms of {size} x {size}" + (f", pictures on {used}" if used else ""))
            processes = 0 if count < FEW else (os.cpu_count() or 1) if workers is None else workers
            with PhantomPool(processes, device=used) as pool:
                seeds, finer = range(first_seed, first_seed + count), _finer(options)
                phantoms = pool.stream(seeds, size=size * finer, **_options(options))
                _draw(folder, count, size, mask, phantoms, finer)
        shape = {"size": size, "masks_size": (mask, mask), "first_seed": first_seed}
        found = cls(max(count, 1), augment=augment, seed=seed, **shape)  # type: ignore[arg-type]
        found._open(folder, count, mask)
        return found

    def _open(self, folder: Path, count: int, mask: int) -> None:
        self._count = count
        # The stored masks have the size that comes out, so that a plain item needs no resampling.
        self._plain = self._augment is None
        self._images = np.load(folder / "images.npy", mmap_mode="r") if count else np.zeros((0, 1, 1), np.uint16)
        self._masks = np.load(folder / "masks.npy", mmap_mode="r") if count else np.zeros((0, 3, mask, mask), np.uint8)
        self._labels = np.load(folder / "labels.npy") if count else np.zeros((0, len(LABELS)), np.uint8)
        told = json.loads((folder / "boxes.json").read_text(encoding="utf-8")) if count else []
        self.boxes = [tuple(Box(*box) for box in boxes) for boxes in told]

    def __getitem__(self, position: int) -> dict[str, Any]:
        """The item of phantom `first_seed + position`."""
        image = self._images[position].astype(np.float32) * np.float32(1 / 65535)
        masks = self._masks[position].astype(np.float32) * np.float32(1 / 255)
        return self._item(position, image, self._labels[position].tolist(), masks, self.known)

    def locate(self, boxes: Sequence[tuple[Box, ...]]) -> None:
        """Items have `evidence` from here on: of each position its boxes, as fractions of the field."""
        self.located = dict(enumerate(boxes))

    def describe(self, index: int) -> str:
        """The phantom's seed."""
        return f"phantom of seed {self._first + index}"

    def truth(self) -> npt.NDArray[np.float64]:
        """All labels."""
        return self._labels.astype(np.float64)


def _key(count: int, size: int, mask: int, first_seed: int, options: Mapping[str, Any], device: str | None) -> str:
    """What the pictures depend on, the code that draws them included."""
    from training import phantoms

    digest = hashlib.sha256(json.dumps([count, size, mask, first_seed, dict(options), device], sort_keys=True).encode())
    for path in sorted(Path(phantoms.__file__).parent.glob("*.*")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _draw(folder: Path, count: int, size: int, mask: int, phantoms: Iterable[Phantom], finer: int) -> None:
    images = np.empty((count, size, size), np.uint16)
    masks = np.empty((count, 3, mask, mask), np.uint8)
    labels = np.empty((count, len(LABELS)), np.uint8)
    boxes: list[list[tuple[str, float, float, float, float]]] = []
    cell, side = size * finer // mask, size * finer
    for place, phantom in enumerate(phantoms):
        image = phantom.image.reshape(size, finer, size, finer).mean((1, 3), dtype=np.float64)
        images[place] = np.rint(image * 65535)
        shares = phantom.masks.reshape(3, mask, cell, mask, cell).mean((2, 4))
        masks[place], labels[place] = np.rint(shares * 255), phantom.labels
        boxes.append([(b.label, b.left / side, b.top / side, b.right / side, b.bottom / side) for b in phantom.boxes])
    _keep(folder, {"images": images, "masks": masks, "labels": labels}, boxes)


def _finer(options: Mapping[str, Any]) -> int:
    """How many pixels are drawn for one, along each axis.

    Raises:
        UsageError: it is not a whole number from 1 to 16.
    """
    finer = options.get("finer", 1)
    if not isinstance(finer, int) or not 1 <= finer <= 16:
        raise bad(f"finer is a whole number from 1 to 16, not {finer!r}")
    return finer


def draw_one(seed: int, *, size: int, options: Mapping[str, Any]) -> Phantom:
    """A phantom as a set with those options has it."""
    from training.phantoms import generate

    return generate(seed, size=size, **_options(options))


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `generate`: `least_severity` and `finer` are known here alone."""
    rest = dict(options)
    rest.pop("finer", None)
    if least := float(rest.pop("least_severity", 0.0)):
        rest["findings"] = partial(_findings, least=least, prevalence=rest.pop("prevalence", None))
    return rest


def _findings(seed: int, *, least: float, prevalence: Mapping[str, float] | None) -> dict[str, float]:
    """Random diseases, each of at least that severity, so that a small network sees them."""
    from training.phantoms import sample_findings

    drawn = sample_findings(np.random.default_rng([seed, SEVERE]), prevalence)
    return {label: max(least, value) for label, value in drawn.items()}


def _keep(folder: Path, arrays: Mapping[str, npt.NDArray[Any]], boxes: object) -> None:
    """Write beside, then rename: a folder of that name is whole."""
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    part.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(part / f"{name}.npy", array)
    (part / "boxes.json").write_text(json.dumps(boxes), encoding="utf-8")
    try:
        part.replace(folder)
    except OSError:
        shutil.rmtree(part)
        if not folder.is_dir():
            raise
