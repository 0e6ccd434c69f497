"""Labelled images as calibration sees them: the table of `cxredge site`, with tags of patients and outlines of organs.

Columns beyond docs/site.md, all optional: `left_lung`, `right_lung`, `heart`: mask images of the same size as the
image, above half grey inside.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxredge.engines.cache import file_sha256
from cxredge.result import STRUCTURES
from cxredge.site.cases import read_cases

__all__ = ["Table", "image_hashes", "patient_tag", "read_table"]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Labelled images.

    Attributes:
        paths: of the images.
        tags: of each image's patient, as a checkpoint keeps them; images without a `patient` column count as a
            patient of their own.
        truth: [N, 14] of 1, 0 and not-a-number.
        masks: of each image: its mask file by structure; {} where there are none.
        sha256: of the table as a file.
    """

    paths: tuple[Path, ...] = field(repr=False)
    tags: tuple[str, ...] = field(repr=False)
    truth: npt.NDArray[np.float64] = field(repr=False)
    masks: tuple[dict[str, Path], ...] = field(repr=False)
    sha256: str

    def __len__(self) -> int:
        return len(self.paths)

    def only(self, indices: Iterable[int]) -> Table:
        """These rows, in this order."""
        kept = [int(index) for index in indices]
        return Table(
            paths=tuple(self.paths[i] for i in kept),
            tags=tuple(self.tags[i] for i in kept),
            truth=self.truth[kept].reshape(-1, self.truth.shape[1]),
            masks=tuple(self.masks[i] for i in kept),
            sha256=self.sha256,
        )


def patient_tag(patient: str) -> str:
    """The short hash that a checkpoint keeps of a patient, who is named as the training data name them."""
    return hashlib.sha256(patient.encode()).hexdigest()[:16]


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read and check a table of cases.

    Raises:
        InputError: CASES_UNUSABLE, as `cxredge site`.
    """
    known = read_cases(path)
    folder = Path(path).parent
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    names = [row["patient"].strip() if known.clustered else f"image {number}" for number, row in enumerate(rows)]
    masks = [{name: folder / row[name].strip() for name in STRUCTURES if (row.get(name) or "").strip()} for row in rows]
    return Table(known.paths, tuple(map(patient_tag, names)), known.truth, tuple(masks), known.sha256)


def image_hashes(paths: Sequence[Path]) -> list[str]:
    """SHA-256 of each image file: reports name images by it, never by path."""
    return [file_sha256(path) for path in paths]
