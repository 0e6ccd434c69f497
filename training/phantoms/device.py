"""The development of pictures on a device of torch, many at once. torch is imported when one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from training.errors import bad
from training.phantoms.detector import Exposed, Settings, developed, settings
from training.phantoms.filters import blur_matrix

__all__ = ["Developer", "chosen"]

_PIXELS = 2**22
"""In a batch: 64 pictures of 256 x 256, which with matrices and steps between take some 200 MB."""


def chosen(device: str | None) -> str | None:
    """The device that a name stands for, None for none; "auto" takes a graphics card if torch sees one.

    Raises:
        UsageError: BAD_ARGUMENT: torch is not there or does not see that device.
    """
    if device is None:
        return None
    if find_spec("torch") is None:
        if device == "auto":
            return None
        raise bad(f"device {device!r}: needs torch, which is not installed; pip install '.[train]'")
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else None
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise bad(f"device {device!r}: torch cannot use it ({str(error).splitlines()[0]}); try 'auto'") from error
    return device


class Developer:
    """`training.phantoms.detector.develop` for many pictures of one size, on a device."""

    def __init__(self, device: str) -> None:
        self._device = device

    def at_once(self, size: int) -> int:
        """How many pictures of that size make a batch."""
        return int(max(1, _PIXELS // size**2))

    def __call__(self, pictures: Sequence[Exposed]) -> Iterator[npt.NDArray[np.uint16]]:
        """Stored values (size, size) of each, in order."""
        import torch

        with torch.inference_mode(), torch.autocast(torch.device(self._device).type, enabled=False), _exact():
            attenuation, noise = (self._stacked([getattr(p, n) for p in pictures]) for n in ("attenuation", "noise"))
            blurs = [
                self._blur(len(pictures[0].noise), steps) for steps in zip(*(p.widths for p in pictures), strict=True)
            ]
            stored = developed(torch, attenuation, noise, self._settings(pictures), blurs)
            # int16 holds 12 bits, and every device can make it.
            return iter(stored.to(torch.int16).cpu().numpy().view(np.uint16))

    def _stacked(self, arrays: Sequence[Any]) -> Any:
        import torch

        return torch.from_numpy(np.stack(arrays).astype(np.float32, copy=False)).to(self._device)

    def _settings(self, pictures: Sequence[Exposed]) -> Settings:
        """The settings of each, along the first axis."""
        each = [settings(picture) for picture in pictures]
        names = [field.name for field in fields(Settings) if field.name != "edges"]
        numbers = {name: self._stacked([np.full((1, 1), getattr(s, name)) for s in each]) for name in names}
        size = len(pictures[0].noise)
        all_inside = np.ones((1, size)), np.zeros((size, 1))
        most = max(len(s.edges) for s in each)
        padded = [s.edges + [all_inside] * (most - len(s.edges)) for s in each]
        edges = [tuple(self._stacked(half) for half in zip(*edge, strict=True)) for edge in zip(*padded, strict=True)]
        return Settings(**numbers, edges=edges)

    def _blur(self, size: int, steps: Sequence[int]) -> Callable[[Any], Any]:
        import torch

        matrices = torch.stack([_matrix(size, step, self._device) for step in steps])
        return lambda grids: matrices @ grids @ matrices.mT


@lru_cache(maxsize=96)
def _matrix(size: int, step: int, device: str) -> Any:
    import torch

    return torch.from_numpy(blur_matrix(size, step)).to(device)


@contextmanager
def _exact() -> Iterator[None]:
    """Products in full float32, whatever a training run has allowed."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
