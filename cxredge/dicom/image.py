"""From a header to a checked radiograph, and from there to its stored pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from cxredge.dicom import checks, syntaxes
from cxredge.dicom import tags as t
from cxredge.dicom.codestream import StreamInfo
from cxredge.dicom.decoders import Decoder, Request, Samples, decode_frame, decoder_for
from cxredge.dicom.display import Display, read_display, read_spacing
from cxredge.dicom.fragments import read_frame
from cxredge.dicom.header import Header, PixelElement
from cxredge.dicom.own import is_own
from cxredge.dicom.pixeltags import PixelTags, read_pixel_tags
from cxredge.dicom.tags import Tags, tag_text
from cxredge.errors import Abstention, Code, CxredgeError, InputError
from cxredge.pixels import PixelDescription
from cxredge.result import InputFacts, Notice, notice
from cxredge.sources import Buffer, Decoded, Limits, Radiograph, typed_errors

__all__ = ["open_header"]

_CHUNK = 1 << 20
_PIXELS = tag_text(t.PIXEL_DATA)


def open_header(header: Header, limits: Limits, path: str | None) -> Radiograph:
    """Check everything that the tags say, in the order of docs/reading.md.

    Raises:
        Abstention: the tags say that no result could be trusted; `facts` holds what is known.
        InputError: the file is broken or of a kind that is not read; `facts` likewise.
    """
    facts = _facts(header.tags, path)
    warnings = list(header.warnings)
    try:
        pixels, display, found = _checked(header, limits)
        _, spacing_problem = read_spacing(header.tags)
        warnings += found
        warnings += [spacing_problem] if spacing_problem else []
        image = _Image(header, pixels, display, limits)
        warnings += image.check_length()
    except CxredgeError as error:
        error.facts, error.warnings = facts, tuple(warnings)
        raise
    return Radiograph(facts, tuple(warnings), pixels.rows, pixels.columns, image.decode)


def _checked(header: Header, limits: Limits) -> tuple[PixelTags, Display, list[Notice]]:
    """Whose it is, modality, body part, view, intent, then pixels: the first that fails decides."""
    tags = header.tags
    if is_own(tags):
        raise Abstention(Code.OWN_RESULT, tag=tag_text(t.MODEL))
    checks.check_modality(tags, has_pixels=header.pixels is not None)
    found = [checks.check_body_part(tags), checks.check_view(tags), checks.check_upright(tags)]
    checks.check_intent(tags)
    found += [checks.check_age(tags), checks.check_uid(tags, header.media_uid)]
    if header.pixels is None:
        raise InputError(Code.NO_PIXEL_DATA, tag=_PIXELS)
    if header.syntax is not None and header.syntax not in syntaxes.RAW and decoder_for(header.syntax) is None:
        raise InputError(Code.SYNTAX_UNSUPPORTED, tag="(0002,0010)")
    pixels = read_pixel_tags(tags, limits)
    display = read_display(tags, photometric=pixels.photometric, signed=pixels.signed)
    if header.overlays:
        found.append(notice(Code.OVERLAY_IGNORED, tag="(6000,3000)"))
    if tags.text(t.BURNED_IN) == "YES":
        found.append(notice(Code.BURNED_IN_ANNOTATION, tag=tag_text(t.BURNED_IN)))
    return pixels, display, [item for item in found if item is not None] + list(display.warnings)


def _facts(tags: Tags, path: str | None) -> InputFacts:
    """What is known, as far as it is well formed: an ill-formed value may hold anything, so it is left out."""
    try:
        uid = checks.uid_of(tags)
        modality = tags.text(t.MODALITY)
        named = checks.view_of(tags)
        spacing, _ = read_spacing(tags)
        rows, columns = tags.short(t.ROWS), tags.short(t.COLUMNS)
    except CxredgeError:
        return InputFacts(path=path)
    return InputFacts(
        path=path,
        sop_instance_uid=uid,
        rows=rows,
        columns=columns,
        modality=checks.known_modality(modality) or None,
        view=named[0] if named else None,
        pixel_spacing=spacing[0] if spacing else None,
        pixel_spacing_at=spacing[1] if spacing else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Image:
    """A checked image's pixels."""

    header: Header
    tags: PixelTags
    display: Display
    limits: Limits

    @property
    def element(self) -> PixelElement:
        """Where the pixel data lies; open_header has seen that there is some."""
        return cast(PixelElement, self.header.pixels)

    @property
    def raw(self) -> bool:
        """Whether the pixels are stored as they are."""
        return self.header.syntax in syntaxes.RAW

    @property
    def nbytes(self) -> int:
        """What the tags say that raw pixels take."""
        return self.tags.rows * self.tags.columns * self.tags.samples * self.tags.bits_allocated // 8

    def check_length(self) -> list[Notice]:
        """Compare the pixel data's length with the image's, before it is read."""
        length = self.element.length
        if self.raw != (length is not None):
            detail = "raw pixels in fragments" if self.raw else "compressed pixels outside fragments"
            raise InputError(Code.DICOM_BROKEN, detail, tag=_PIXELS)
        if length is None:
            return []
        if self.tags.photometric == "YBR_FULL_422":
            raise InputError(Code.COLOR_IMAGE, "subsampled colour", tag=tag_text(t.PHOTOMETRIC))
        present = min(length, self.element.blob.size - self.element.offset)
        if present < self.nbytes:
            raise InputError(Code.PIXELS_TRUNCATED, f"{present} of {self.nbytes} bytes", tag=_PIXELS)
        if length >= 2 * self.nbytes and length % self.nbytes == 0:  # whatever the tags say
            raise InputError(Code.MULTI_FRAME, f"{length // self.nbytes} frames by the length", tag=_PIXELS)
        # One byte may pad an odd length to an even one (PS3.5 8.1.1).
        return [notice(Code.PIXELS_PADDED, tag=_PIXELS)] if length > self.nbytes + self.nbytes % 2 else []

    def decode(self, at_least: tuple[int, int] | None) -> Decoded:
        """See Radiograph.decode."""
        if not self.raw:
            return self._decompressed(at_least)
        description = self._description(self.tags.rows, self.tags.columns)
        if self.tags.samples == 1:
            return Decoded(description, self._stream())
        with typed_errors(Code.DICOM_BROKEN, "pixel data", tag=_PIXELS):
            data = b"".join(bytes(chunk) for chunk in self._stream())
            words = np.frombuffer(data, f"{'>' if self.header.big_endian else '<'}u{self.tags.bits_allocated // 8}")
            rows, columns = self.tags.rows, self.tags.columns
            shape = (3, rows, columns) if self.tags.planar else (rows, columns, 3)
            array = np.moveaxis(words.reshape(shape), 0, 2) if self.tags.planar else words.reshape(shape)
            grey = _grey(array, luminance=self.tags.photometric == "YBR_FULL", bits=self.tags.bits_stored)
        return Decoded(description, [_bytes(grey)], (_as_grey(),))

    def _stream(self) -> Iterator[Buffer]:
        """Raw pixels through one reused buffer."""
        with typed_errors(Code.FILE_UNREADABLE, "pixel data"), self.element.blob.open() as file:
            file.seek(self.element.offset)
            padding = self.nbytes % 2 if self.element.word_swapped else 0  # the last pixel lies behind it in its word
            left = self.nbytes + padding
            buffer = bytearray(min(_CHUNK, left))
            view = memoryview(buffer)
            while left > 0:
                got = file.readinto(view[: min(_CHUNK, left)])  # type: ignore[attr-defined]
                if not got:
                    raise InputError(Code.PIXELS_TRUNCATED, f"{left} bytes are missing", tag=_PIXELS)
                left -= got
                chunk = self._unswapped(view[:got]) if self.element.word_swapped else view[:got]
                yield chunk if left else chunk[: len(chunk) - padding]

    def _unswapped(self, chunk: memoryview) -> Buffer:
        """8-bit pixels in big-endian words: the first pixel is the low byte (PS3.5 8.1.1)."""
        if self.tags.bits_allocated != 8:
            return chunk
        return np.frombuffer(chunk, np.uint16).byteswap().tobytes() if len(chunk) % 2 == 0 else bytes(chunk)

    def _decompressed(self, at_least: tuple[int, int] | None) -> Decoded:
        tags = self.tags
        frame = read_frame(self.element, 2 * self.nbytes + _CHUNK)
        decoder = self._decoder(frame)
        info = decoder.info(frame) if decoder.info else None
        if info is not None:
            self._compare(info)
        request = Request(tags.rows, tags.columns, tags.samples, tags.bits_allocated, at_least)
        samples = decode_frame(frame, decoder, request, info)
        warnings = []
        with typed_errors(Code.CODESTREAM_BROKEN, decoder.name, tag=_PIXELS):
            array = samples.array
            if array.ndim != (2 if tags.samples == 1 else 3):
                raise InputError(Code.PIXELS_DISAGREE_WITH_TAGS, tag=tag_text(t.SAMPLES_PER_PIXEL))
            if array.ndim == 3:
                array = _grey(array, luminance=info is None and tags.photometric == "YBR_FULL", bits=tags.bits_stored)
                warnings.append(_as_grey())
            description, corrected = self._decoded_description(samples, array)
        return Decoded(description, [_bytes(array)], (*warnings, *corrected))

    def _decoder(self, frame: bytes) -> Decoder:
        syntax = self.header.syntax or syntaxes.sniff_codestream(frame)
        decoder = decoder_for(syntax) if syntax else None
        if decoder is None:
            raise InputError(Code.SYNTAX_UNSUPPORTED, "of no known kind", tag="(0002,0010)")
        return decoder

    def _compare(self, info: StreamInfo) -> None:
        """The code stream's own size counts for the limits, and has to be the tags'."""
        self.limits.check_size(info.rows, info.columns)
        if (info.rows, info.columns) != (self.tags.rows, self.tags.columns):
            raise InputError(Code.PIXELS_DISAGREE_WITH_TAGS, f"{info.rows} x {info.columns}", tag=tag_text(t.ROWS))
        if info.components not in (0, self.tags.samples):
            detail = f"{info.components} components"
            raise InputError(Code.PIXELS_DISAGREE_WITH_TAGS, detail, tag=tag_text(t.SAMPLES_PER_PIXEL))

    def _decoded_description(self, samples: Samples, array: Any) -> tuple[PixelDescription, list[Notice]]:
        """Bits as the code stream has them.

        A precision that is the container's (8, 16 or 32 bits) says nothing against Bits Stored: the coder was given
        whole words. Any other that differs from Bits Stored contradicts it, and the code stream is believed.
        """
        tags = self.tags
        allocated = array.dtype.itemsize * 8
        container = samples.precision is None or samples.precision in (tags.bits_allocated, allocated)
        contradicts = (
            samples.precision is not None
            and samples.precision != tags.bits_stored
            and not (container and allocated >= tags.bits_stored)
        )
        shifted = tags.high_bit != tags.bits_stored - 1
        if (samples.precision is None or container) and allocated == tags.bits_allocated and (tags.signed or shifted):
            stored, high = tags.bits_stored, tags.high_bit
        else:
            stored = samples.precision or min(allocated, tags.bits_stored)
            high = stored - 1
        if samples.high_bit is not None:
            high = samples.high_bit - (samples.precision or allocated) + 1 + high
        description = self._description(*array.shape, allocated=allocated, stored=stored, high_bit=high)
        return description, [notice(Code.BITS_CORRECTED, tag=tag_text(t.BITS_STORED))] if contradicts else []

    def _description(
        self,
        rows: int,
        columns: int,
        *,
        allocated: int | None = None,
        stored: int | None = None,
        high_bit: int | None = None,
    ) -> PixelDescription:
        tags, display = self.tags, self.display
        return PixelDescription(
            rows=rows,
            columns=columns,
            bits_allocated=cast(Literal[8, 16, 32], allocated or tags.bits_allocated),
            bits_stored=tags.bits_stored if stored is None else stored,
            high_bit=tags.high_bit if high_bit is None else high_bit,
            signed=tags.signed,
            big_endian=self.raw and self.header.big_endian and tags.samples == 1,
            modality=display.modality,
            voi=display.voi,
            inverted=display.inverted,
        )


def _as_grey() -> Notice:
    return notice(Code.COLOR_AS_GREY, tag=tag_text(t.SAMPLES_PER_PIXEL))


def _grey(array: Any, *, luminance: bool, bits: int) -> Any:
    """The grey image of three equal channels, or of luminance without chrominance.

    Raises:
        InputError: COLOR_IMAGE.
    """
    first, second, third = array[..., 0], array[..., 1], array[..., 2]
    neutral = 1 << (bits - 1)
    grey = (
        (second == neutral).all() and (third == neutral).all()
        if luminance
        else (np.array_equal(first, second) and np.array_equal(first, third))
    )
    if not grey:
        raise InputError(Code.COLOR_IMAGE, tag=tag_text(t.SAMPLES_PER_PIXEL))
    return first


def _bytes(array: Any) -> memoryview:
    """The array's bytes, little endian and in row order, without a copy where they already are."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data.cast("B")
