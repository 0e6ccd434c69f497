"""Images without a DICOM header: PNG, JPEG and TIFF files, and NumPy arrays.

Nothing says what they show, so each comes with NO_METADATA. Bright must be dense. 8-bit values span the full range; of
16-bit values nothing says which are in use, so they take the percentile fallback.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.errors import Abstention, Code, CxredgeError, InputError
from cxredge.pixels import PixelDescription, Window
from cxredge.result import InputFacts, notice
from cxredge.sources import Blob, Decoded, Limits, Radiograph, typed_errors
from cxredge.structure import check_structure

__all__ = ["SMALLEST_SIDE", "WRITTEN_BY", "looks_like_raster", "open_array", "open_raster"]

SMALLEST_SIDE = 32
"""No chest can be read from an image with fewer pixels on a side."""

WRITTEN_BY = {"Software": "cxredge result"}
"""The text chunk of every PNG that cxredge writes, so that a second run over a folder passes its pictures by."""

_FULL_8 = Window(127.5, 255.0, "LINEAR_EXACT")
_FULL_16 = Window(32767.5, 65535.0, "LINEAR_EXACT")

Array = npt.NDArray[Any]


def looks_like_raster(head: bytes) -> bool:
    """Whether a file that begins so is PNG, JPEG or TIFF."""
    return _kind(head) is not None


def _kind(head: bytes) -> str | None:
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if head[:3] == b"\xff\xd8\xff":
        return "JPEG"
    return "TIFF" if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") else None


def open_raster(blob: Blob, limits: Limits, path: str | None) -> Radiograph:
    """Read the header of a PNG, JPEG or TIFF file.

    Raises:
        InputError: CODESTREAM_BROKEN, TOO_LARGE, MULTI_FRAME, COLOR_IMAGE, PIXEL_FORMAT_INVALID.
        Abstention: IMAGE_TOO_SMALL, OWN_RESULT.
    """
    with blob.open() as file, typed_errors(Code.CODESTREAM_BROKEN, "unreadable image"):
        image = _opened(file)
        columns, rows = image.size
        if rows * columns > limits.max_pixels:  # before _turned, for which Pillow may decode a PNG
            limits.check_size(rows, columns)
        if _turned(image) >= 5:
            columns, rows = rows, columns
        mode = image.mode
        own = image.format == "PNG" and WRITTEN_BY.items() <= image.info.items()
        deep = mode == "RGB" and "16" in str([tile[3] for tile in image.tile])
        several = _is_several(image)
    facts = InputFacts(path=path, rows=rows, columns=columns)
    try:
        _check(rows, columns, limits)
        if own:
            raise Abstention(Code.OWN_RESULT)
        if several:
            raise InputError(Code.MULTI_FRAME, "several pages")
        if deep:
            raise InputError(Code.PIXEL_FORMAT_INVALID, "colour of 16 bits")  # Pillow would cut it to 8
        if mode not in ("L", "I;16", "I;16B", "I;16L", "I", "RGB"):
            coloured = mode in ("P", "CMYK", "YCbCr", "LAB", "HSV", "RGBA")
            raise InputError(Code.COLOR_IMAGE if coloured else Code.PIXEL_FORMAT_INVALID, f"mode {mode}")
    except CxredgeError as error:
        error.facts = facts
        raise

    def decode(_: tuple[int, int] | None) -> Decoded:
        return _decode(blob)

    return Radiograph(facts, (notice(Code.NO_METADATA),), rows, columns, decode)


def _check(rows: int, columns: int, limits: Limits) -> None:
    limits.check_size(rows, columns)
    if min(rows, columns) < SMALLEST_SIDE:
        raise Abstention(Code.IMAGE_TOO_SMALL, f"{rows} x {columns} pixels")


def _opened(file: Any) -> Any:
    """The file, opened by its own plugin: Image.open would set Pillow's own limit before ours."""
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile

    plugins: dict[str | None, Callable[[Any], Any]] = {
        "PNG": PngImageFile,
        "JPEG": JpegImageFile,
        "TIFF": TiffImageFile,
    }
    kind = _kind(file.read(8))
    file.seek(0)
    check_structure(kind, file)
    return plugins[kind](file)


