"""Narrow variants of the training methods: seconds, not minutes, on one core."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.methods import build
from training.methods.base import Method

# Views of 64 make feature maps of 2 x 2; ten crops of 64 fit a field of 128 in cells of 32.
NARROW: dict[str, Any] = {
    "width": 0.125,
    "blocks": (1, 1, 2, 1),
    "field": 128,
    "crop": 64,
    "mask": 32,
    "unet_width": 8,
    "unet_depth": 2,
}


def narrow(name: str, *, without: tuple[str, ...] = (), seed: int = 0, **options: Any) -> Method[Any]:
    """A method of a hundredth of its size, in evaluation, with seeded weights and batch norms that do something."""
    torch.manual_seed(seed)
    method = build(name, NARROW | options, without=without).eval()
    for module in method.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0.0, 0.1)
            assert module.running_mean is not None and module.running_var is not None
            torch.nn.init.normal_(module.running_mean, 0.0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return method


def images(count: int, side: int, seed: int = 0) -> Tensor:
    """Smooth random images [count, 1, side, side] in 0..1."""
    coarse = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
