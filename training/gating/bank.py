"""Drawn pictures that are kept: they take longer to draw than the network takes to look at them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["FOLDS", "bank_of", "kinds_of"]

Bank = npt.NDArray[np.uint8]

FOLDS = {"train": 0, "val": 1, "test": 2}
"""The first word of every seed: no picture of one fold is drawn in another."""


def bank_of(
    count: int, side: int, fold: str, seed: int, cache: Path, say: Callable[[str], None] = lambda _: None
) -> Bank:
    """Pictures [count, side, side] of 8 bits, drawn if they are not there or were drawn by other code.

    Args:
        count: how many.
        side: pixels on a side.
        fold: a key of `FOLDS`.
        seed: of the run.
        cache: the folder of caches.
        say: told when drawing starts.
    """
    path = cache / f"others-{side}-{_key(count, side, fold, seed)}.npy"
    if not path.is_file():
        say(f"drawing {count} pictures that are no chests, {side} x {side}")
        _keep(path, _drawn(count, side, fold, seed))
    found: Bank = np.load(path, mmap_mode="r")
    return found


def kinds_of(count: int, fold: str, seed: int) -> list[str]:
    """What each picture of a bank shows, as `training.others.DRAWN` names it."""
    from training.others import choose

    return [choose(_stream(fold, seed, index)) for index in range(count)]


def _stream(fold: str, seed: int, index: int) -> np.random.Generator:
    return np.random.default_rng([FOLDS[fold], seed, index])


def _drawn(count: int, side: int, fold: str, seed: int) -> Bank:
    from training.others import draw

    pictures = np.empty((count, side, side), np.uint8)
    for index in range(count):
        pictures[index] = np.rint(draw(_stream(fold, seed, index), side) * 255)
    return pictures


def _key(count: int, side: int, fold: str, seed: int) -> str:
    """What the pictures depend on, the code that draws them included."""
    from training import others

    digest = hashlib.sha256(repr((count, side, fold, seed)).encode())
    for path in sorted(Path(others.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _keep(path: Path, pictures: Bank) -> None:
    """Write beside, then rename: a file of that name is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.npy")
    np.save(part, pictures)
    part.replace(path)
