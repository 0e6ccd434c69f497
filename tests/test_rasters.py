"""PNG, JPEG, TIFF and arrays: read like the same pixels in a DICOM file, and said to carry no metadata."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from cxredge.errors import Abstention, Code, CxredgeError, InputError
from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import Limits, open_source, read_plane
from tests.support.dicom_files import dicom_bytes
from tests.support.phantom import draw_phantom

PLANE = Geometry(128, 128, "pad")
GREY8 = draw_phantom(200, 180, bits=8).astype(np.uint8)
GREY16 = draw_phantom(200, 180, bits=16)


def saved(image: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, kind, **options)
    return out.getvalue()


def read(source: Any, **options: Any) -> tuple[npt.NDArray[np.float32], list[str]]:
    radiograph = open_source(source, **options)
    plane, _, found, _ = read_plane(radiograph, PLANE, Percentiles())
    return plane, [notice.code for notice in (*radiograph.warnings, *found)]


def refused(source: Any, **options: Any) -> Code:
    with pytest.raises(CxredgeError) as caught:
        read(source, **options)
    assert isinstance(caught.value, (InputError, Abstention))
    return caught.value.code


FULL = dicom_bytes(GREY8, window=(127.5, 255), tags={"VOILUTFunction": "LINEAR_EXACT"})


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_eight_bits_span_the_full_range(kind: str) -> None:
    plane, warnings = read(saved(GREY8, kind))
    assert warnings == [Code.NO_METADATA]
    np.testing.assert_array_equal(plane, read(FULL)[0])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_take_the_percentiles(kind: str) -> None:
    plane, warnings = read(saved(GREY16, kind))
    assert warnings == [Code.NO_METADATA, Code.NO_WINDOW]
    np.testing.assert_array_equal(plane, read(dicom_bytes(GREY16, bits_stored=16))[0])


def test_jpeg_is_within_a_grey_level() -> None:
    plane, warnings = read(saved(GREY8, "JPEG", quality=98))
    assert warnings == [Code.NO_METADATA]
    assert np.abs(plane - read(FULL)[0]).max() <= 1.5 / 255


def test_colour() -> None:
    plane, warnings = read(saved(np.dstack([GREY8] * 3), "PNG"))
    assert warnings == [Code.NO_METADATA, Code.COLOR_AS_GREY]
    np.testing.assert_array_equal(plane, read(FULL)[0])
    assert refused(saved(np.dstack([GREY8, GREY8, 255 - GREY8]), "PNG")) == Code.COLOR_IMAGE
    assert refused(saved(Image.fromarray(GREY8).convert("P"), "PNG")) == Code.COLOR_IMAGE
    assert refused(saved(Image.fromarray(GREY8).convert("1"), "PNG")) == Code.PIXEL_FORMAT_INVALID


def test_several_pages() -> None:
    pages = [Image.fromarray(GREY8)] * 2
    assert refused(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])) == Code.MULTI_FRAME


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation: int) -> None:
    """The picture that a viewer shows is the picture that is read."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(GREY8), "PNG", exif=exif)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    radiograph = open_source(data)
    assert (radiograph.rows, radiograph.columns) == shown.shape
    np.testing.assert_array_equal(read(data)[0], read(saved(shown, "PNG"))[0])


def test_white_is_zero_tiff() -> None:
    """A TIFF of 16 bits whose 0 is white is inverted, as any viewer does."""
    data = bytearray(saved(GREY16, "TIFF"))
    at = data.index(b"\x06\x01\x03\x00\x01\x00\x00\x00\x01\x00")  # tag 262, PhotometricInterpretation = BlackIsZero
    data[at + 8] = 0
    inverted = read(bytes(data))[0]
    inside = np.s_[:, 10:118]
    np.testing.assert_allclose(inverted[inside], 1 - read(saved(GREY16, "TIFF"))[0][inside], atol=1e-5)


def test_limits_and_sizes() -> None:
    data = saved(GREY8, "PNG")
    assert refused(data, limits=Limits(max_pixels=100)) == Code.TOO_LARGE
    assert refused(GREY8, limits=Limits(max_rows=100)) == Code.TOO_LARGE
    assert refused(saved(GREY8[:20], "PNG")) == Code.IMAGE_TOO_SMALL
    assert refused(GREY8[:, :31]) == Code.IMAGE_TOO_SMALL
    assert refused(data[: len(data) // 2]) == Code.CODESTREAM_BROKEN


def test_arrays() -> None:
    np.testing.assert_array_equal(read(GREY8)[0], read(FULL)[0])
    plane, warnings = read(GREY16)
    assert warnings == [Code.NO_METADATA, Code.NO_WINDOW]
    np.testing.assert_array_equal(plane, read(saved(GREY16, "PNG"))[0])
    signed = (GREY16.astype(np.int32) - 32768).astype(np.int16)
    np.testing.assert_allclose(read(signed)[0], plane, atol=1e-5)
    np.testing.assert_array_equal(read(GREY16.astype(">u2"))[0], plane)
    np.testing.assert_array_equal(read(np.asfortranarray(GREY16))[0], plane)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_float_arrays_are_exact_to_a_16_bit_step(kind: Any) -> None:
    values = (GREY8 / 255).astype(kind)
    plane, warnings = read(values)
    assert warnings == [Code.NO_METADATA]
    np.testing.assert_allclose(plane, read(GREY8)[0], atol=1e-3 if kind is np.float16 else 1 / 65535)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((64, 64), np.int32),
        np.zeros((64, 64), np.complex64),
        np.zeros((64, 64), bool),
        np.full((64, 64), 1.5),
        np.full((64, 64), -0.1),
        np.full((64, 64), np.nan),
        np.zeros((64, 64), "U3"),
        np.zeros(64, np.uint8),
    ],
    ids=str,
)
def test_arrays_that_are_no_grey_image(array: Any) -> None:
    assert refused(array) == Code.ARRAY_UNSUPPORTED
