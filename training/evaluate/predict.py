"""One pass of a network over a fold: everything that the scores are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from cxredge.postprocess import clean_masks
from cxredge.result import LABELS
from training.data import Box
from training.evaluate.localise import Edges, box_of_map, iou
from training.fit.folds import SampleSet
from training.methods.base import Method

__all__ = ["Found", "Localised", "examine"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Localised:
    """How the heat map of a disease met one drawn box."""

    sample: int
    label: str
    iou: float


@dataclass(frozen=True)
class Found:
    """What a network said of a fold.

    Attributes:
        truth: [N, 14]: 1, 0, or not-a-number where unknown.
        logits: [N, 14].
        dice, dice_cleaned: [N, 3]: of the masks at 0.5, and after the runtime's cleaning; not-a-number where nobody
            drew the structure.
        boxes: one entry a drawn box.
    """

    truth: Floats
    logits: Floats
    dice: Floats
    dice_cleaned: Floats
    boxes: tuple[Localised, ...]


def examine(
    model: Method[Any],
    samples: SampleSet,
    boxes: Sequence[tuple[Box, ...]] | None = None,
    *,
    threshold: float = 0.5,
    batch: int = 16,
    device: str = "cpu",
) -> Found:
    """Run a network in evaluation over samples that are not augmented.

    Args:
        model: the network; it is moved to `device`.
        samples: of the fold.
        boxes: of each sample, as fractions of the field; None where boxes shall not be looked at.
        threshold: of heat maps, see `training.evaluate.localise.RULE`.
        batch: images at once.
        device: of torch.
    """
    model = model.to(device).eval()
    rows: list[tuple[Floats, Floats, Floats]] = []
    met: list[Localised] = []
    with torch.inference_mode():
        for part in DataLoader(samples, batch_size=batch):  # type: ignore[arg-type]
            out = model(part["image"].to(device))
            masks, maps = out.masks.float().cpu().numpy(), out.heatmaps.float().cpu().numpy()
            plain, cleaned = _dice(masks, part["masks"].numpy(), part["masks_known"].numpy())
            rows.append((out.logits.double().cpu().numpy(), plain, cleaned))
            if boxes is not None:
                for index, each in zip(part["index"].tolist(), maps, strict=True):
                    met += _meet(index, each, boxes[index], tuple(model.heatmap_box), threshold)
    logits, plain, cleaned = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Found(samples.truth(), logits, plain, cleaned, tuple(met))


def _meet(
    index: int, maps: npt.NDArray[np.float32], boxes: tuple[Box, ...], covers: Edges, limit: float
) -> list[Localised]:
    """How the maps of one image meet its boxes."""
    met = []
    for box in boxes:
        pointed = box_of_map(maps[LABELS.index(box.label)], covers, limit)
        met.append(Localised(index, box.label, iou(pointed, (box.left, box.top, box.right, box.bottom))))
    return met


def _dice(
    masks: npt.NDArray[np.float32], truth: npt.NDArray[np.float32], known: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Dice [N, 3] of the masks as they come, and cleaned as the runtime does."""
    plain: Floats = np.full(known.shape, np.nan)
    cleaned: Floats = np.full(known.shape, np.nan)
    for row in np.flatnonzero(known.any(1)):
        drawn = truth[row] >= 0.5
        tidy = clean_masks(masks[row]).binary
        for k in np.flatnonzero(known[row]):
            plain[row, k] = _overlap(masks[row, k] >= 0.5, drawn[k])
            cleaned[row, k] = _overlap(tidy[k], drawn[k])
    return plain, cleaned


def _overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0
