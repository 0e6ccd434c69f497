"""Transfer syntaxes: which store pixels as they are, and how each stores the data set (PS3.5 Annex A)."""

from __future__ import annotations

__all__ = ["BIG_ENDIAN", "DEFLATED", "EXPLICIT", "IMPLICIT", "RAW", "sniff_codestream", "sniff_encoding"]

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RAW = frozenset({IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN})
"""Syntaxes whose pixel data is not encapsulated."""

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
HTJ2K = "1.2.840.10008.1.2.4.203"
JPEG_XL = "1.2.840.10008.1.2.4.112"
RLE = "1.2.840.10008.1.2.5"

_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)


def sniff_encoding(head: bytes) -> tuple[bool, bool] | None:
    """Implicit VR? Little endian? Read off a data set's first element; None where it is none.

    The first group of a data set is small (0008 as a rule), so its zero byte gives the byte order away.
    """
    if len(head) < 8:
        return None
    explicit = head[4:6] in _VRS
    if head[1] == 0 and 0 < head[0] <= 0x28:
        little = True
    elif head[0] == 0 and 0 < head[1] <= 0x28:
        little = False
    else:
        return None
    if explicit:
        return False, little
    # Implicit VR exists in little endian only; the first elements are short.
    length = int.from_bytes(head[4:8], "little")
    plausible = little and (length < 1 << 16 or length == 0xFFFFFFFF)
    return (True, True) if plausible else None


def sniff_codestream(frame: bytes) -> str | None:
    """A transfer syntax whose decoder reads this code stream; None where it is of no known kind."""
    if frame[:3] == b"\xff\xd8\xff":
        return _sniff_jpeg(frame)
    if frame[:4] == b"\xff\x4f\xff\x51" or frame[4:8] == b"jP  ":
        return JPEG_2000
    if frame[:2] == b"\xff\x0a" or frame[4:8] == b"JXL ":
        return JPEG_XL
    segments = int.from_bytes(frame[:4], "little")
    if 1 <= segments <= 15 and frame[4:8] == b"\x40\0\0\0" and len(frame) > 64:
        return RLE
    return None


def _sniff_jpeg(frame: bytes) -> str | None:
    from cxredge.dicom.codestream import jpeg_frame_marker

    by_marker = {0xC0: JPEG_BASELINE, 0xC1: JPEG_EXTENDED, 0xC3: JPEG_LOSSLESS, 0xF7: JPEG_LS}
    return by_marker.get(jpeg_frame_marker(frame)[0])
