"""Results as files: complete or not there, and never over a file that is something else."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.tag import Tag

from cxredge.dicom.own import MANUFACTURER, MODEL
from cxredge.dicom_out.results import DicomResult
from cxredge.errors import Code, CxredgeError
from cxredge.files import write_atomically

__all__ = ["encoded", "write_results"]

_MOMENTS = re.compile(
    r"(InstanceCreation|Content|Series|PresentationCreation)(Date|Time)|(Date|Time)OfSecondaryCapture"
)
_REFERENCED = Tag("ReferencedSOPInstanceUID")


def encoded(dataset: Dataset) -> bytes:
    """The object as a file's bytes: preamble, file meta information, data set."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def write_results(results: Sequence[DicomResult], folder: Path, stem: str) -> list[Path]:
    """Write `STEM.sr.dcm` and so on; each under a temporary name first, then renamed.

    A file that already holds the same object, dates aside, is left as it is: what is sent twice is the same then. An
    older result of the same image is replaced.

    Raises:
        CxredgeError: OUTPUT_UNWRITABLE where a file of that name is anything else, or the folder cannot be written.
    """
    written = []
    for result in results:
        path = folder / f"{stem}.{result.kind}.dcm"
        data = encoded(result.dataset)
        if not (path.exists() and _is_same(path, data, result)):
            write_atomically(path, data)
        written.append(path)
    return written


def _is_same(path: Path, data: bytes, result: DicomResult) -> bool:
    """Whether the file holds this very object; raises where it holds something that must not be replaced."""
    try:
        there = dcmread(path)
        about = {element.value for element in there.iterall() if element.tag == _REFERENCED}
        own = (there.get("Manufacturer"), there.get("ManufacturerModelName")) == (MANUFACTURER, MODEL)
        result_of_this_image = own and result.image in about
    except Exception:  # whatever it is, it is no result of ours
        result_of_this_image = False
    if not result_of_this_image:
        detail = f"{path}: another file is there; move it, or choose another folder"
        raise CxredgeError(Code.OUTPUT_UNWRITABLE, detail)
    return _undated(there) == _undated(dcmread(io.BytesIO(data)))


def _undated(dataset: Dataset) -> bytes:
    for element in list(dataset):
        if _MOMENTS.fullmatch(element.keyword):
            del dataset[element.tag]
    return encoded(dataset)
