"""Reads DICOM radiographs: file or data set in, checked radiograph out. What is read, and how, is docs/reading.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxredge.sources import Blob, Limits, Radiograph

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["looks_like_dicom", "open_dataset", "open_dicom"]


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file that begins with these bytes (at least 132) is DICOM."""
    from cxredge.dicom.header import looks_like_dicom as looks

    return looks(head)


def open_dicom(blob: Blob, limits: Limits, path: str | None) -> Radiograph:
    """Read and check a file's header.

    Args:
        blob: the file.
        limits: the largest that is accepted.
        path: what the facts shall name it.

    Raises:
        Abstention: the tags say that no result could be trusted.
        InputError: the file is broken, or not one that is read.
    """
    from cxredge.dicom.header import read_header
    from cxredge.dicom.image import open_header

    return open_header(read_header(blob, limits), limits, path)


def open_dataset(dataset: Dataset, limits: Limits, path: str | None) -> Radiograph:
    """The same for a data set that pydicom has read, or that a program has made; raises the same."""
    from cxredge.dicom.dataset import header_of
    from cxredge.dicom.image import open_header

    return open_header(header_of(dataset), limits, path)
