"""Decisions that a network takes inside, where a rounding difference can become a jump.

Two methods have them. AG-CNN compares its heat map with tau and crops a box: a cell that lies at tau within rounding
may fall on either side, and another crop gives other logits. CXR-IRNet compares its masks with one half. No bound on
the outputs would be honest there: a tight one fails by chance, a loose one hides faults. So where an engine decided
otherwise than torch, each cell in question must lie at the threshold within a stated distance, the case is counted
and reported, and the engine is compared with torch given the engine's own decision, under the same tight bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.methods.base import Method

__all__ = ["Inner", "inner_of", "watched"]

Array = npt.NDArray[np.float32]
Values = Mapping[str, Array]


class Inner(Protocol):
    """The inner decisions of a method.

    Attributes:
        probes: the values that they are taken on, as extra outputs of the graph that is compared.
    """

    probes: tuple[str, ...]

    def differing(self, ours: Values, theirs: Values) -> Array:
        """Of each image: how far from the threshold the farthest cell lies that was decided otherwise; 0 if none."""

    def again(self, method: Method[Any], image: Tensor, theirs: Values) -> dict[str, Tensor]:
        """What torch answers when it is given the engine's decisions: the outputs that hang on them, by name."""


def _farthest(value: Array, other: Array, threshold: float, ours: npt.NDArray[np.bool_], theirs: Any) -> Array:
    away = np.maximum(np.abs(value - threshold), np.abs(other - threshold))
    flat = np.where(ours != theirs, away, 0.0).reshape(len(value), -1)
    found: Array = flat.max(1).astype(np.float32)
    return found


class BoxOfRegion:
    """AG-CNN: heat > tau, and the box around the largest region."""

    probes = ("heat", "box")

    def __init__(self, tau: float) -> None:
        self.tau = np.float32(tau)

    def differing(self, ours: Values, theirs: Values) -> Array:
        """See `Inner`. Another box although no cell was decided otherwise is infinitely far."""
        heat, other = ours["heat"], theirs["heat"]
        away = _farthest(heat, other, float(self.tau), heat > self.tau, other > self.tau)
        moved = (np.abs(ours["box"] - theirs["box"]) > 1e-6).any(1)
        return np.where(moved & (away == 0), np.float32(np.inf), away)

    def again(self, method: Method[Any], image: Tensor, theirs: Values) -> dict[str, Tensor]:
        """See `Inner`."""
        given = torch.from_numpy(theirs["heat"]), torch.from_numpy(theirs["box"])
        with _replaced(method, "region", lambda _: given):
            return {"logits": method(image).logits}


class UnionOfMasks:
    """CXR-IRNet: a pixel belongs to the organs if any mask is at least one half."""

    probes = ()

    def differing(self, ours: Values, theirs: Values) -> Array:
        """See `Inner`."""
        mine, other = ours["masks"].max(1), theirs["masks"].max(1)
        return _farthest(mine, other, 0.5, mine >= 0.5, other >= 0.5)

    def again(self, method: Method[Any], image: Tensor, theirs: Values) -> dict[str, Tensor]:
        """See `Inner`. The masks themselves are compared as they are."""
        organs = method.view_masks(torch.from_numpy(theirs["masks"]))
        scores = method.score(method.view(image), organs)
        return {"logits": scores.logits, "heatmaps": scores.maps}


def inner_of(method: Method[Any]) -> Inner | None:
    """The inner decisions of a method; None where it has none."""
    if method.name == "ag_cnn" and method.options.local_crop:
        return BoxOfRegion(method.options.tau)
    if method.name == "cxr_irnet" and method.options.feature_weighting:
        return UnionOfMasks()
    return None


@contextmanager
def watched(method: Method[Any], inner: Inner | None) -> Iterator[list[Tensor]]:
    """Collect the probes of each run of the method, in the order of `inner.probes`."""
    seen: list[Tensor] = []
    if inner is None or not inner.probes:
        yield seen
        return
    region = method.region

    def watching(features: Tensor) -> tuple[Tensor, Tensor]:
        seen[:] = region(features)
        return seen[0], seen[1]

    with _replaced(method, "region", watching):
        yield seen


@contextmanager
def _replaced(method: Method[Any], name: str, value: Any) -> Iterator[None]:
    object.__setattr__(method, name, value)
    try:
        yield
    finally:
        object.__delattr__(method, name)
