"""Every transfer syntax gives the plane that its raw twin gives; and the decoders agree with pydicom's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cxredge.dicom.decoders import decoder_states
from cxredge.errors import Code, InputError
from cxredge.pixels import Geometry, Percentiles, PixelDescription
from cxredge.reading import Radiograph, open_source, read_plane
from tests.support import dicom_files as files
from tests.support.phantom import draw_phantom

GREY_LEVEL = 1 / 255
PLANE = Geometry(256, 256, "pad")
SHAPE = (331, 287)  # smaller than twice the plane: no reduced decode

REDUCIBLE = (files.J2K_LOSSLESS, files.J2K, files.HTJ2K_LOSSLESS, files.HTJ2K_RPCL, files.HTJ2K)


def plane_of(data: bytes, geometry: Geometry = PLANE) -> npt.NDArray[np.float32]:
    return read_plane(open_source(data), geometry, Percentiles())[0]


def stored_values(radiograph: Radiograph) -> npt.NDArray[np.int64]:
    """The full image as signed stored values, by NumPy: PS3.5 8.1.1."""
    decoded = radiograph.decode()
    d: PixelDescription = decoded.description
    data = b"".join(bytes(chunk) for chunk in decoded.chunks)
    words = np.frombuffer(data, f"{'>' if d.big_endian else '<'}u{d.bits_allocated // 8}").astype(np.int64)
    values = (words >> (d.high_bit + 1 - d.bits_stored)) & ((1 << d.bits_stored) - 1)
    if d.signed:
        values = np.where(values >> (d.bits_stored - 1), values - (1 << d.bits_stored), values)
    return values.reshape(d.rows, d.columns)


@pytest.mark.parametrize("syntax", [*files.RAW_SYNTAXES, *files.LOSSLESS_SYNTAXES])
@pytest.mark.parametrize(
    ("bits", "signed", "window"),
    [(8, False, (128, 256)), (12, False, (2000, 3600)), (16, False, (30000, 60001)), (12, True, (-200, 2900))],
)
def test_lossless_twins_are_identical(syntax: str, bits: int, signed: bool, window: tuple[float, float]) -> None:
    drawn = draw_phantom(*SHAPE, bits=bits)
    if signed:
        drawn = (drawn.astype(np.int32) - 2048).astype(np.int16).view(np.uint16) & 0x0FFF
    image = drawn.astype(np.uint8) if bits == 8 else drawn
    options: dict[str, Any] = {"bits_stored": bits, "signed": signed, "window": window}
    twin = open_source(files.dicom_bytes(image, syntax=syntax, **options))
    raw = open_source(files.dicom_bytes(image, **options))
    np.testing.assert_array_equal(stored_values(twin), stored_values(raw))
    twin_plane = read_plane(twin, PLANE, Percentiles())
    np.testing.assert_array_equal(twin_plane[0], read_plane(raw, PLANE, Percentiles())[0])
    assert twin.warnings == () == twin_plane[2]


@pytest.mark.parametrize("syntax", files.LOSSY_SYNTAXES)
def test_lossy_twins_are_within_a_grey_level(syntax: str) -> None:
    bits = 8 if syntax == files.JPEG_BASELINE else 12
    drawn = draw_phantom(*SHAPE, bits=bits)
    image = drawn.astype(np.uint8) if bits == 8 else drawn
    window = (2.0 ** (bits - 1), 2.0**bits)
    plane = plane_of(files.dicom_bytes(image, syntax=syntax, window=window))
    difference = np.abs(plane - plane_of(files.dicom_bytes(image, window=window)))
    assert 0 < difference.max() <= GREY_LEVEL


@pytest.fixture
def always_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small images are reduced too, so that a test of it takes no time."""
    monkeypatch.setattr("cxredge.reading._FULL_DECODE_PIXELS", 0)


@pytest.mark.usefixtures("always_reduced")
@pytest.mark.parametrize("syntax", REDUCIBLE)
@pytest.mark.parametrize("shape", [(1500, 1250), (1201, 1103), (1024, 2050)])
@pytest.mark.parametrize("fit", ["pad", "stretch", "crop"])
def test_reduced_decoding_stays_within_the_stated_bound(syntax: str, shape: tuple[int, int], fit: Any) -> None:
    """The bound of docs/reading.md: half a grey level on average, 12 at the sharpest edge."""
    image = draw_phantom(*shape, seed=shape[0])
    geometry = Geometry(256, 224, fit)
    data = files.dicom_bytes(image, syntax=syntax, window=(2048, 4096))
    decoded = open_source(data).decode((257, 225)).description
    assert decoded.rows < shape[0] / 1.9, "decoded in full: nothing is tested"
    assert decoded.rows >= 257 and decoded.columns >= 225
    raw = plane_of(files.dicom_bytes(image, window=(2048, 4096)), geometry)
    difference = np.abs(plane_of(data, geometry) - raw) / GREY_LEVEL
    assert difference.mean() <= 0.5
    assert difference.max() <= 12


