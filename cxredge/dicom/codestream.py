"""What a code stream says of itself, read off its header before anything is decoded.

A decoder takes memory for the size that the code stream claims, whatever the DICOM tags say; so that size is checked
first. JPEG: ITU-T T.81 B.2.2; JPEG-LS: T.87 C.2.2; JPEG 2000: T.800 A.5.1 and A.6.1; JPEG XL: ISO/IEC 18181-1 D.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cxredge.errors import Code, InputError
from cxredge.sources import typed_errors
from cxredge.structure import check_scans

__all__ = ["StreamInfo", "check_jpeg_end", "jpeg_2000_info", "jpeg_frame_marker", "jpeg_info", "jpeg_xl_info"]


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A code stream's own header.

    Attributes:
        rows: height.
        columns: width.
        components: 1 for grey, 3 for colour.
        precision: bits of a sample; None where the header was not read that far.
        signed: whether samples are signed (JPEG 2000 only).
        levels: how many times the image can be halved by decoding less of it (JPEG 2000 only).
        origin: rows and columns by which the image is offset on JPEG 2000's reference grid.
    """

    rows: int
    columns: int
    components: int
    precision: int | None
    signed: bool = False
    levels: int = 0
    origin: tuple[int, int] = (0, 0)


_MOST_PIECES = 10_000
"""Segments, fill bytes or boxes of a header: a hundred megabytes of empty ones would take a minute to walk over."""
_MOST_TILE_PARTS = 500_000
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})


def jpeg_frame_marker(frame: bytes) -> tuple[int, int]:
    """The marker that begins the frame header (SOFn, or SOF55 of JPEG-LS), and where its segment lies; 0, 0 if none."""
    here = 2
    for _ in range(_MOST_PIECES):
        if here + 4 > len(frame) or frame[here] != 0xFF:
            break
        marker = frame[here + 1]
        if marker == 0xFF or marker in _STANDALONE:  # fill bytes, markers without a segment
            here += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            return marker, here + 4
        here += 2 + int.from_bytes(frame[here + 2 : here + 4], "big")
    return 0, 0


def jpeg_info(frame: bytes) -> StreamInfo:
    """The frame header of a JPEG or JPEG-LS stream.

    Raises:
        InputError: CODESTREAM_BROKEN; TOO_LARGE where it has more scans than any encoder writes.
    """
    with typed_errors(Code.CODESTREAM_BROKEN, "no JPEG frame header"):
        _, at = jpeg_frame_marker(frame)
        if not frame.startswith(b"\xff\xd8") or not at:
            raise InputError(Code.CODESTREAM_BROKEN, "no JPEG frame header")
        precision, rows, columns, components = struct.unpack_from(">BHHB", frame, at)
        check_scans(frame)
    return StreamInfo(rows, columns, components, precision)


def check_jpeg_end(frame: bytes) -> None:
    """Raise CODESTREAM_BROKEN where the end marker of a JPEG or JPEG-LS stream is missing.

    libjpeg would fill in the rest without a word, CharLS would search for a marker for seconds.
    Zeros behind it are let pass: a fragment has an even length (PS3.5 A.4), and some writers fill whole blocks.
    """
    if not _ends(frame):
        raise InputError(Code.CODESTREAM_BROKEN, "the code stream ends early", tag="(7FE0,0010)")


def _ends(frame: bytes) -> bool:
    """Whether the end marker is there, before any padding of zeros."""
    return (frame.rstrip(b"\0") if frame.endswith(b"\0") else frame).endswith(b"\xff\xd9")


def jpeg_2000_info(frame: bytes) -> StreamInfo:
    """The SIZ and COD segments of a JPEG 2000 or HTJ2K stream, bare or in a JP2 file.

    Raises:
        InputError: CODESTREAM_BROKEN.
    """
    with typed_errors(Code.CODESTREAM_BROKEN, "no JPEG 2000 header"):
        start = 0 if frame[:4] == b"\xff\x4f\xff\x51" else frame.index(b"\xff\x4f\xff\x51", 0, 1 << 16)
        right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
        components, depth = struct.unpack_from(">HB", frame, start + 40)
        if right <= left or bottom <= top:
            raise InputError(Code.CODESTREAM_BROKEN, "an empty image")
        levels, tiles = _main_header(frame, start + 4)
        _check_tile_parts(frame, tiles)
    precision, signed = (depth & 0x7F) + 1, bool(depth & 0x80)
    return StreamInfo(bottom - top, right - left, components, precision, signed, levels, (top, left))


