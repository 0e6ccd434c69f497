"""The graph's input planes of a table's images, made once by the runtime's own reading and kept while work goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.cases import Table, image_hashes
from calibration.errors import CalibrationError, Problem
from cxredge.errors import Abstention, Code, CxredgeError
from cxredge.files import write_atomically
from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import open_source, read_plane
from cxredge.result import STRUCTURES
from export.graphfile import GraphFile

__all__ = ["Planes", "geometry_of", "masks_of", "prepare"]

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Images that can be run.

    Attributes:
        table: their rows.
        hashes: SHA-256 of each image file.
        planes: [N, H, W], on disk.
        refused: images of the table that the runtime abstains on or cannot read.
        geometry: of the planes.
    """

    table: Table
    hashes: tuple[str, ...] = field(repr=False)
    planes: Array = field(repr=False)
    refused: int
    geometry: Geometry

    def __len__(self) -> int:
        return len(self.hashes)

    def batch(self, index: int) -> Array:
        """One image as the graph takes it: [1, 1, H, W]."""
        return np.ascontiguousarray(self.planes[index][None, None], np.float32)


def geometry_of(graph: GraphFile) -> Geometry:
    """How an image becomes this graph's input.

    Raises:
        CalibrationError: the graph does not say how images are fitted, as those of `python -m export` do.
    """
    told = graph.metadata.get("input")
    if not isinstance(told, dict) or told.get("fit") not in ("stretch", "pad", "crop"):
        raise CalibrationError(Problem.CASES, f"{graph.path} does not say how an image is fitted: export it again")
    return Geometry(*graph.input_size, told["fit"])


def prepare(table: Table, geometry: Geometry, folder: Path, step: Callable[[], None] = lambda: None) -> Planes:
    """Read every image, or take what an interrupted run left in `folder`.

    The folder then holds images of patients: it is as private as the cases, and `discard` empties it.

    Raises:
        CalibrationError: no image can be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    array, stamp = folder / "planes.npy", folder / "planes.json"
    hashes = image_hashes(table.paths)
    key = {"images": hashes, "geometry": [geometry.rows, geometry.columns, geometry.fit]}
    kept = _known(stamp, key)
    if kept is None:
        kept = _read_all(table, geometry, array, step)
        write_atomically(stamp, json.dumps({"key": key, "kept": kept}).encode())
    if not kept:
        raise CalibrationError(Problem.CASES, f"none of the {len(table)} images can be read as a radiograph")
    planes = np.load(array, mmap_mode="r")[: len(kept)]
    return Planes(table.only(kept), tuple(hashes[i] for i in kept), planes, len(table) - len(kept), geometry)


def discard(folder: Path) -> None:
    """Take the planes of `prepare` away again."""
    for name in ("planes.json", "planes.npy"):
        (folder / name).unlink(missing_ok=True)


def _known(stamp: Path, key: object) -> list[int] | None:
    try:
        tree = json.loads(stamp.read_text(encoding="utf-8"))
        return list(tree["kept"]) if tree["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_all(table: Table, geometry: Geometry, array: Path, step: Callable[[], None]) -> list[int]:
    shape = (len(table), geometry.rows, geometry.columns)
    out = np.lib.format.open_memmap(array, mode="w+", dtype=np.float32, shape=shape)
    kept: list[int] = []
    for index, path in enumerate(table.paths):
        try:
            out[len(kept)] = read_plane(open_source(path), geometry, Percentiles())[0]
            kept.append(index)
        except CxredgeError as error:
            if error.code is Code.FILE_NOT_FOUND:
                raise CalibrationError(Problem.CASES, f"row {index + 1} of the table leads to no file") from None
        step()
    out.flush()
    return kept


def masks_of(planes: Planes, index: int, shape: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
    """The true masks of an image at the size of the graph's, [3, h, w]; None unless all three are given.

    Raises:
        CalibrationError: a mask cannot be read.
    """
    files = planes.table.masks[index]
    if set(files) != set(STRUCTURES):
        return None
    geometry = Geometry(*shape, planes.geometry.fit)
    return np.stack([_mask(files[name], geometry) for name in STRUCTURES])


def _mask(path: Path, geometry: Geometry) -> npt.NDArray[np.bool_]:
    try:
        return np.asarray(read_plane(open_source(path), geometry, Percentiles())[0] >= 0.5)
    except Abstention:  # blank: the organ is not in the image
        return np.zeros((geometry.rows, geometry.columns), bool)
    except CxredgeError as error:
        raise CalibrationError(Problem.CASES, f"a mask of the table cannot be read: {error.detail}") from None
