"""Code streams that are broken, cut, or not what the tags say, and the fragments around them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from cxredge.errors import Code
from tests.support import dicom_files as files
from tests.support.bad_inputs.film import BITS, cut, film, good, half
from tests.support.bad_inputs.table import Group, error, ok, same

__all__ = ["FRAGMENTS", "STREAMS"]

STREAMS = Group("Code streams")
FRAGMENTS = Group("Fragments and offset tables")

_BROKEN, _DISAGREES = error(Code.CODESTREAM_BROKEN), error(Code.PIXELS_DISAGREE_WITH_TAGS)
_NAMES = {
    files.JPEG_LOSSLESS: "JPEG Lossless",
    files.JPEG_LS: "JPEG-LS",
    files.J2K_LOSSLESS: "JPEG 2000",
    files.HTJ2K_LOSSLESS: "HTJ2K",
    files.JXL_LOSSLESS: "JPEG XL",
    files.DEFLATED_FRAME: "deflated frame",
}


def _stream(syntax: str) -> bytes:
    return files.encode(film(), syntax, BITS)


def _with(syntax: str, change: Callable[[bytes], bytes]) -> bytes:
    return good(syntax=syntax, codestream=change(_stream(syntax)))


def _middle_lost(stream: bytes) -> bytes:
    """Without a quarter of its middle, but with its end."""
    return stream[: len(stream) // 2] + stream[len(stream) * 3 // 4 :]


def _add_cut(syntax: str, name: str) -> None:
    for share in (0.5, 0.98):
        broken = error(Code.PIXELS_TRUNCATED) if syntax == files.DEFLATED_FRAME else _BROKEN
        make = partial(_with, syntax, partial(cut, share=share))
        STREAMS.add(f"cut_{share:.0%}_{syntax}", f"{name}, cut at {share:.0%}", broken, make)


for _syntax, _name in _NAMES.items():
    _add_cut(_syntax, _name)


@STREAMS.case("baseline JPEG, cut in half", _BROKEN)
def cut_baseline() -> bytes:
    return good(half(), syntax=files.JPEG_BASELINE, codestream=cut(files.encode(half(), files.JPEG_BASELINE, 8), 0.5))


@STREAMS.case("RLE, cut in half", _BROKEN)
def cut_rle() -> bytes:
    return _with(files.RLE, partial(cut, share=0.5))


@STREAMS.case("RLE whose header points beyond it", _BROKEN)
def rle_offsets() -> bytes:
    stream = files.encode_rle(film())
    return good(syntax=files.RLE, codestream=stream[:8] + (0x7FFFFFF0).to_bytes(4, "little") + stream[12:])


@STREAMS.case("RLE of one segment where the tags need two", _DISAGREES)
def rle_segments() -> bytes:
    return good(syntax=files.RLE, codestream=files.encode_rle(half()))


@STREAMS.case("a code stream of zeros", _BROKEN)
def stream_zeros() -> bytes:
    return good(syntax=files.JPEG_LOSSLESS, codestream=bytes(5000))


@STREAMS.case("an empty code stream", error(Code.NO_PIXEL_DATA))
def stream_empty() -> bytes:
    return _items(b"", b"")


for _syntax in (files.JPEG_LOSSLESS, files.JPEG_LS, files.J2K_LOSSLESS, files.JXL_LOSSLESS, files.RLE):
    _lean = np.ascontiguousarray(film()[:, :-8])
    STREAMS.add(
        f"size_{_syntax}",
        f"{_NAMES.get(_syntax, 'RLE')} of 632 columns under tags of 640",
        error(Code.PIXELS_TRUNCATED) if _syntax == files.RLE else _DISAGREES,
        lambda syntax=_syntax, lean=_lean: good(syntax=syntax, codestream=files.encode(lean, syntax, BITS)),
    )


@STREAMS.case("JPEG Lossless of 12 bits under tags of 10: the code stream is believed", same(Code.BITS_CORRECTED))
def depth_less() -> bytes:
    return good(syntax=files.JPEG_LOSSLESS, bits_stored=10, codestream=_stream(files.JPEG_LOSSLESS))


@STREAMS.case("JPEG 2000 of 12 bits under tags of 16: the code stream is believed", same(Code.BITS_CORRECTED))
def depth_more() -> bytes:
    return good(syntax=files.J2K_LOSSLESS, bits_stored=16, codestream=_stream(files.J2K_LOSSLESS))


@STREAMS.case("JPEG of 8 bits under tags of 16", ok(Code.BITS_CORRECTED))
def depth_eight() -> bytes:
    stream = files.encode(half(), files.JPEG_BASELINE, 8)
    return good(syntax=files.JPEG_BASELINE, codestream=stream, window=(128, 256))


@STREAMS.case("a colour JPEG under tags of grey", _DISAGREES)
def stream_colour() -> bytes:
    stream = files.encode(np.dstack([half()] * 3), files.JPEG_BASELINE, 8)
    return good(half(), syntax=files.JPEG_BASELINE, codestream=stream)


@STREAMS.case("100 bytes of padding behind the end of image", same())
def padding() -> bytes:
    return _with(files.JPEG_LOSSLESS, lambda stream: stream + bytes(100))


@STREAMS.case("5,000 bytes of padding behind the end of image", same())
def padding_long() -> bytes:
    return _with(files.JPEG_LS, lambda stream: stream + bytes(5000))


@STREAMS.case("JPEG 2000 without a quarter of its middle", _BROKEN)
def middle_lost() -> bytes:
    return _with(files.J2K_LOSSLESS, _middle_lost)


@STREAMS.case("a JPEG XL animation of 40 frames", error(Code.MULTI_FRAME))
def animation() -> bytes:
    import imagecodecs

    frames = np.stack([film()[::8, ::8]] * 40)
    stream = bytes(imagecodecs.jpegxl_encode(frames, lossless=True, bitspersample=BITS, effort=1))
    return good(np.ascontiguousarray(film()[::8, ::8]), syntax=files.JXL_LOSSLESS, codestream=stream)


def _items(*items: bytes, end: bool = True) -> bytes:
    """Items as they are given, in place of a well-made encapsulation."""
    whole = good(syntax=files.JPEG_LOSSLESS)
    at = whole.index(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff") + 12
    body = b"".join(b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item for item in items)
    return whole[:at] + body + (b"\xfe\xff\xdd\xe0\0\0\0\0" if end else b"")


def _even(syntax: str = files.JPEG_LOSSLESS) -> bytes:
    stream = _stream(syntax)
    return stream + b"\0" * (len(stream) % 2)


@FRAGMENTS.case("an offset table whose one entry is wrong: one frame needs none", same())
def offset_wrong() -> bytes:
    return _items((0x7FFFFFF0).to_bytes(4, "little"), _even())


@FRAGMENTS.case("an offset table of three bytes", error(Code.DICOM_BROKEN))
def offset_odd() -> bytes:
    return _items(b"\0\0\0", _even())


@FRAGMENTS.case("an offset table of two frames", error(Code.MULTI_FRAME))
def offset_two() -> bytes:
    return _items(bytes(4) + len(_even()).to_bytes(4, "little"), _even(), _even())


@FRAGMENTS.case("no offset table: the first item is the code stream", error(Code.DICOM_BROKEN))
def offset_missing() -> bytes:
    return _items(_even())


@FRAGMENTS.case("the code stream in 400 fragments", same())
def fragments_many() -> bytes:
    stream = _even()
    step = -(-len(stream) // 400) // 2 * 2 + 2
    return _items(b"", *(stream[at : at + step] for at in range(0, len(stream), step)))


@FRAGMENTS.case("two whole images in two fragments, and no number of frames", error(Code.MULTI_FRAME))
def fragments_two_frames() -> bytes:
    return _items(b"", _even(), _even())


@FRAGMENTS.case("empty fragments between the others", same())
def fragments_empty() -> bytes:
    stream = _even()
    return _items(b"", stream[:1000], b"", b"", stream[1000:])


@FRAGMENTS.case("no delimiter behind the last fragment", same())
def delimiter_missing() -> bytes:
    return _items(b"", _even(), end=False)


@FRAGMENTS.case("the file ends within a fragment", error(Code.PIXELS_TRUNCATED))
def fragment_cut() -> bytes:
    return _items(b"", _even(), end=False)[:-500]


@FRAGMENTS.case("a fragment that claims 4 GB", error(Code.PIXELS_TRUNCATED))
def fragment_huge() -> bytes:
    whole = _items(b"", _even())
    at = whole.index(b"\xfe\xff\x00\xe0\0\0\0\0") + 12
    return whole[:at] + b"\xf0\xff\xff\xff" + whole[at + 4 :]


@FRAGMENTS.case("rubbish where a fragment should begin", error(Code.DICOM_BROKEN))
def fragment_rubbish() -> bytes:
    whole = _items(b"", _even())
    at = whole.index(b"\xfe\xff\x00\xe0\0\0\0\0") + 8
    return whole[:at] + b"rubbish!" + whole[at + 8 :]


@FRAGMENTS.case("300,000 empty fragments", error(Code.TOO_LARGE))
def fragments_flood() -> bytes:
    return _items(b"", *([b""] * 300_000), _even())


@FRAGMENTS.case("a fragment of 64 MB for an image of 0.8 MB", error(Code.TOO_LARGE))
def fragment_fat() -> bytes:
    return _items(b"", _even() + bytes(64_000_000))
