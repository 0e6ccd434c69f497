"""Which images calibrate: every disease and every exposure has its share, and the draw can be repeated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["BANDS", "stratified"]

BANDS = 4
"""Bands of equally many images from dark to bright: an over-exposed film must not be new to the ranges."""


def stratified(
    truth: npt.NDArray[np.float64], exposure: npt.NDArray[np.float64], count: int, seed: int = 0
) -> list[int]:
    """Draw `count` images: in turn from each disease (and from those without any), in turn from each band of exposure.

    A stratum that is used up passes its turn on, so rare diseases give all that they have.

    Args:
        truth: [N, C] of 1, 0 and not-a-number.
        exposure: [N], an image's mean grey.
        count: how many; all where there are fewer.
        seed: of the draw.

    Returns:
        Indices, rising.
    """
    total = len(exposure)
    if total <= count:
        return list(range(total))
    order = np.random.default_rng(seed).permutation(total)
    ranks = np.argsort(np.argsort(exposure, kind="stable"), kind="stable")
    band = ranks * BANDS // total
    groups = [truth[:, c] == 1 for c in range(truth.shape[1])] + [~(truth == 1).any(1)]
    queues = [[i for i in order.tolist() if group[i] and band[i] == b] for b in range(BANDS) for group in groups]
    return sorted(_in_turn(queues, count))


def _in_turn(queues: list[list[int]], count: int) -> set[int]:
    """One of each queue at a time; an image of several diseases stands in several queues and is taken once."""
    chosen: set[int] = set()
    while len(chosen) < count and any(queues):
        for queue in queues:
            while queue and queue[0] in chosen:
                queue.pop(0)
            if queue and len(chosen) < count:
                chosen.add(queue.pop(0))
    return chosen