def test_only_large_images_are_reduced() -> None:
    """Up to four megapixels the plane is the raw twin's to the bit; above, it is not, but close."""
    for shape, same in (((2000, 2000), True), ((2000, 2004), False)):
        image = draw_phantom(*shape)
        raw = plane_of(files.dicom_bytes(image, window=(2048, 4096)))
        twin = plane_of(files.dicom_bytes(image, syntax=files.HTJ2K_LOSSLESS, window=(2048, 4096)))
        assert np.array_equal(raw, twin) is same
        assert np.abs(raw - twin).mean() <= 0.5 * GREY_LEVEL


@pytest.mark.shared
@pytest.mark.usefixtures("always_reduced")
@pytest.mark.parametrize("side", [128, 224, 256, 512])
def test_reduced_decoding_of_a_real_image(side: int, shared_data: Path) -> None:
    """The bound of docs/reading.md for real images: 1 grey level on average, 8 for 99 % of the plane."""
    radiograph = open_source(shared_data / "dicom/radiographs/RG1_J2KI.dcm")
    geometry = Geometry(side, side, "pad")
    whole = Radiograph(
        radiograph.facts, (), radiograph.rows, radiograph.columns, lambda at_least: radiograph.decode(None)
    )
    reduced = read_plane(radiograph, geometry, Percentiles())[0]
    difference = np.abs(reduced - read_plane(whole, geometry, Percentiles())[0]) / GREY_LEVEL
    assert 0 < difference.mean() <= 1
    assert np.quantile(difference, 0.99) <= 8


@pytest.mark.usefixtures("always_reduced")
@pytest.mark.parametrize("rows", [640, 641, 643, 647])
@pytest.mark.parametrize("syntax", [files.J2K_LOSSLESS, files.HTJ2K_LOSSLESS])
def test_reduced_decoding_does_not_move_the_picture(rows: int, syntax: str) -> None:
    """A ramp that rises by 3 and 2 a native pixel stays where it is to a tenth of one, whatever the size's remainder.

    Each plane pixel covers one and a bit of the reduced image's, so single ones differ; all together must not.
    """
    y, x = np.mgrid[0:rows, 0 : rows + 5]
    ramp = (500 + 3 * y + 2 * x).astype(np.uint16)
    data = files.dicom_bytes(ramp, syntax=syntax, window=(2048, 4096), bits_stored=13)
    full = plane_of(files.dicom_bytes(ramp, window=(2048, 4096), bits_stored=13), Geometry(64, 64))
    reduced = plane_of(data, Geometry(64, 64))
    moved = (reduced - full)[2:-2, 2:-2] * 4095
    assert abs(moved.mean()) <= 0.2
    assert abs(moved[:, :20].mean() - moved[:, -20:].mean()) <= 0.4  # nor is it stretched
    assert abs(moved[:20].mean() - moved[-20:].mean()) <= 0.4


@pytest.mark.usefixtures("always_reduced")
def test_signed_jpeg_2000_code_stream() -> None:
    """A code stream of signed samples, in full and reduced."""
    drawn = (draw_phantom(700, 640).astype(np.int32) - 2048).astype(np.int16)
    stream = files.encode(drawn, files.J2K_LOSSLESS, 12)
    pattern = drawn.view(np.uint16) & 0x0FFF
    options: dict[str, Any] = {"signed": True, "window": (0, 4096)}
    raw = open_source(files.dicom_bytes(pattern, **options))
    twin = open_source(files.dicom_bytes(pattern, syntax=files.J2K_LOSSLESS, codestream=stream, **options))
    np.testing.assert_array_equal(stored_values(twin), stored_values(raw))
    small = Geometry(128, 128)
    difference = read_plane(twin, small, Percentiles())[0] - read_plane(raw, small, Percentiles())[0]
    assert np.abs(difference).mean() <= 0.5 * GREY_LEVEL


@pytest.mark.parametrize("fragments", [1, 2, 7])
def test_fragments_are_joined(fragments: int) -> None:
    image = draw_phantom(*SHAPE)
    data = files.dicom_bytes(image, syntax=files.JPEG_LS, window=(2048, 4096), fragments=fragments)
    np.testing.assert_array_equal(plane_of(data), plane_of(files.dicom_bytes(image, window=(2048, 4096))))


@pytest.mark.parametrize("syntax", [files.J2K_LOSSLESS, files.JPEG_LS, files.RLE])
def test_a_missing_sequence_delimiter_is_let_pass(syntax: str) -> None:
    """The file ends with its last fragment: all pixels are there."""
    data = files.dicom_bytes(draw_phantom(*SHAPE), syntax=syntax, window=(2048, 4096))
    assert data[-8:] == b"\xfe\xff\xdd\xe0\0\0\0\0"
    np.testing.assert_array_equal(plane_of(data[:-8]), plane_of(data))


def test_an_offset_table_of_several_frames_is_refused() -> None:
    from pydicom.encaps import encapsulate

    ds = files.dicom_dataset(draw_phantom(*SHAPE), syntax=files.JPEG_LS, window=(2048, 4096))
    frame = files.encode(draw_phantom(*SHAPE), files.JPEG_LS, 12)
    ds.PixelData = encapsulate([frame, frame])
    with pytest.raises(InputError) as caught:
        open_source(ds).decode()
    assert caught.value.code == Code.MULTI_FRAME


