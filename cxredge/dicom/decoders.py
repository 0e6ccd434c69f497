"""The decoders: one table from transfer syntax to what decodes it.

imagecodecs does JPEG (libjpeg-turbo), JPEG-LS (CharLS), RLE and JPEG XL (libjxl); Pillow does JPEG 2000 and HTJ2K
(OpenJPEG), because it can stop at a lower resolution. OpenJPH in imagecodecs is faster at HTJ2K, but goes on after an
error with what it has, and says so on stderr only. A package that is missing is a reported state.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.dicom import syntaxes
from cxredge.dicom.codestream import StreamInfo, check_jpeg_end, jpeg_2000_info, jpeg_info, jpeg_xl_info
from cxredge.errors import Code, InputError
from cxredge.sources import typed_errors

__all__ = ["Decoder", "DecoderState", "Request", "Samples", "decode_frame", "decoder_for", "decoder_states"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What the tags say of the frame, and how much of it is needed."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    at_least: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A decoded frame.

    Attributes:
        array: (rows, columns) or (rows, columns, 3), C-contiguous, little endian.
        precision: bits of a sample by the code stream; None where only the tags know.
        high_bit: where the top bit lies in the array's words; None for precision - 1, or as the tags say.
    """

    array: Array
    precision: int | None = None
    high_bit: int | None = None


@dataclass(frozen=True, slots=True)
class Decoder:
    """One way to decode a frame.

    Attributes:
        name: the codec, and the library that carries it.
        package: the Python package that has to be there; None where none is needed.
        feature: the attribute of imagecodecs that tells whether the codec was built in.
        info: reads the code stream's own header; None where it has none.
        decode: does the work. Whatever it raises becomes CODESTREAM_BROKEN.
    """

    name: str
    package: str | None
    feature: str | None
    info: Callable[[bytes], StreamInfo] | None
    decode: Callable[[bytes, Request, StreamInfo | None], Samples]

    def missing(self) -> str | None:
        """Why it cannot be used here; None where it can."""
        import importlib

        if self.package is None:
            return None
        try:
            module = importlib.import_module(self.package)
        except ImportError as error:
            return f"{self.package} cannot be imported: {type(error).__name__}"
        if self.package == "PIL":
            from PIL import features

            version = features.version("jpg_2000") or "none"
            old = version == "none" or tuple(int(part) for part in version.split(".")[:2]) < (2, 5)  # 2.5: HTJ2K
            return f"Pillow needs OpenJPEG 2.5 and was built with {version}" if old else None
        state = getattr(module, self.feature or "", None)
        return None if getattr(state, "available", False) else f"{self.package} was built without {self.feature}"


@dataclass(frozen=True, slots=True)
class DecoderState:
    """A transfer syntax, its decoder, and whether it works here."""

    syntax: str
    decoder: str
    missing: str | None


