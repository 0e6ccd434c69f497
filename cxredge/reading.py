"""The one way in: whatever a source is, it becomes a checked radiograph, and that becomes the graph's input plane.

What is read, in which order it is checked, and what each outcome is called: docs/reading.md.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from cxredge.errors import Abstention, Code, InputError
from cxredge.files import path_text
from cxredge.pixels import Geometry, Percentiles, PixelDescription, Placement
from cxredge.result import Notice, notice
from cxredge.sources import Blob, Buffer, BytesBlob, Decoded, FileBlob, Limits, Radiograph, read_all

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    import numpy.typing as npt
    from pydicom import Dataset

    Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | npt.NDArray[Any] | Dataset

__all__ = ["Decoded", "Limits", "Radiograph", "Source", "open_source", "read_plane"]

_FULL_DECODE_PIXELS = 4_000_000
"""Up to this size a JPEG 2000 image is decoded in full: it takes under a fifth of a second, and the plane is then
exactly that of the same image in any other lossless syntax."""
_BLANK = 1.0 / 256.0
"""A picture whose display values lie closer together than one grey level of 8 bits shows nothing."""


def open_source(source: Source, *, limits: Limits = Limits(), name: str | None = None) -> Radiograph:  # noqa: B008
    """Read a source's header and check it; the pixels stay where they are.

    Args:
        source: a path; a file's bytes or an open binary file (read from where it stands to its end); a 2-D array
            (uint8 full range, uint16 and int16 by percentiles, floats in 0..1; bright = dense); a pydicom Dataset.
        limits: the largest input that is accepted.
        name: what the facts call it; by default the path, and nothing for a source without one.

    Raises:
        Abstention: the input is readable, but its tags say that no result could be trusted.
        InputError: the input is broken or of a kind that is not read. Of both, `facts` holds what is known.
    """
    if isinstance(source, (str, os.PathLike)):
        return _open_blob(FileBlob.of(Path(source)), limits, name or path_text(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _open_blob(BytesBlob(bytes(source)), limits, name)
    if hasattr(source, "file_meta") or hasattr(source, "to_json_dict"):
        from cxredge.dicom import open_dataset

        return open_dataset(source, limits, name)  # type: ignore[arg-type]
    if hasattr(source, "read"):
        return _open_blob(BytesBlob(read_all(cast(BinaryIO, source), limits)), limits, name)
    return _open_array(source, limits, name)


def _open_array(source: Any, limits: Limits, name: str | None) -> Radiograph:
    import numpy as np

    from cxredge.rasters import open_array

    if not isinstance(source, np.ndarray):
        raise InputError(Code.ARRAY_UNSUPPORTED, f"a {type(source).__name__}")
    return open_array(source, limits, name)


def _open_blob(blob: Blob, limits: Limits, name: str | None) -> Radiograph:
    """DICOM or raster, by the first bytes: names say nothing in an archive."""
    limits.check_bytes(blob.size)
    with blob.open() as file:
        head = file.read(132)
    from cxredge.rasters import looks_like_raster, open_raster

    if head[128:] != b"DICM" and looks_like_raster(head):
        return open_raster(blob, limits, name)
    from cxredge.dicom import looks_like_dicom, open_dicom

    if not looks_like_dicom(head):
        raise InputError(Code.NOT_AN_IMAGE, "empty" if not head else "")
    return open_dicom(blob, limits, name)


def read_plane(
    radiograph: Radiograph, geometry: Geometry, percentiles: Percentiles
) -> tuple[npt.NDArray[np.float32], Placement, tuple[Notice, ...], dict[str, float]]:
    """Decode a radiograph and make the graph's input plane of it.

    Args:
        radiograph: from `open_source`.
        geometry: the plane, and how the image is fitted into it.
        percentiles: what becomes 0 and 1 where the file has no window that can be used.

    Returns:
        The plane (rows, columns), C-contiguous, 0..1, bright = dense; where the image lies in it; what decoding gave
        reason to warn of; and the milliseconds spent by stage: "decode", "pixels".

    Raises:
        Abstention: BLANK_IMAGE.
        InputError: the pixels cannot be read.
    """
    from cxredge.preprocess import placement

    place = placement(radiograph.rows, radiograph.columns, geometry)
    making = _Making(radiograph, geometry, percentiles, _fewest(radiograph, place, geometry))
    plane = making.plane()
    if _is_blank(plane, place) and not making.by_percentiles:
        # The window may lie beside all values: look at the pixels themselves before calling the image blank.
        making.warn(Code.INVALID_WINDOW, "(0028,1050)")
        plane = making.plane(ignore_window=True)
    if _is_blank(plane, place):
        raise Abstention(Code.BLANK_IMAGE)
    if radiograph.rows < geometry.rows or radiograph.columns < geometry.columns:
        making.warn(Code.SMALL_IMAGE, None)
    return plane, place, tuple(making.warnings), making.spent


def _fewest(radiograph: Radiograph, place: Placement, geometry: Geometry) -> tuple[int, int] | None:
    """The fewest rows and columns of a large image that still exceed the plane where it lies; None for all of them."""
    if radiograph.rows * radiograph.columns <= _FULL_DECODE_PIXELS:
        return None
    left, top, right, bottom = place.source
    plane_left, plane_top, plane_right, plane_bottom = place.plane
    rows = geometry.rows * (plane_bottom - plane_top) / (bottom - top)
    columns = geometry.columns * (plane_right - plane_left) / (right - left)
    return min(radiograph.rows, int(rows) + 1), min(radiograph.columns, int(columns) + 1)


def _is_blank(plane: npt.NDArray[np.float32], place: Placement) -> bool:
    rows, columns = plane.shape
    left, top, right, bottom = place.plane
    part = plane[round(top * rows) : round(bottom * rows), round(left * columns) : round(right * columns)]
    return bool(part.size == 0 or part.max() - part.min() < _BLANK)


class _Making:
    """The making of one plane: decoding, the window fallback, warnings, times."""

    def __init__(
        self, radiograph: Radiograph, geometry: Geometry, percentiles: Percentiles, at_least: tuple[int, int] | None
    ) -> None:
        self._radiograph = radiograph
        self._geometry = geometry
        self._percentiles = percentiles
        self._at_least = at_least
        self.warnings: list[Notice] = []
        self.spent = {"decode": 0.0, "pixels": 0.0}
        self.by_percentiles = False

    def warn(self, code: Code, tag: str | None) -> None:
        """Add a warning, once."""
        if not any(known.code == code for known in (*self._radiograph.warnings, *self.warnings)):
            self.warnings.append(notice(code, tag=tag))

    def plane(self, *, ignore_window: bool = False) -> npt.NDArray[np.float32]:
        """Decode, and make the plane."""
        from cxredge.preprocess import PlaneBuilder

        began = time.perf_counter()
        decoded = self._radiograph.decode(self._at_least)
        for warning in decoded.warnings:
            if warning not in self.warnings:
                self.warnings.append(warning)
        description, chunks = decoded.description, iter(decoded.chunks)
        if description.voi is None or ignore_window:
            data = _joined(chunks)
            description, chunks = self._windowed(data, description), iter([data])
        builder = PlaneBuilder(
            description, self._geometry, native_shape=(self._radiograph.rows, self._radiograph.columns)
        )
        feeding = 0.0
        for chunk in chunks:
            start = time.perf_counter()
            builder.feed(chunk)
            feeding += time.perf_counter() - start
        start = time.perf_counter()
        plane = builder.finish()
        ended = time.perf_counter()
        feeding += ended - start
        self.spent["pixels"] += feeding * 1e3
        self.spent["decode"] += (ended - began - feeding) * 1e3
        return plane

    def _windowed(self, data: Buffer, description: PixelDescription) -> PixelDescription:
        """The description with a window from the percentiles, and the warning that says so."""
        from cxredge.preprocess import window_from_percentiles

        self.by_percentiles = True
        known = {warning.code for warning in (*self._radiograph.warnings, *self.warnings)}
        if Code.INVALID_WINDOW not in known:
            self.warn(Code.NO_WINDOW, None)
        window = window_from_percentiles(data, description, self._percentiles)
        return replace(description, voi=window)


def _joined(chunks: Any) -> Buffer:
    """All chunks as one buffer; their maker may reuse theirs, so they are copied, and held once only."""
    whole = bytearray()
    for chunk in chunks:
        whole += chunk
    return whole
