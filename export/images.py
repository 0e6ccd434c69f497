"""The images that answers are compared on: drawn chests, and real ones where a folder is given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.errors import CxredgeError
from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import open_source, read_plane
from export.errors import ExportError, Problem
from training.fit.sources import FIT
from training.phantoms import generate

__all__ = ["Images", "gather"]

FIRST = 800_000
SUFFIXES = {".dcm", ".dicom", ".ima", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ""}

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Images:
    """A batch for `image`, and where it comes from.

    Attributes:
        batch: float32 [N, 1, H, W], 0..1.
        phantoms, real: how many of each.
        refused: files of the folders that are no radiographs or cannot be read.
    """

    batch: Array
    phantoms: int
    real: int
    refused: int

    def told(self) -> dict[str, Any]:
        """For the report: no file is named, a name may tell who the patient is."""
        digest = hashlib.sha256(self.batch.tobytes()).hexdigest()
        return {"phantoms": self.phantoms, "real": self.real, "refused": self.refused, "sha256": digest}

    def first(self, count: int) -> Images:
        """So many of them, a drawn one and a real one by turns as long as there are both."""
        drawn = [(turn, 0, turn) for turn in range(self.phantoms)]
        real = [(turn, 1, self.phantoms + turn) for turn in range(self.real)]
        chosen = [index for _, _, index in sorted(drawn + real)[:count]]
        phantoms = sum(index < self.phantoms for index in chosen)
        return Images(self.batch[chosen], phantoms, len(chosen) - phantoms, self.refused)


def gather(side: int, *, phantoms: int, folders: Sequence[Path] = (), each: int = 8) -> Images:
    """Planes by the runtime's own preprocessing, as training made them.

    Args:
        side: of the field in pixels.
        phantoms: how many drawn chests; their seeds are the same every time.
        folders: each is searched, folders inside too.
        each: how many images of each folder, spread evenly over its files.

    Raises:
        ExportError: a folder has no image that can be read, or there is no image at all.
    """
    if not phantoms and not folders:
        raise ExportError(Problem.PARITY, "there is no image to compare on: give --phantoms or --data")
    drawn = [generate(FIRST + index, size=side).image for index in range(phantoms)]
    real: list[Array] = []
    refused = 0
    for folder in folders:
        found, bad = _of_folder(folder, side, each)
        if not found:
            raise ExportError(Problem.PARITY, f"{folder}: none of its {bad} files can be read as a radiograph")
        real, refused = real + found, refused + bad
    batch = np.stack([*drawn, *real]).astype(np.float32)[:, None]
    return Images(np.ascontiguousarray(batch), len(drawn), len(real), refused)


def _of_folder(folder: Path, side: int, most: int) -> tuple[list[Array], int]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in SUFFIXES)
    spread = [files[index * len(files) // most] for index in range(most)] if len(files) > most else files
    rest = [path for path in files if path not in set(spread)]
    planes: list[Array] = []
    refused = 0
    for path in [*spread, *rest]:
        if len(planes) == most:
            break
        try:
            radiograph = open_source(path)
            planes.append(read_plane(radiograph, Geometry(side, side, FIT), Percentiles())[0])
        except CxredgeError:  # abstentions too
            refused += 1
    return planes, refused