def _main_header(frame: bytes, here: int) -> tuple[int, int]:
    """The number of decompositions of the COD segment, and where the first tile-part begins."""
    levels = None
    for _ in range(_MOST_PIECES):
        (length,) = struct.unpack_from(">H", frame, here)
        marker = struct.unpack_from(">H", frame, here + length)[0]
        here += length + 2
        if marker == 0xFF52:
            levels = min(frame[here + 7], 32)
        if marker == 0xFF90 or marker < 0xFF00:  # the first tile-part, or no marker at all
            if levels is None:
                raise InputError(Code.CODESTREAM_BROKEN, "no coding style in the JPEG 2000 header")
            return levels, here - 2
    raise InputError(Code.TOO_LARGE, f"over {_MOST_PIECES} segments of a JPEG 2000 header")


def _check_tile_parts(frame: bytes, here: int) -> None:
    """Every tile-part has to be there in full (T.800 A.4.2): some decoders go on without the rest."""
    for _ in range(_MOST_TILE_PARTS):
        if frame[here : here + 2] != b"\xff\x90":
            return
        (length,) = struct.unpack_from(">I", frame, here + 6)
        if length == 0 and _ends(frame):  # up to the end of the code stream
            return
        if length < 14 or here + length > len(frame):
            raise InputError(Code.CODESTREAM_BROKEN, "a tile ends early", tag="(7FE0,0010)")
        here += length
    raise InputError(Code.TOO_LARGE, f"over {_MOST_TILE_PARTS} tile-parts", tag="(7FE0,0010)")


class _Bits:
    """Bits of a JPEG XL header: the least significant first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        bits = self._value & ((1 << count) - 1)
        self._value >>= count
        return bits


def jpeg_xl_info(frame: bytes) -> StreamInfo:
    """The size header of a JPEG XL stream, bare or in its container; the bits per sample are left to the decoder.

    Raises:
        InputError: CODESTREAM_BROKEN; MULTI_FRAME for an animation.
    """
    with typed_errors(Code.CODESTREAM_BROKEN, "no JPEG XL header"):
        start = 0 if frame[:2] == b"\xff\x0a" else _jpeg_xl_box(frame)
        if frame[start : start + 2] != b"\xff\x0a":
            raise InputError(Code.CODESTREAM_BROKEN, "no JPEG XL header")
        bits = _Bits(frame[start + 2 : start + 34])
        rows, columns = _jpeg_xl_size(bits)
        animated = _is_animated(bits)
    if animated:  # the decoder would take memory for all of its frames
        raise InputError(Code.MULTI_FRAME, "an animation", tag="(7FE0,0010)")
    return StreamInfo(rows, columns, 0, None)


def _jpeg_xl_size(bits: _Bits) -> tuple[int, int]:
    """Rows and columns of a size header (ISO/IEC 18181-1 D.2)."""
    small = bits.take(1)
    rows = _jpeg_xl_side(bits, small)
    ratio = bits.take(3)
    shares = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
    return rows, rows * shares[ratio][0] // shares[ratio][1] if ratio else _jpeg_xl_side(bits, small)


def _is_animated(bits: _Bits) -> bool:
    """Whether the image metadata behind the size (D.3) announces an animation.

    Raises:
        InputError: CODESTREAM_BROKEN, for a preview: no film has one.
    """
    if bits.take(1) or not bits.take(1):  # all is default; no extra fields
        return False
    bits.take(3)  # orientation
    if bits.take(1):
        _jpeg_xl_size(bits)  # the intrinsic size
    if bits.take(1):
        raise InputError(Code.CODESTREAM_BROKEN, "a preview", tag="(7FE0,0010)")
    return bool(bits.take(1))


def _jpeg_xl_side(bits: _Bits, small: int) -> int:
    return (bits.take(5) + 1) * 8 if small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


def _jpeg_xl_box(frame: bytes) -> int:
    """Where the code stream begins in the container: after the header of its (first) box, and a part's number."""
    here = 0
    for _ in range(_MOST_PIECES):
        if here + 16 > len(frame):
            break
        size, kind = int.from_bytes(frame[here : here + 4], "big"), frame[here + 4 : here + 8]
        content = here + (16 if size == 1 else 8)
        if kind in (b"jxlc", b"jxlp"):
            return content + (4 if kind == b"jxlp" else 0)
        step = int.from_bytes(frame[here + 8 : here + 16], "big") if size == 1 else size
        if step < 8:
            break
        here += step
    return len(frame)
