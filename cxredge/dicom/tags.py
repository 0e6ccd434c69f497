"""The attributes that are read, and typed access to their values as they lie in the file.

Values are taken from the raw bytes: pydicom's own conversion warns process-wide and quotes values while doing so.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, cast

from cxredge.errors import Code, InputError

__all__ = ["WANTED", "Tags", "tag_text"]

SOP_CLASS = 0x00080016
SOP_INSTANCE = 0x00080018
MODALITY = 0x00080060
PRESENTATION_INTENT = 0x00080068
MANUFACTURER = 0x00080070
CODE_VALUE = 0x00080100
CODE_MEANING = 0x00080104
MODEL = 0x00081090
ANATOMIC_REGION = 0x00082218
BODY_PART = 0x00180015
IMAGER_PIXEL_SPACING = 0x00181164
VIEW_POSITION = 0x00185101
PATIENT_AGE = 0x00101010
PATIENT_ORIENTATION = 0x00200020
SAMPLES_PER_PIXEL = 0x00280002
PHOTOMETRIC = 0x00280004
PLANAR_CONFIGURATION = 0x00280006
NUMBER_OF_FRAMES = 0x00280008
ROWS = 0x00280010
COLUMNS = 0x00280011
PIXEL_SPACING = 0x00280030
BITS_ALLOCATED = 0x00280100
BITS_STORED = 0x00280101
HIGH_BIT = 0x00280102
PIXEL_REPRESENTATION = 0x00280103
BURNED_IN = 0x00280301
WINDOW_CENTER = 0x00281050
WINDOW_WIDTH = 0x00281051
RESCALE_INTERCEPT = 0x00281052
RESCALE_SLOPE = 0x00281053
VOI_LUT_FUNCTION = 0x00281056
MODALITY_LUT = 0x00283000
LUT_DESCRIPTOR = 0x00283002
LUT_DATA = 0x00283006
VOI_LUT = 0x00283010
VIEW_CODE = 0x00540220
PRESENTATION_LUT_SHAPE = 0x20500020
PIXEL_DATA = 0x7FE00010

WANTED: tuple[int, ...] = (
    *(SOP_CLASS, SOP_INSTANCE, MODALITY, PRESENTATION_INTENT, ANATOMIC_REGION, BODY_PART, IMAGER_PIXEL_SPACING),
    *(VIEW_POSITION, PATIENT_ORIENTATION, SAMPLES_PER_PIXEL, PHOTOMETRIC, PLANAR_CONFIGURATION, NUMBER_OF_FRAMES),
    *(ROWS, COLUMNS, PIXEL_SPACING, BITS_ALLOCATED, BITS_STORED, HIGH_BIT, PIXEL_REPRESENTATION, BURNED_IN),
    *(WINDOW_CENTER, WINDOW_WIDTH, RESCALE_INTERCEPT, RESCALE_SLOPE, VOI_LUT_FUNCTION, MODALITY_LUT, VOI_LUT),
    *(VIEW_CODE, PRESENTATION_LUT_SHAPE, PATIENT_AGE, MANUFACTURER, MODEL),
)
"""All that is read of a data set: no name, no number and no date of a patient is among them; of the age, only whether
it is a child's."""
_BINARY_SHORTS = frozenset({None, "US", "SS", "UN"})


def tag_text(tag: int) -> str:
    """0x00280010 -> "(0028,0010)"."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


class Tags:
    """A data set's values, by tag, decoded when they are asked for.

    Args:
        elements: pydicom's raw elements (or parsed ones, for sequences of undefined length) by tag.
        little_endian: byte order of binary values.
    """

    def __init__(self, elements: Mapping[int, Any], *, little_endian: bool = True) -> None:
        self._elements = elements
        self.little_endian = little_endian

    def __contains__(self, tag: int) -> bool:
        return tag in self._elements

    @property
    def elements(self) -> Mapping[int, Any]:
        """The elements that pydicom found, by tag, as they lie in the file."""
        return self._elements

    def raw(self, tag: int) -> bytes:
        """The value's bytes; empty where the attribute is absent or empty.

        Raises:
            InputError: DICOM_BROKEN where the attribute is a sequence and should not be.
        """
        element = self._elements.get(tag)
        value = b"" if element is None or element.value is None else element.value
        if not isinstance(value, (bytes, bytearray)):
            raise InputError(Code.DICOM_BROKEN, "a sequence where a value belongs", tag=tag_text(tag))
        return bytes(value)

    def texts(self, tag: int) -> list[str]:
        """The values of a text attribute, stripped; empty where there is none."""
        text = self.raw(tag).decode("ascii", "replace").strip("\0 ")
        return [part.strip("\0 \t\r\n") for part in text.split("\\")] if text else []

    def text(self, tag: int) -> str:
        """The first value of a text attribute, in capitals; "" where there is none."""
        values = self.texts(tag)
        return values[0].upper() if values else ""

    def numbers(self, tag: int) -> list[float]:
        """The values of a decimal string (DS).

        Raises:
            ValueError: one of them is no number.
        """
        return [float(text) for text in self.texts(tag)]

    def shorts(self, tag: int) -> list[int]:
        """The values of a US or SS attribute, read as unsigned 16-bit numbers."""
        data = self.raw(tag)
        count = len(data) // 2
        return list(struct.unpack(f"{'<' if self.little_endian else '>'}{count}H", data[: 2 * count]))

    def short(self, tag: int) -> int | None:
        """The one value of a US attribute; None where it is absent or empty.

        Raises:
            InputError: PIXEL_FORMAT_INVALID where it holds anything but one number.
        """
        data = self.raw(tag)
        if not data:
            return None
        if len(data) != 2 or getattr(self._elements[tag], "VR", None) not in _BINARY_SHORTS:
            raise InputError(Code.PIXEL_FORMAT_INVALID, "not one 16-bit number", tag=tag_text(tag))
        return self.shorts(tag)[0]

    def items(self, tag: int) -> Iterator[Tags]:
        """The items of a sequence; none where it is absent.

        Raises:
            InputError: DICOM_BROKEN where the sequence cannot be parsed.
        """
        from cxredge.sources import typed_errors

        element = self._elements.get(tag)
        if element is None or not element.value:
            return
        with typed_errors(Code.DICOM_BROKEN, "broken sequence", tag=tag_text(tag)):
            items = _parse_items(element) if isinstance(element.value, bytes) else list(element.value)
            parsed = [{int(key): item.get_item(key) for key in item.keys()} for item in items]  # noqa: SIM118
        for elements in parsed:
            yield Tags(elements, little_endian=self.little_endian)


def _parse_items(element: Any) -> list[Any]:
    """The items of a sequence of defined length, which pydicom leaves as bytes."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import read_sequence

    from cxredge.dicom.sequences import MOST_IN_A_SEQUENCE, Budget, walk_sequence

    implicit, little = element.is_implicit_VR, element.is_little_endian
    size = len(element.value)
    file = cast(BinaryIO, DicomBytesIO(element.value))
    walk_sequence(file, size, size, Budget(MOST_IN_A_SEQUENCE), implicit=implicit, little_endian=little)
    file.seek(0)
    sequence = read_sequence(file, implicit, little, size, ["iso8859"])
    return list(sequence)
