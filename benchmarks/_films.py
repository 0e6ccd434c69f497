"""The films that latency is measured on: one drawn chest in each transfer syntax."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support import dicom_files as files
from tests.support.phantom import example_film

__all__ = ["SYNTAXES", "many", "write"]

SYNTAXES = {
    "raw": files.EXPLICIT,
    "jpeg_2000": files.J2K_LOSSLESS,
    "jpeg_ls": files.JPEG_LS,
    "rle": files.RLE,
}
_TAGS = {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "PixelSpacing": [0.14, 0.14]}


def write(folder: Path, rows: int, columns: int, names: tuple[str, ...] = ("raw",), seed: int = 0) -> dict[str, Path]:
    """12 bits in 16, with noise; one file a syntax."""
    image = example_film(rows, columns, seed=seed)
    return {
        name: files.write_dicom(folder / f"{name}.dcm", image, syntax=SYNTAXES[name], window=(2048, 4096), tags=_TAGS)
        for name in names
    }


def many(folder: Path, count: int, rows: int, columns: int, different: int = 8) -> list[Path]:
    """`count` raw files of which `different` hold pixels of their own; the others are links to those.

    So they fit into the page cache, and the processor's caches still see other pixels each time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for seed in range(min(different, count)):
        image = example_film(rows, columns, seed=seed)
        made.append(files.write_dicom(folder / f"film-{seed:05}.dcm", image, window=(2048, 4096), tags=_TAGS))
    for number in range(len(made), count):
        target = folder / f"film-{number:05}.dcm"
        os.link(made[number % len(made)], target)
        made.append(target)
    return made
