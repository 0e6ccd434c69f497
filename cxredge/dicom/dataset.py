"""A header from a data set that pydicom has already read, or that a program has made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from cxredge.dicom import syntaxes
from cxredge.dicom.header import Header, PixelElement
from cxredge.dicom.tags import PIXEL_DATA, WANTED, Tags
from cxredge.errors import Code
from cxredge.result import Notice, notice
from cxredge.sources import BytesBlob, typed_errors

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["header_of"]


def header_of(dataset: Dataset, wanted: Sequence[int] = WANTED) -> Header:
    """The same header that the file would have given, with the `wanted` attributes.

    Values that pydicom has not converted yet are taken as they lie, as converting would warn and quote them. The other
    wanted attributes are written out and read back by pydicom, so that values set by a program and values read from a
    file take one path. The pixel data is used where it lies.

    Raises:
        InputError: DICOM_BROKEN where an attribute holds what cannot be written.
    """
    from pydicom import Dataset
    from pydicom.dataelem import RawDataElement
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import data_element_generator
    from pydicom.filewriter import write_dataset

    with typed_errors(Code.DICOM_BROKEN, "an attribute that cannot be written"):
        part, untouched = Dataset(), dict[int, Any]()
        for tag in wanted:
            if tag not in dataset:
                continue
            element = dataset.get_item(tag)
            if isinstance(element, RawDataElement) and element.is_little_endian and isinstance(element.value, bytes):
                untouched[tag] = element
            else:
                part[tag] = dataset[tag]
        file = DicomBytesIO()
        file.is_implicit_VR, file.is_little_endian = False, True
        write_dataset(file, part)
        file.seek(0)
        elements = {int(element.tag): element for element in data_element_generator(cast(BinaryIO, file), False, True)}
        syntax, big_endian, warnings = _syntax(dataset)
        return Header(
            tags=Tags({**elements, **untouched}),
            syntax=syntax,
            big_endian=big_endian,
            pixels=_pixels(dataset, big_endian),
            overlays=any(tag >> 24 == 0x60 and tag & 0xFFFF == 0x3000 for tag in dataset.keys()),  # noqa: SIM118
            warnings=warnings,
            media_uid=_media_uid(dataset),
        )


def _syntax(dataset: Dataset) -> tuple[str | None, bool, tuple[Notice, ...]]:
    """Transfer syntax, big endian?, warnings. A data set in memory is no longer deflated."""
    meta = getattr(dataset, "file_meta", None)
    named = str(meta.get("TransferSyntaxUID", "") or "") if meta is not None else ""
    if named:
        return (syntaxes.EXPLICIT if named == syntaxes.DEFLATED else named), named == syntaxes.BIG_ENDIAN, ()
    guess = (notice(Code.SYNTAX_GUESSED, tag="(0002,0010)"),)
    encapsulated = PIXEL_DATA in dataset and dataset[PIXEL_DATA].is_undefined_length
    big_endian = dataset.original_encoding[1] is False
    return None if encapsulated else syntaxes.EXPLICIT, big_endian, guess


def _media_uid(dataset: Dataset) -> str | None:
    """As it lies, as converting it could warn and quote it."""
    meta = getattr(dataset, "file_meta", None)
    element = meta.get_item("MediaStorageSOPInstanceUID") if meta is not None else None
    value = element.value if element is not None else None
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 ") or None


def _pixels(dataset: Dataset, big_endian: bool) -> PixelElement | None:
    if PIXEL_DATA not in dataset:
        return None
    element = dataset[PIXEL_DATA]
    data = bytes(element.value or b"")
    encapsulated = element.is_undefined_length or data[:4] == b"\xfe\xff\x00\xe0"
    return PixelElement(BytesBlob(data), 0, None if encapsulated else len(data), big_endian and element.VR == "OW")
