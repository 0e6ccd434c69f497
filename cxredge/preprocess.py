"""From stored pixels to the graph's input: the one way that it is done, in the C core, in one pass.

A :class:`PlaneBuilder` is fed the stored pixels as they come and keeps a few rows of them; :func:`make_plane` does the
same for pixels that are all there. Training, calibration and the runtime call these, so that a network never sees an
image that was made another way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cxredge.errors import Code, NativeError
from cxredge.native import check, ffi, lib
from cxredge.pixels import Fit, Geometry, Lut, Percentiles, PixelDescription, Placement, Window

if TYPE_CHECKING:
    from typing import TypeAlias

    from _typeshed import ReadableBuffer

    # collections.abc.Buffer needs Python 3.12, and only there do arrays count as one.
    Buffer: TypeAlias = ReadableBuffer | npt.NDArray[Any]

__all__ = ["PlaneBuilder", "make_plane", "placement", "window_from_percentiles"]

_FITS: dict[Fit, int] = {"stretch": lib.CXR_FIT_STRETCH, "pad": lib.CXR_FIT_PAD, "crop": lib.CXR_FIT_CROP}
_FUNCTIONS = {
    "LINEAR": lib.CXR_VOI_LINEAR,
    "LINEAR_EXACT": lib.CXR_VOI_LINEAR_EXACT,
    "SIGMOID": lib.CXR_VOI_SIGMOID,
}


def placement(rows: int, columns: int, geometry: Geometry) -> Placement:
    """Which part of an image of `rows` x `columns` fills which part of the plane.

    A padded image lies on whole pixels of the plane, so its shape is kept to half a pixel of the plane.

    Raises:
        NativeError: BAD_ARGUMENT, where a size is not positive or the fit is unknown.
    """
    place = ffi.new("cxr_placement *")
    _place(place, rows, columns, geometry)
    return Placement(source=_edges(place.source), plane=_edges(place.plane))


class PlaneBuilder:
    """Makes one plane from stored pixels that come in chunks of any length.

    Memory: the plane itself and a few rows, whatever the size of the image. One builder serves one thread at a time.
    """

    def __init__(
        self, description: PixelDescription, geometry: Geometry, *, native_shape: tuple[int, int] | None = None
    ) -> None:
        """Checks the description.

        Args:
            description: what the stored pixels mean. Its `voi` must be there; see :func:`window_from_percentiles`.
            geometry: the plane.
            native_shape: the image's own rows and columns where the pixels are a reduced decode of it, so that both
                are placed alike.

        Raises:
            NativeError: BAD_ARGUMENT, where the description contradicts itself or holds a value out of range.
            InputError: TOO_LARGE, where the image is beyond 65,535 pixels a side or 4 GiB.
        """
        if description.voi is None:
            raise NativeError(Code.BAD_ARGUMENT, "a plane needs a window or a VOI LUT")
        self._shape = (geometry.rows, geometry.columns)
        # The lookup tables are read while the plane is created: until then `alive` must hold them.
        desc, alive = _describe(description)
        desc.plane_rows, desc.plane_columns = _uint32(geometry.rows), _uint32(geometry.columns)
        _place(ffi.addressof(desc, "placement"), *(native_shape or (description.rows, description.columns)), geometry)
        handle = ffi.new("cxr_plane **")
        check(lib.cxr_plane_create(desc, handle))
        del alive
        self._plane = ffi.gc(handle[0], lib.cxr_plane_destroy)

    def feed(self, data: Buffer) -> None:
        """Takes the next stored pixels: any C-contiguous buffer of any length, rows in order.

        Raises:
            InputError: PIXELS_DISAGREE_WITH_TAGS, where more bytes come than the image has. Cut off padding before.
            NativeError: NATIVE_FAILED, where the builder has failed or finished before.
        """
        with ffi.from_buffer(data) as buffer:
            check(lib.cxr_plane_feed(self._plane, buffer, len(buffer)))

    def finish(self) -> npt.NDArray[np.float32]:
        """The plane: float32 (rows, columns), C-contiguous, 0..1, bright = dense; what no pixel reaches is 0.

        Raises:
            InputError: PIXELS_TRUNCATED, where bytes are missing.
            NativeError: NATIVE_FAILED, where the builder has failed or finished before.
        """
        plane = np.empty(self._shape, np.float32)
        check(lib.cxr_plane_finish(self._plane, _floats(plane), plane.size))
        return plane


def window_from_percentiles(data: Buffer, description: PixelDescription, percentiles: Percentiles) -> Window:
    """A window for an image that has none: these percentiles of its modality values become 0 and 1.

    Of an image above 262,144 pixels, every k-th pixel of every k-th row is looked at. Ranks are counted from both ends
    alike, so an inverted image gets the inverted window. Where both percentiles are one value (a blank image), the
    window is one step of the stored values wide.

    Args:
        data: the whole image's stored pixels, C-contiguous.
        description: what they mean; its `voi` is not looked at.
        percentiles: 0 <= low < high <= 100.

    Returns:
        A LINEAR_EXACT window in modality units.

    Raises:
        InputError: `data` is shorter or longer than the image.
        NativeError: BAD_ARGUMENT, where the description or the percentiles are out of range.
    """
    desc, alive = _describe(replace(description, voi=None))
    ends = ffi.new("double[2]")
    with ffi.from_buffer(data) as buffer:
        check(lib.cxr_percentile_window(desc, buffer, len(buffer), percentiles.low, percentiles.high, ends, ends + 1))
    del alive
    return Window(center=ends[0], width=ends[1], function="LINEAR_EXACT")


def make_plane(
    data: Buffer,
    description: PixelDescription,
    geometry: Geometry,
    *,
    percentiles: Percentiles = Percentiles(),  # noqa: B008 - frozen
    native_shape: tuple[int, int] | None = None,
) -> npt.NDArray[np.float32]:
    """The plane of an image whose stored pixels are all there; see :class:`PlaneBuilder` for what comes out.

    Args:
        data: the stored pixels; an array that is not C-contiguous is copied.
        description: what they mean. Where its `voi` is None, `percentiles` decide.
        geometry: the plane.
        percentiles: for an image without a window.
        native_shape: see :class:`PlaneBuilder`.

    Raises:
        InputError: `data` is shorter or longer than the image, or the image is too large.
        NativeError: BAD_ARGUMENT, where the description contradicts itself or holds a value out of range.
    """
    if isinstance(data, np.ndarray):
        data = np.ascontiguousarray(data)
    if description.voi is None:
        description = replace(description, voi=window_from_percentiles(data, description, percentiles))
    builder = PlaneBuilder(description, geometry, native_shape=native_shape)
    builder.feed(data)
    return builder.finish()


def _describe(description: PixelDescription) -> tuple[Any, list[Any]]:
    """The C description of the pixels, and what must live as long as it is used."""
    desc = ffi.new("cxr_plane_desc *")
    check(lib.cxr_plane_desc_init(desc, ffi.sizeof("cxr_plane_desc"), lib.CXR_ABI))
    alive: list[Any] = []
    desc.rows, desc.columns = _uint32(description.rows), _uint32(description.columns)
    desc.bits_allocated = _uint32(description.bits_allocated)
    desc.bits_stored, desc.high_bit = _uint32(description.bits_stored), _uint32(description.high_bit)
    desc.is_signed, desc.big_endian = description.signed, description.big_endian
    desc.inverted = description.inverted
    if isinstance(description.modality, Lut):
        desc.modality = lib.CXR_MODALITY_LUT
        alive.append(_fill_lut(desc.modality_lut, description.modality))
    else:
        desc.slope, desc.intercept = description.modality.slope, description.modality.intercept
    if isinstance(description.voi, Lut):
        desc.voi = lib.CXR_VOI_LUT
        alive.append(_fill_lut(desc.voi_lut, description.voi))
    elif description.voi is not None:
        desc.voi = _FUNCTIONS[description.voi.function]
        desc.center, desc.width = description.voi.center, description.voi.width
    return desc, alive


def _fill_lut(target: Any, lut: Lut) -> Any:
    entries = np.ascontiguousarray(lut.data, np.uint16)
    buffer = ffi.from_buffer("uint16_t const[]", entries)
    target.data, target.count, target.bits = buffer, entries.size, _uint32(lut.bits)
    if not -(2**31) <= lut.first < 2**31:
        raise NativeError(Code.BAD_ARGUMENT, "the first input of a lookup table is out of range")
    target.first = lut.first
    return buffer


def _place(target: Any, rows: int, columns: int, geometry: Geometry) -> None:
    fit = _FITS.get(geometry.fit, -1)
    sizes = (rows, columns, geometry.rows, geometry.columns)
    check(lib.cxr_place(*map(_uint32, sizes), fit, target))


def _edges(box: Any) -> tuple[float, float, float, float]:
    return (box.left, box.top, box.right, box.bottom)


def _uint32(value: int) -> int:
    if not 0 <= value < 2**32:
        raise NativeError(Code.BAD_ARGUMENT, "a size or a number of bits is out of range")
    return value


def _floats(array: npt.NDArray[np.float32]) -> Any:
    return ffi.from_buffer("float[]", array, require_writable=True)
