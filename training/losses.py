"""The losses of the five papers. Logits in, one number out; nothing overflows however sure the network is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

from training.errors import bad

__all__ = ["bce", "biased_focal", "dice", "evidence", "focal"]


def bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over images and labels (CXR-IRNet eq. 1, AG-CNN eq. 2, CRAL eq. 10).

    Args:
        logits: [N, C].
        targets: the same shape, 0 or 1.
    """
    return fn.binary_cross_entropy_with_logits(logits, targets)


def focal(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss: -alpha_t (1 - p_t)^gamma log p_t (Lin et al., ICCV 2017, eq. 5), the mean over images and labels.

    Args:
        logits: [N, C].
        targets: the same shape, 0 or 1.
        alpha: weight of the positives; negatives weigh 1 - alpha.
        gamma: the focusing exponent, 0 (weighted cross-entropy) or at least 1.
    """
    return biased_focal(logits, targets, alpha=alpha, beta=gamma, shift=0.0)


def biased_focal(
    logits: Tensor, targets: Tensor, *, alpha: float = 0.4, beta: float = 2.0, shift: float = 0.2
) -> Tensor:
    """Biased focal loss (MLRFNet eq. 3 and 4), the mean over images and labels.

    -alpha (1 - p)^beta y log p - (1 - alpha) max(p - shift, 0)^beta (1 - y) log(1 - p). The shift stands in the
    negatives' focusing factor only, so a negative below it costs nothing.

    Args:
        logits: [N, C].
        targets: the same shape, 0 or 1.
        alpha: weight of the positives; negatives weigh 1 - alpha.
        beta: the focusing exponent. The paper does not state its value; 2 is usual.
        shift: s.

    Raises:
        UsageError: beta lies between 0 and 1, where the factor's slope at 0 is infinite, or below 0.
    """
    if beta != 0 and beta < 1:
        raise bad(f"the focusing exponent must be 0 or at least 1, not {beta}")
    probability = torch.sigmoid(logits)
    positive = -alpha * torch.sigmoid(-logits) ** beta * targets * fn.logsigmoid(logits)
    negative = -(1 - alpha) * (probability - shift).clamp_min(0) ** beta * (1 - targets) * fn.logsigmoid(-logits)
    return (positive + negative).mean()


def dice(probabilities: Tensor, targets: Tensor, labelled: Tensor | None = None) -> Tensor:
    """One minus Dice, 2 |M and P| / (|M| + |P|) (CXR-IRNet eq. 2), the mean over the structures that are labelled.

    MONAI's Dice loss has no notion of a structure that an image's annotator did not draw; this one leaves it out.

    Args:
        probabilities: [N, K, h, w] in 0..1.
        targets: the same shape, 0 or 1; whatever stands where a structure is not labelled is not read.
        labelled: [N, K], true where the structure was drawn; None is everywhere.

    Returns:
        0 (perfect) to 1. 0, with a gradient of 0, where nothing is labelled. A structure that is truly empty (drawn,
        without a pixel) costs nothing only where nothing is predicted.
    """
    known = torch.ones_like(targets[:, :, 0, 0], dtype=torch.bool) if labelled is None else labelled.bool()
    truth = torch.where(known[:, :, None, None], targets, torch.zeros_like(targets))
    overlap = (probabilities * truth).sum((2, 3))
    total = probabilities.sum((2, 3)) + truth.sum((2, 3))
    # Half a pixel keeps 0/0 away, and moves no Dice of a real organ by more than rounding does.
    score = (2 * overlap + 0.5) / (total + 0.5)
    return ((1 - score) * known).sum() / known.sum().clamp_min(1)


SHARPNESS = 10.0
"""How steeply `evidence` tells cells above the middle of a map's range from those below it."""


def evidence(maps: Tensor, covered: Tensor) -> Tensor:
    """One minus Dice of what a heat map points at and the boxes of its disease, the mean over the maps with a box.

    A map points at the cells above the middle of its own range: that is how boxes are read off it
    (`training.evaluate.localise.RULE`), so nothing is asked of its level, which is the logit's affair. The step at the
    middle is a sigmoid here.

    Args:
        maps: [N, C, h, w], in logits.
        covered: [N, C, H, W], H and W at least h and w: how much of each cell lies in a box; all 0 where no box is
            known, and nothing is learned.

    Returns:
        0 (the maps point at just these cells) to 1; 0, with a gradient of 0, where no box is known.
    """
    truth = fn.adaptive_avg_pool2d(covered, maps.shape[-2:])
    known = truth.amax((2, 3)) > 0
    if not bool(known.any()):
        return maps.sum() * 0.0
    values, truth = maps.float()[known], truth[known]
    low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
    share = (values - low) / (high - low).clamp_min(1e-3)
    pointed = torch.sigmoid((share - 0.5) * SHARPNESS)
    overlap, total = (pointed * truth).sum((1, 2)), (pointed + truth).sum((1, 2))
    return (1 - 2 * overlap / total).mean()
