"""Synthetic frontal chest radiographs with ground truth; see docs/phantoms.md. Names are imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.phantoms.generator import Box, Phantom, generate
    from training.phantoms.outline import heart_given_masks, lung_landmarks
    from training.phantoms.pool import PhantomPool, batch
    from training.phantoms.sampler import PREVALENCE, sample_findings
    from training.phantoms.shape_model import heart_given_lungs

__all__ = [
    "PREVALENCE",
    "Box",
    "Phantom",
    "PhantomPool",
    "batch",
    "generate",
    "heart_given_lungs",
    "heart_given_masks",
    "lung_landmarks",
    "sample_findings",
]

_HOME = dict.fromkeys(("Box", "Phantom", "generate"), "training.phantoms.generator")
_HOME |= dict.fromkeys(("PhantomPool", "batch"), "training.phantoms.pool")
_HOME |= dict.fromkeys(("PREVALENCE", "sample_findings"), "training.phantoms.sampler")
_HOME |= dict.fromkeys(("heart_given_masks", "lung_landmarks"), "training.phantoms.outline")
_HOME |= {"heart_given_lungs": "training.phantoms.shape_model"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'training.phantoms' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