def _halvings(info: StreamInfo, at_least: tuple[int, int] | None) -> int:
    """How often the image may be halved and still have as many rows and columns as are needed."""
    if at_least is None or info.origin != (0, 0):  # an offset grid would move the picture (see _centred)
        return 0
    level = 0
    while level < info.levels and all(
        -(-side // (2 << level)) >= need for side, need in zip((info.rows, info.columns), at_least, strict=True)
    ):
        level += 1
    return level


def _centred(array: Array, level: int, info: StreamInfo) -> Array:
    """Move a reduced JPEG 2000 image to where an average over blocks would lie.

    Its sample n stands over native sample 2**level * n, the first of its block and not the middle: unmoved, the
    picture would sit (2**level - 1) / 2 native pixels up and left. And its last samples may stand for less than a
    whole block, so that it would be shrunk by a fraction of a pixel. Cubic interpolation puts both right.
    """
    if level == 0:
        return array
    values: npt.NDArray[np.float32] = array.astype(np.float32)
    for axis, native in ((0, info.rows), (1, info.columns)):
        count = values.shape[axis]
        middles = (np.arange(count) + 0.5) * (native / count) - 0.5
        positions = np.clip(middles / 2**level, 0, count - 1)
        first = np.floor(positions)
        weights = _cubic_weights((positions - first).astype(np.float32))
        taps = [np.clip(first.astype(np.intp) + step, 0, count - 1) for step in (-1, 0, 1, 2)]
        parts = [
            values.take(tap, axis) * np.expand_dims(weight, 1 - axis) for tap, weight in zip(taps, weights, strict=True)
        ]
        values = parts[0] + parts[1] + parts[2] + parts[3]
    return np.clip(np.rint(values), array.min(), array.max()).astype(array.dtype)


def _cubic_weights(t: Array) -> tuple[Array, ...]:
    """Keys' cubic convolution with a = -1/2, for the samples at -1, 0, 1 and 2; `t` lies between 0 and 1."""
    t2, t3 = t * t, t * t * t
    return (-t3 + 2 * t2 - t) / 2, (3 * t3 - 5 * t2 + 2) / 2, (-3 * t3 + 4 * t2 + t) / 2, (t3 - t2) / 2


def _jpeg_2000(frame: bytes, request: Request, info: StreamInfo | None) -> Samples:
    from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

    if info is None or info.precision is None or info.precision > 16:
        raise InputError(Code.PIXEL_FORMAT_INVALID, "JPEG 2000 of more than 16 bits", tag="(0028,0101)")
    level = _halvings(info, request.at_least)
    image = Jpeg2KImageFile(io.BytesIO(frame))
    if level:
        image.reduce = level
        # Pillow rounds the reduced size where the standard takes the ceiling (T.800 B-15): tell it a size that
        # comes out right.
        image._size = (-(-info.columns >> level) << level, -(-info.rows >> level) << level)
    array = np.asarray(image)
    bits = array.dtype.itemsize * 8
    if info.signed:  # Pillow adds half the range; a flipped top bit makes it two's complement again
        array = array ^ array.dtype.type(1 << (bits - 1))
    if level == 0:
        return Samples(array, info.precision, bits - 1)  # Pillow moves the sample to the top of the word
    flip = array.dtype.type(1 << (info.precision - 1)) if info.signed else array.dtype.type(0)
    values = _centred((array >> (bits - info.precision)) ^ flip, level, info) ^ flip
    return Samples(values, info.precision)


def _jpeg(frame: bytes, request: Request, info: StreamInfo | None) -> Samples:  # noqa: ARG001
    import imagecodecs

    check_jpeg_end(frame)
    colour = info is not None and info.components == 3
    array = imagecodecs.jpeg8_decode(frame, outcolorspace="RGB") if colour else imagecodecs.jpeg8_decode(frame)
    return Samples(array, info.precision if info else None)


def _jpeg_ls(frame: bytes, request: Request, info: StreamInfo | None) -> Samples:  # noqa: ARG001
    import imagecodecs

    check_jpeg_end(frame)
    return Samples(imagecodecs.jpegls_decode(frame), info.precision if info else None)


def _jpeg_xl(frame: bytes, request: Request, info: StreamInfo | None) -> Samples:  # noqa: ARG001
    import imagecodecs

    array = imagecodecs.jpegxl_decode(frame)
    return Samples(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _rle(frame: bytes, request: Request, info: StreamInfo | None) -> Samples:  # noqa: ARG001
    import imagecodecs

    itemsize = request.bits_allocated // 8
    if int.from_bytes(frame[:4], "little") != request.samples * itemsize:  # PS3.5 G.4, G.5
        raise InputError(Code.PIXELS_DISAGREE_WITH_TAGS, "another number of RLE segments", tag="(0028,0100)")
    expected = request.rows * request.columns * request.samples * itemsize
    data = imagecodecs.dicomrle_decode(frame, np.dtype(f"<u{itemsize}"), out=expected)
    if len(data) < expected:
        raise InputError(Code.PIXELS_TRUNCATED, "the RLE segments end early", tag="(7FE0,0010)")
    return Samples(_shaped(data, request, planar=True))


def _plain(frame: bytes, request: Request, info: StreamInfo | None) -> Samples:  # noqa: ARG001
    expected = request.rows * request.columns * request.samples * request.bits_allocated // 8
    if len(frame) < expected:
        raise InputError(Code.PIXELS_TRUNCATED, f"{len(frame)} of {expected} bytes", tag="(7FE0,0010)")
    if len(frame) > expected + expected % 2:
        raise InputError(Code.PIXELS_DISAGREE_WITH_TAGS, "more bytes than the image has", tag="(7FE0,0010)")
    return Samples(_shaped(frame[:expected], request, planar=False))


def _deflated(frame: bytes, request: Request, info: StreamInfo | None) -> Samples:
    expected = request.rows * request.columns * request.samples * request.bits_allocated // 8
    return _plain(zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(frame, expected + 2), request, info)


def _shaped(data: bytes | bytearray, request: Request, *, planar: bool) -> Array:
    flat = np.frombuffer(data, f"<u{request.bits_allocated // 8}")
    if request.samples == 1:
        return flat.reshape(request.rows, request.columns)
    if planar:
        return np.moveaxis(flat.reshape(request.samples, request.rows, request.columns), 0, 2)
    return flat.reshape(request.rows, request.columns, request.samples)


_JPEG = Decoder("JPEG (libjpeg-turbo, imagecodecs)", "imagecodecs", "JPEG8", jpeg_info, _jpeg)
_JPEG_LS = Decoder("JPEG-LS (CharLS, imagecodecs)", "imagecodecs", "JPEGLS", jpeg_info, _jpeg_ls)
_JPEG_2000 = Decoder("JPEG 2000 (OpenJPEG, Pillow)", "PIL", None, jpeg_2000_info, _jpeg_2000)
_HTJ2K = Decoder("HTJ2K (OpenJPEG 2.5, Pillow)", "PIL", None, jpeg_2000_info, _jpeg_2000)
_JPEG_XL = Decoder("JPEG XL (libjxl, imagecodecs)", "imagecodecs", "JPEGXL", jpeg_xl_info, _jpeg_xl)
_RLE = Decoder("RLE (imagecodecs)", "imagecodecs", "DICOMRLE", None, _rle)
_PLAIN = Decoder("encapsulated, uncompressed", None, None, None, _plain)
_DEFLATED = Decoder("deflated frame (zlib)", None, None, None, _deflated)

_TABLE: dict[str, Decoder] = {
    "1.2.840.10008.1.2.1.98": _PLAIN,
    syntaxes.JPEG_BASELINE: _JPEG,
    syntaxes.JPEG_EXTENDED: _JPEG,
    syntaxes.JPEG_LOSSLESS: _JPEG,
    "1.2.840.10008.1.2.4.70": _JPEG,
    syntaxes.JPEG_LS: _JPEG_LS,
    "1.2.840.10008.1.2.4.81": _JPEG_LS,
    "1.2.840.10008.1.2.4.90": _JPEG_2000,
    syntaxes.JPEG_2000: _JPEG_2000,
    "1.2.840.10008.1.2.4.110": _JPEG_XL,
    "1.2.840.10008.1.2.4.111": _JPEG_XL,
    syntaxes.JPEG_XL: _JPEG_XL,
    "1.2.840.10008.1.2.4.201": _HTJ2K,
    "1.2.840.10008.1.2.4.202": _HTJ2K,
    syntaxes.HTJ2K: _HTJ2K,
    syntaxes.RLE: _RLE,
    "1.2.840.10008.1.2.8.1": _DEFLATED,
}


def decoder_for(syntax: str) -> Decoder | None:
    """The decoder of an encapsulated transfer syntax; None where there is none for it."""
    return _TABLE.get(syntax)


def decoder_states() -> list[DecoderState]:
    """Every encapsulated transfer syntax that is known, and whether its decoder works here."""
    return [DecoderState(syntax, decoder.name, decoder.missing()) for syntax, decoder in _TABLE.items()]


def decode_frame(frame: bytes, decoder: Decoder, request: Request, info: StreamInfo | None) -> Samples:
    """Run a decoder; its size has been checked before.

    Raises:
        InputError: DECODER_MISSING, CODESTREAM_BROKEN, PIXELS_TRUNCATED, PIXELS_DISAGREE_WITH_TAGS.
    """
    if reason := decoder.missing():
        raise InputError(Code.DECODER_MISSING, reason, tag="(0002,0010)")
    with typed_errors(Code.CODESTREAM_BROKEN, decoder.name, tag="(7FE0,0010)"):
        return decoder.decode(frame, request, info)
