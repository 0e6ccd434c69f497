"""The image that results are filed beside: its identifiers, and its patient and study attributes as they lie in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag

from cxredge.dicom.dataset import header_of
from cxredge.dicom.header import Header, looks_like_dicom, read_header
from cxredge.dicom.tags import WANTED, Tags, tag_text
from cxredge.dicom_out.character_sets import defined_terms, python_encodings
from cxredge.dicom_out.modules import COPIED, REQUIRED
from cxredge.errors import Code, InputError
from cxredge.sources import BytesBlob, FileBlob, Limits, read_all, typed_errors

if TYPE_CHECKING:
    from cxredge.reading import Source

__all__ = ["SourceImage", "read_source"]

Element = DataElement | RawDataElement

_CHARACTER_SET = 0x00080005
_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_STUDY, _SERIES = 0x0020000D, 0x0020000E
_TIMEZONE = 0x00080201
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")  # PS3.5 9.1
_OFFSET = re.compile(r"[+-](0[0-9]|1[0-4])[0-5][0-9]")
_TEXT = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)
_LONGEST = 0xFFFE  # of a value whose length is written in 16 bits (PS3.5 7.1.2)
_LOSSY = {
    "LossyImageCompression": 0x00282110,
    "LossyImageCompressionRatio": 0x00282112,
    "LossyImageCompressionMethod": 0x00282114,
}
_FORMATS = {  # PS3.5 6.2; of the kinds of value that have one
    "AS": re.compile(r"[0-9]{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9_ ]{1,16}"),
    "DA": re.compile(r"[0-9]{8}"),
    "DS": re.compile(r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *"),
    "IS": re.compile(r" *[+-]?[0-9]{1,12} *"),
    "TM": re.compile(r"[0-9]{2}([0-9]{2}([0-9]{2}(\.[0-9]{1,6})?)?)? *"),
    "UI": _UID,
}
_REQUIRED = frozenset(cast(int, tag_for_keyword(keyword)) for keyword in REQUIRED)
_COPIED = tuple(cast(int, tag_for_keyword(keyword)) for keyword in COPIED)


@dataclass(frozen=True, slots=True, eq=False)
class SourceImage:
    """An image's identifiers, checked, and what is taken over from it.

    Attributes:
        sop_class: its SOP Class UID.
        sop_instance: its SOP Instance UID.
        series: its Series Instance UID.
        study: its Study Instance UID.
        character_set: the terms of (0008,0005); empty for the default repertoire.
        timezone: (0008,0201), which dates and times in the object are then in; None where there is none.
        lossy: what it says of a lossy compression that it has been through; empty where it has been through none.
        elements: patient and study attributes by tag, for a little-endian data set with explicit VRs. Text keeps its
            bytes: nothing is decoded on the way.
        header: all that was read, for the pixel and display attributes.
    """

    sop_class: str
    sop_instance: str
    series: str
    study: str
    character_set: tuple[str, ...]
    timezone: str | None
    lossy: Mapping[str, list[str]]
    elements: Mapping[int, Element] = field(repr=False)
    header: Header = field(repr=False)


def read_source(source: Source, limits: Limits) -> SourceImage:
    """Read what is needed of the image that was predicted on.

    Args:
        source: a path, a file's bytes, an open binary file, or a pydicom Dataset.
        limits: the largest file that is accepted.

    Raises:
        InputError: DICOM_SOURCE where it is no DICOM file or lacks an identifier; FILE_NOT_FOUND, DICOM_BROKEN and the
            like where it cannot be read.
    """
    header = _header(source, limits)
    tags = header.tags
    terms = defined_terms(tags.texts(_CHARACTER_SET))
    encodings = python_encodings(terms or ())
    kept = [tag for tag in _COPIED if tag in _REQUIRED or _is_well_formed(tags, tag)]
    elements = {tag: element for tag in kept if (element := _copied(tags, tag, encodings)) is not None}
    if terms is None and not all(_is_ascii(element) for element in elements.values()):
        raise _unfit("its character set is unknown, and names are not in ASCII", _CHARACTER_SET)
    offset = next(iter(tags.texts(_TIMEZONE)), "")
    return SourceImage(
        sop_class=_image_class(tags),
        sop_instance=_uid(tags, _SOP_INSTANCE),
        series=_uid(tags, _SERIES),
        study=_uid(tags, _STUDY),
        character_set=terms or (),
        timezone=offset if _OFFSET.fullmatch(offset) else None,
        lossy=_lossy(tags),
        elements=elements,
        header=header,
    )


def _header(source: Source, limits: Limits) -> Header:
    wanted = (*WANTED, *_COPIED, _CHARACTER_SET, _SERIES, _TIMEZONE, *_LOSSY.values())
    if isinstance(source, Dataset):
        return header_of(source, wanted)
    if isinstance(source, (str, os.PathLike)):
        blob: FileBlob | BytesBlob = FileBlob.of(Path(source))
    elif isinstance(source, (bytes, bytearray, memoryview)):
        blob = BytesBlob(bytes(source))
    elif hasattr(source, "read"):
        blob = BytesBlob(read_all(cast(BinaryIO, source), limits))
    else:
        raise _unfit("it is an array, not a DICOM file")
    limits.check_bytes(blob.size)
    with blob.open() as file:
        head = file.read(132)
    if not looks_like_dicom(head):
        raise _unfit("it is not a DICOM file")
    return read_header(blob, limits, wanted)


def _unfit(detail: str, tag: int | None = None) -> InputError:
    return InputError(Code.DICOM_SOURCE, detail, tag=tag_text(tag) if tag is not None else None)


def _uid(tags: Tags, tag: int) -> str:
    """The identifier that the attribute holds; the objects refer to it, so it must be one."""
    values = tags.texts(tag)
    if not values or not values[0]:
        raise _unfit("an identifier is missing", tag)
    if len(values) > 1 or len(values[0]) > 64 or not _UID.fullmatch(values[0]):
        raise _unfit("an identifier is not a valid UID", tag)
    return values[0]


def _image_class(tags: Tags) -> str:
    """The SOP class, which must be one of DICOM's own: no PACS could follow a reference to a private one."""
    sop_class = _uid(tags, _SOP_CLASS)
    if not sop_class.startswith(_STORAGE):
        raise _unfit("its SOP class is none of DICOM's", _SOP_CLASS)
    return sop_class


