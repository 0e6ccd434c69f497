"""A folder of image files before the gate: their pixels, whatever their tags say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.errors import CxredgeError
from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import open_source, read_plane

__all__ = ["Picture", "planes_of_folder"]

Plane = npt.NDArray[np.float32]

DX = "1.2.840.10008.5.1.4.1.1.1.1"
SAID = ("BodyPartExamined", "AnatomicRegionSequence", "ViewPosition", "ViewCodeSequence", "PatientOrientation")
"""Tags by which the runtime would abstain before it has seen a pixel."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A file of a folder.

    Attributes:
        name: relative to the folder.
        plane: as the graph would see it; None where the runtime cannot read it as one grey picture.
        refused: the runtime's code for that.
    """

    name: str
    plane: Plane | None
    refused: str | None


def planes_of_folder(folder: Path, geometry: Geometry) -> Iterator[Picture]:
    """Every file of a folder and the folders in it, in order; of DICOM files the pixels, as if no tag told on them."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        try:
            plane = read_plane(open_source(_untold(path)), geometry, Percentiles())[0]
        except CxredgeError as error:
            yield Picture(name, None, str(error.code))
        else:
            yield Picture(name, plane, None)


def _untold(path: Path) -> Any:
    """The data set of a DICOM file as a radiograph of nothing in particular; the path of any other file."""
    import pydicom

    try:
        dataset = pydicom.dcmread(path)
    except Exception:  # no DICOM, or a broken file: the runtime says which
        return path
    dataset.Modality, dataset.SOPClassUID, dataset.PresentationIntentType = "DX", DX, "FOR PRESENTATION"
    for keyword in SAID:
        if keyword in dataset:
            delattr(dataset, keyword)
    return dataset
