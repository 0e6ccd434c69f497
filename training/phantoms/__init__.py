"""Synthetic frontal chest radiographs with ground truth: anatomy, the fourteen diseases, exposure; see docs/phantoms.md."""

from __future__ import annotations

from training.phantoms.generator import Box, Phantom, PhantomPool, batch, generate
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
    "sample_findings",
]
