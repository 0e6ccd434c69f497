"""Whether the outlines that were found can be the lungs of a frontal chest radiograph.

The bounds are wide on purpose: a lung behind an effusion or a resected one must pass, a hand or a lateral view must not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxredge.postprocess import CleanMasks, Measures

__all__ = ["Bounds", "implausible_lungs"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Shares of the image's area."""

    smallest_lung: float = 0.01
    smallest_pair: float = 0.06
    largest_pair: float = 0.80


def implausible_lungs(masks: CleanMasks, measures: Measures, bounds: Bounds = Bounds()) -> str | None:
    """What is wrong with the lungs, in words for the message; None when they are plausible."""
    left, right = measures.lung_fraction
    if min(left, right) < bounds.smallest_lung:
        return "a lung is missing" if max(left, right) >= bounds.smallest_lung else "no lungs were found"
    if left + right < bounds.smallest_pair:
        return f"both lungs cover only {left + right:.0%} of the image"
    if left + right > bounds.largest_pair:
        return f"both lungs cover {left + right:.0%} of the image"
    columns = np.arange(masks.binary.shape[2])
    centres = [float((mask * columns).sum() / mask.sum()) for mask in masks.binary[:2]]
    if centres[0] <= centres[1]:
        return "left and right lung lie on the wrong sides"
    return None