def _is_several(image: Any) -> bool:
    """Whether there is a second page. To count them takes Pillow the square of their number."""
    if image.format != "TIFF":
        return bool(getattr(image, "n_frames", 1) > 1)
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _turned(image: Any) -> int:
    """The orientation of EXIF, 1 to 8 (TIFF's own is already seen to by Pillow)."""
    value = 1 if image.format == "TIFF" else image.getexif().get(0x0112, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: Any) -> Array:
    """The pixels as a viewer would show them."""
    from PIL import ImageOps

    return np.asarray(image if _turned(image) == 1 else ImageOps.exif_transpose(image))


def _decode(blob: Blob) -> Decoded:
    with blob.open() as file, typed_errors(Code.CODESTREAM_BROKEN, "unreadable image"):
        image = _opened(file)
        inverse = image.format == "TIFF" and image.tag_v2.get(262) == 0 and image.mode != "L"
        array = _upright(image)
    warnings = []
    if array.ndim == 3:
        if not (np.array_equal(array[..., 0], array[..., 1]) and np.array_equal(array[..., 0], array[..., 2])):
            raise InputError(Code.COLOR_IMAGE)
        array = array[..., 0]
        warnings.append(notice(Code.COLOR_AS_GREY))
    if array.dtype.itemsize == 4:
        if array.size and (array.min() < 0 or array.max() > 65535):
            raise InputError(Code.PIXEL_FORMAT_INVALID, "more than 16 bits")
        array = array.astype(np.uint16)
    return Decoded(_description(array, inverted=inverse), [_bytes(array)], tuple(warnings))


def _description(array: Array, *, inverted: bool = False, full: bool = False) -> PixelDescription:
    eight = array.dtype.itemsize == 1
    return PixelDescription(
        rows=array.shape[0],
        columns=array.shape[1],
        bits_allocated=8 if eight else 16,
        bits_stored=8 if eight else 16,
        high_bit=7 if eight else 15,
        signed=array.dtype.kind == "i",
        voi=_FULL_8 if eight else _FULL_16 if full else None,
        inverted=inverted,
    )


def _bytes(array: Array) -> memoryview:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data.cast("B")


def open_array(array: Array, limits: Limits, path: str | None) -> Radiograph:
    """An image in memory.

    Args:
        array: 2-D, bright = dense. uint8: full range. uint16 or int16: percentile fallback. Floats: 0..1, kept to
            1/65535. The array is read when the radiograph is decoded; do not change it before.
        limits: the largest that is accepted.
        path: what the facts shall name it.

    Raises:
        InputError: ARRAY_UNSUPPORTED or TOO_LARGE.
        Abstention: IMAGE_TOO_SMALL.
    """
    if array.ndim != 2:
        raise InputError(Code.ARRAY_UNSUPPORTED, f"{array.ndim} dimensions")
    rows, columns = array.shape
    real = array.dtype.kind == "f"
    if not real and array.dtype.newbyteorder("=") not in (np.uint8, np.uint16, np.int16):
        raise InputError(Code.ARRAY_UNSUPPORTED, f"of {array.dtype.name}")
    facts = InputFacts(path=path, rows=rows, columns=columns)
    try:
        _check(rows, columns, limits)
    except CxredgeError as error:
        error.facts = facts
        raise

    if real and not (float(array.min()) >= 0.0 and float(array.max()) <= 1.0):  # not-a-number fails this too
        raise InputError(Code.ARRAY_UNSUPPORTED, "floats outside 0..1")

    def decode(_: tuple[int, int] | None) -> Decoded:
        stored = _from_float(array) if real else array
        return Decoded(_description(stored, full=real), [_bytes(stored)])

    return Radiograph(facts, (notice(Code.NO_METADATA),), rows, columns, decode)


def _from_float(array: Array) -> npt.NDArray[np.uint16]:
    exact = array.astype(np.float32) if array.dtype.itemsize < 4 else array
    return np.rint(exact * exact.dtype.type(65535)).astype(np.uint16)
