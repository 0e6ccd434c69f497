"""A site's cases for tests: drawn chests, what the tiny bundle says of them, and labels that fit what it says."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cxredge.result import LABELS, STRUCTURES
from tests.support.phantom import draw_masks, draw_phantom

PLENTY = ("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration")
"""Half of the patients have these; every other label but SOME has three."""
SOME = ("Mass", "Nodule")
"""30 patients have these."""
FEW = 3


def draw_cases(folder: Path, count: int) -> list[Path]:
    """So many frontal chests as 8-bit PNG."""
    paths = []
    for seed in range(count):
        image = (draw_phantom(160, 140, seed=seed).astype(np.uint32) * 255 // 4095).astype(np.uint8)
        paths.append(folder / f"case-{seed:04d}.png")
        Image.fromarray(image).save(paths[-1], compress_level=1)
    return paths


def draw_labels(scores: np.ndarray, seed: int = 0) -> np.ndarray:
    """Labels [N, 14] that go with the scores [N, 14], but not wholly."""
    rng = np.random.default_rng(seed)
    spread = np.argsort(np.argsort(scores, axis=0), axis=0) / len(scores) + rng.normal(0, 0.25, scores.shape)
    counts = [len(scores) // 2 if label in PLENTY else 30 if label in SOME else FEW for label in LABELS]
    ranks = np.argsort(np.argsort(-spread, axis=0), axis=0)
    return (ranks < np.array(counts)).astype(float)


def draw_mask_files(folder: Path, count: int) -> list[list[Path]]:
    """The true outlines of `draw_cases` as PNG: left lung, right lung and heart of each."""
    files = []
    for seed in range(count):
        files.append([folder / f"case-{seed:04d}.{name}.png" for name in STRUCTURES])
        for path, mask in zip(files[-1], draw_masks(160, 140, seed=seed), strict=True):
            Image.fromarray(mask.astype(np.uint8) * 255).save(path, compress_level=1)
    return files


def write_cases(
    path: Path,
    images: Sequence[Path],
    truth: np.ndarray,
    patients: Sequence[str] | None = None,
    masks: Sequence[Sequence[Path]] | None = None,
) -> Path:
    """The table; not-a-number becomes an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        head = ["path", *(["patient"] if patients else []), *LABELS, "note"]
        writer.writerow([*head, *(STRUCTURES if masks else [])])
        for index, image in enumerate(images):
            cells = ["" if np.isnan(value) else int(value) for value in truth[index]]
            row = [image, *([patients[index]] if patients else []), *cells, "never read"]
            writer.writerow([*row, *(masks[index] if masks else [])])
    return path