def _lossy(tags: Tags) -> dict[str, list[str]]:
    """Once lossy, always lossy: what is derived from such an image says so too (PS3.3 C.7.6.1.1.5)."""
    if tags.text(_LOSSY["LossyImageCompression"]) != "01":
        return {}
    return {key: tags.texts(tag) for key, tag in _LOSSY.items() if tags.texts(tag) and _is_well_formed(tags, tag)}


def _is_well_formed(tags: Tags, tag: int) -> bool:
    """Whether an optional value has its kind's format: an age of "62" would make every object invalid.

    Attributes that a study must have are copied whatever they hold: a PACS may keep the last value that it was sent.
    """
    pattern = _FORMATS.get(dictionary_VR(tag))
    return pattern is None or all(not text or pattern.fullmatch(text) for text in tags.texts(tag))


def _copied(tags: Tags, tag: int, encodings: str | list[str]) -> Element | None:
    """The attribute for a new object, or None where the image lacks it or holds what no object could.

    Text keeps its bytes, whatever they are: also where a device names no character set or writes what is not in it, so
    that a PACS reads it as it reads the image's own.
    """
    if tag not in tags:
        return None
    try:
        vr = dictionary_VR(tag)
    except KeyError:  # a private attribute of an item, or one that is newer than the dictionary
        return None
    if vr == "SQ":
        return DataElement(tag, "SQ", Items([_item(item, encodings) for item in tags.items(tag)]))
    if vr == "US":
        return DataElement(tag, "US", tags.shorts(tag))
    if vr not in _TEXT:
        return None
    value = tags.raw(tag)
    if len(value) > _LONGEST:
        raise _unfit(f"a value of {len(value)} bytes", tag)
    padded = value + (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    return RawDataElement(BaseTag(tag), vr, len(padded), padded, 0, False, True)


def _item(tags: Tags, encodings: str | list[str]) -> Dataset:
    own = tags.texts(_CHARACTER_SET)
    encodings = python_encodings(defined_terms(own) or ()) if own else encodings
    copy = Dataset(parent_encoding=encodings)
    copy.set_original_encoding(False, True, encodings)  # or pydicom would decode the text and encode it anew
    with typed_errors(Code.DICOM_BROKEN, "an item of a sequence"):
        for tag in sorted(tags.elements):
            element = _copied(tags, tag, encodings)
            if element is not None:
                copy[tag] = element
    return copy


def _is_ascii(element: Any) -> bool:
    value = element.value
    if isinstance(value, Items):
        return all(_is_ascii(item.get_item(tag)) for item in value for tag in item.keys())  # noqa: SIM118
    return not isinstance(value, bytes) or (value.isascii() and b"\x1b" not in value)
