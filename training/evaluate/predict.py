"""One pass of a network over a fold: everything that the scores are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from cxredge.pixels import Placement
from cxredge.postprocess import CleanMasks, clean_masks, measure
from cxredge.result import LABELS
from training.data import Box
from training.evaluate.localise import Edges, box_of_map, iou
from training.fit.folds import SampleSet
from training.methods.base import Method

__all__ = ["Found", "Localised", "examine", "ratio_of"]

Floats = npt.NDArray[np.float64]

WHOLE = Placement((0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0))
"""A plane that is the image itself: its scale is nothing to a ratio, and the border holds neither lung nor heart."""


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
        ratios: [N, 2]: the cardiothoracic ratio of the cleaned masks, and of the drawn ones; not-a-number where a
            structure was not found, or not drawn.
        boxes: one entry a drawn box.
    """

    truth: Floats
    logits: Floats
    dice: Floats
    dice_cleaned: Floats
    ratios: Floats
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
    rows: list[tuple[Floats, Floats, Floats, Floats]] = []
    met: list[Localised] = []
    with torch.inference_mode():
        for part in DataLoader(samples, batch_size=batch):  # type: ignore[arg-type]
            out = model(part["image"].to(device))
            masks, maps = out.masks.float().cpu().numpy(), out.heatmaps.float().cpu().numpy()
            outlined = _outlined(masks, part["masks"].numpy(), part["masks_known"].numpy())
            rows.append((out.logits.double().cpu().numpy(), *outlined))
            if boxes is not None:
                for index, each in zip(part["index"].tolist(), maps, strict=True):
                    met += _meet(index, each, boxes[index], tuple(model.heatmap_box), threshold)
    logits, plain, cleaned, ratios = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Found(samples.truth(), logits, plain, cleaned, ratios, tuple(met))


def _meet(
    index: int, maps: npt.NDArray[np.float32], boxes: tuple[Box, ...], covers: Edges, limit: float
) -> list[Localised]:
    """How the maps of one image meet its boxes."""
    met = []
    for box in boxes:
        pointed = box_of_map(maps[LABELS.index(box.label)], covers, limit)
        met.append(Localised(index, box.label, iou(pointed, (box.left, box.top, box.right, box.bottom))))
    return met


def _outlined(
    masks: npt.NDArray[np.float32], truth: npt.NDArray[np.float32], known: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """Dice [N, 3] of the masks as they come, and cleaned as the runtime does; and the ratios [N, 2]."""
    plain: Floats = np.full(known.shape, np.nan)
    cleaned: Floats = np.full(known.shape, np.nan)
    ratios: Floats = np.full((len(masks), 2), np.nan)
    for row in range(len(masks)):
        drawn, tidy = truth[row] >= 0.5, clean_masks(masks[row])
        ratios[row, 0] = ratio_of(tidy)
        if known[row].all():
            ratios[row, 1] = ratio_of(clean_masks(truth[row]))
        for k in np.flatnonzero(known[row]):
            plain[row, k] = _overlap(masks[row, k] >= 0.5, drawn[k])
            cleaned[row, k] = _overlap(tidy.binary[k], drawn[k])
    return plain, cleaned, ratios


def ratio_of(masks: CleanMasks) -> float:
    """The runtime's ratio of these outlines; not-a-number where a lung or the heart is missing."""
    rows, columns = masks.binary.shape[1:]
    found = measure(masks, WHOLE, rows, columns).cardiothoracic_ratio
    return np.nan if found is None else found


def _overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0