@pytest.mark.parametrize("syntax", [*files.LOSSLESS_SYNTAXES, files.JPEG_BASELINE])
def test_truncated_code_streams_are_typed_errors(syntax: str) -> None:
    image = draw_phantom(*SHAPE, bits=8).astype(np.uint8)
    stream = files.encode(image, syntax, 8)
    for share in (0.01, 0.3, 0.9):
        data = files.dicom_bytes(image, syntax=syntax, codestream=stream[: int(len(stream) * share)])
        try:
            plane = plane_of(data)
        except InputError as error:
            assert error.code in {Code.CODESTREAM_BROKEN, Code.PIXELS_TRUNCATED, Code.PIXELS_DISAGREE_WITH_TAGS}
        else:  # pragma: no cover - a decoder that fills in what is missing must not do so silently
            pytest.fail(f"{share:.0%} of the code stream gave a plane of mean {plane.mean():.3f}")


@pytest.mark.parametrize("syntax", [*files.LOSSLESS_SYNTAXES[3:], *files.LOSSY_SYNTAXES[:1]])
def test_another_size_than_the_tags(syntax: str) -> None:
    bits = 8 if syntax == files.JPEG_BASELINE else 12
    kind = np.uint8 if bits == 8 else np.uint16
    image = draw_phantom(*SHAPE, bits=bits).astype(kind)
    stream = files.encode(draw_phantom(64, 64, bits=bits).astype(kind), syntax, bits)
    with pytest.raises(InputError) as caught:
        plane_of(files.dicom_bytes(image, syntax=syntax, codestream=stream))
    assert (caught.value.code, caught.value.tag) == (Code.PIXELS_DISAGREE_WITH_TAGS, "(0028,0010)")


def test_another_depth_than_the_tags_is_corrected() -> None:
    """Bits Stored 10 around a code stream of 12 bits: the code stream is believed, with a warning."""
    image = draw_phantom(*SHAPE)
    stream = files.encode(image, files.J2K_LOSSLESS, 12)
    data = files.dicom_bytes(image, syntax=files.J2K_LOSSLESS, codestream=stream, bits_stored=10, window=(2048, 4096))
    plane, _, warnings, _ = read_plane(open_source(data), PLANE, Percentiles())
    assert [notice.code for notice in warnings] == [Code.BITS_CORRECTED]
    np.testing.assert_array_equal(plane, plane_of(files.dicom_bytes(image, window=(2048, 4096))))


def test_a_code_stream_in_a_file_without_a_transfer_syntax() -> None:
    """No meta information: the kind of the code stream is seen from its first bytes."""
    image = draw_phantom(*SHAPE)
    for syntax in (files.J2K_LOSSLESS, files.JPEG_LS, files.RLE, files.JPEG_LOSSLESS_SV1, files.JXL_LOSSLESS):
        data = files.dicom_bytes(image, syntax=syntax, window=(2048, 4096), meta=False)
        radiograph = open_source(data)
        assert {Code.SYNTAX_GUESSED, Code.NO_PREAMBLE} == {notice.code for notice in radiograph.warnings}
        np.testing.assert_array_equal(stored_values(radiograph), image)


def test_every_decoder_is_there() -> None:
    """In the full installation nothing is missing; the table names each syntax once."""
    states = decoder_states()
    assert [state.missing for state in states] == [None] * len(states)
    assert len({state.syntax for state in states}) == len(states) >= 17


@pytest.mark.shared
def test_decoders_agree_with_pydicom(shared_data: Path) -> None:
    """Grey images of `other/`, made into radiographs by their tags alone, give pydicom's pixels."""
    import pydicom

    compared = []
    for path in sorted((shared_data / "dicom/other").glob("*.dcm")):
        ds = pydicom.dcmread(path, force=True)
        grey = ds.get("SamplesPerPixel") == 1 and int(ds.get("NumberOfFrames") or 1) == 1
        if (
            not grey
            or "PixelData" not in ds
            or ds.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2")
        ):
            continue
        if min(ds.Rows, ds.Columns) < 32 or ds.BitsAllocated == 1:
            continue
        try:
            expected = ds.pixel_array
        except (RuntimeError, ValueError, AttributeError, NotImplementedError):
            continue  # pydicom has no decoder for it here
        ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "DX", "CHEST", "PA"
        ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
        ds.PatientOrientation = ["L", "F"]
        ds.AnatomicRegionSequence, ds.PresentationIntentType = [], "FOR PRESENTATION"
        values = stored_values(open_source(ds))
        lossy = str(ds.file_meta.TransferSyntaxUID) in (files.JPEG_BASELINE, files.JPEG_EXTENDED)
        np.testing.assert_allclose(values, expected.astype(np.int64), atol=1 if lossy else 0, err_msg=path.name)
        compared.append(path.name)
    assert len(compared) >= 20, compared
