"""Which diseases a random phantom has: together about as often as they come together in patients."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from cxredge.result import LABELS
from training.errors import bad
from training.phantoms.shape_model import Points

__all__ = ["PREVALENCE", "sample_findings"]

PREVALENCE: dict[str, float] = {
    "Atelectasis": 0.12,
    "Cardiomegaly": 0.10,
    "Effusion": 0.13,
    "Infiltration": 0.12,
    "Mass": 0.08,
    "Nodule": 0.09,
    "Pneumonia": 0.08,
    "Pneumothorax": 0.08,
    "Consolidation": 0.08,
    "Edema": 0.08,
    "Emphysema": 0.07,
    "Fibrosis": 0.07,
    "Pleural_Thickening": 0.08,
    "Hernia": 0.05,
}
"""Chance of each disease by default: rare ones are drawn more often than a clinic sees them."""

_TOGETHER: dict[tuple[str, str], float] = {
    ("Atelectasis", "Effusion"): 0.40,
    ("Cardiomegaly", "Edema"): 0.40,
    ("Cardiomegaly", "Effusion"): 0.25,
    ("Consolidation", "Effusion"): 0.25,
    ("Consolidation", "Pneumonia"): 0.25,
    ("Edema", "Effusion"): 0.35,
    ("Edema", "Emphysema"): -0.25,
    ("Cardiomegaly", "Emphysema"): -0.30,
    ("Emphysema", "Pneumothorax"): 0.30,
    ("Fibrosis", "Pleural_Thickening"): 0.35,
    ("Infiltration", "Pneumonia"): 0.25,
    ("Infiltration", "Edema"): 0.15,
    ("Mass", "Nodule"): 0.30,
    ("Mass", "Effusion"): 0.15,
    ("Pleural_Thickening", "Effusion"): 0.15,
}


def _root() -> Points:
    """A square root of the correlation matrix, brought to the nearest one that is positive."""
    matrix = np.eye(len(LABELS))
    for (first, second), value in _TOGETHER.items():
        i, j = LABELS.index(first), LABELS.index(second)
        matrix[i, j] = matrix[j, i] = value
    values, vectors = np.linalg.eigh(matrix)
    root = vectors * np.sqrt(np.clip(values, 1e-6, None))
    return root / np.sqrt((root**2).sum(1, keepdims=True))


_ROOT = _root()


def sample_findings(rng: np.random.Generator, prevalence: Mapping[str, float] | None = None) -> dict[str, float]:
    """A random set of diseases with severities 0.2..1: a Gaussian copula with fixed correlations.

    Args:
        rng: what decides.
        prevalence: label -> chance, for labels that differ from `PREVALENCE`.

    Raises:
        UsageError: BAD_ARGUMENT: an unknown label, or a chance outside 0..1.
    """
    chances = {**PREVALENCE, **(prevalence or {})}
    if set(chances) != set(LABELS) or not all(0 <= chance <= 1 for chance in chances.values()):
        raise bad(f"prevalence: labels must be of {', '.join(LABELS)} and chances within 0..1")
    ranks = [0.5 * math.erfc(value / math.sqrt(2)) for value in _ROOT @ rng.standard_normal(len(LABELS))]
    severities = 0.2 + 0.8 * rng.beta(1.6, 1.4, len(LABELS))
    return {label: round(float(severities[i]), 4) for i, label in enumerate(LABELS) if ranks[i] < chances[label]}
