"""Sources of every kind, structure of files, limits, inverted twins, and damage: one outcome each, never a crash."""

from __future__ import annotations

import io
import os
import pickle
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cxredge.errors import Abstention, Code, CxredgeError, InputError
from cxredge.pixels import Geometry, Percentiles, Window
from cxredge.reading import Limits, Radiograph, open_source, read_plane
from tests.support import dicom_files as files
from tests.support.phantom import draw_phantom

PLANE = Geometry(128, 128, "pad")
IMAGE = draw_phantom(200, 180)
WINDOW = (2048.0, 4096.0)


def plane_of(source: Any) -> npt.NDArray[np.float32]:
    return read_plane(open_source(source), PLANE, Percentiles())[0]


def codes(radiograph: Radiograph) -> set[Code]:
    return {notice.code for notice in radiograph.warnings}


def refused(source: Any, **options: Any) -> CxredgeError:
    with pytest.raises((InputError, Abstention)) as caught:
        read_plane(open_source(source, **options), PLANE, Percentiles())
    return caught.value


def test_every_kind_of_source_gives_the_same_plane(tmp_path: Path) -> None:
    from pydicom import dcmread

    path = files.write_dicom(tmp_path / "scan é.dcm", IMAGE, window=WINDOW)
    data = path.read_bytes()
    with path.open("rb") as file:
        planes = [plane_of(source) for source in (path, str(path), data, bytearray(data), memoryview(data), file)]
    planes += [plane_of(source) for source in (io.BytesIO(data), dcmread(path), dcmread(io.BytesIO(data)))]
    made = files.dicom_dataset(IMAGE, window=WINDOW)
    planes.append(plane_of(made))
    for plane in planes[1:]:
        np.testing.assert_array_equal(plane, planes[0])
    assert open_source(path).facts.path == str(path)
    assert open_source(data).facts.path is None
    assert open_source(path, name="given").facts.path == "given"


@pytest.mark.parametrize("syntax", [*files.RAW_SYNTAXES, files.RLE, files.J2K_LOSSLESS])
def test_datasets_of_every_layout(syntax: str) -> None:
    """A data set that pydicom has read is read like its file; so is one without a transfer syntax."""
    from pydicom import dcmread

    data = files.dicom_bytes(IMAGE, syntax=syntax, window=WINDOW)
    ds = dcmread(io.BytesIO(data))
    np.testing.assert_array_equal(plane_of(ds), plane_of(data))
    del ds.file_meta
    radiograph = open_source(ds)
    assert codes(radiograph) == {Code.SYNTAX_GUESSED}
    np.testing.assert_array_equal(read_plane(radiograph, PLANE, Percentiles())[0], plane_of(data))


@pytest.mark.parametrize("syntax", [files.IMPLICIT, files.EXPLICIT, files.BIG_ENDIAN])
@pytest.mark.parametrize(
    ("preamble", "meta", "expected"),
    [
        (True, True, set()),
        (False, True, {Code.NO_PREAMBLE}),
        (False, False, {Code.NO_PREAMBLE, Code.SYNTAX_GUESSED}),
    ],
)
def test_without_preamble_or_meta(syntax: str, preamble: bool, meta: bool, expected: set[Code]) -> None:
    data = files.dicom_bytes(IMAGE, syntax=syntax, window=WINDOW, preamble=preamble, meta=meta)
    radiograph = open_source(data)
    assert codes(radiograph) == expected
    np.testing.assert_array_equal(plane_of(data), plane_of(files.dicom_bytes(IMAGE, window=WINDOW)))


def test_a_wrong_transfer_syntax_is_seen() -> None:
    """The meta information says implicit VR, the data set is explicit."""
    data = files.dicom_bytes(IMAGE, window=WINDOW)
    wrong = data.replace(files.EXPLICIT.encode() + b"\0", files.IMPLICIT.encode() + b"\0\0\0", 1)
    assert len(wrong) == len(data)
    radiograph = open_source(wrong)
    assert codes(radiograph) == {Code.SYNTAX_GUESSED}
    np.testing.assert_array_equal(plane_of(wrong), plane_of(data))


def test_unknown_and_video_syntaxes_are_refused() -> None:
    for syntax in ("1.2.840.10008.1.2.4.100", "1.2.3.4"):
        error = refused(files.dicom_bytes(IMAGE, syntax=syntax, codestream=b"\0" * 99))
        assert (error.code, error.tag) == (Code.SYNTAX_UNSUPPORTED, "(0002,0010)")


def test_eight_bit_pixels_in_big_endian_words() -> None:
    """PS3.5 8.1.1: of 8-bit pixels stored as OW in big endian, the first is the low byte of its word."""
    image = draw_phantom(200, 180, bits=8).astype(np.uint8)
    ds = files.dicom_dataset(image, syntax=files.BIG_ENDIAN, window=(128, 256))
    ds.PixelData = np.frombuffer(ds.PixelData, np.uint16).byteswap().tobytes()
    ds["PixelData"].VR = "OW"
    from pydicom import dcmwrite

    out = io.BytesIO()
    del ds.file_meta
    dcmwrite(out, ds, implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(plane_of(out.getvalue()), plane_of(files.dicom_bytes(image, window=(128, 256))))


def test_lengths_of_the_pixel_data(tmp_path: Path) -> None:
    data = files.dicom_bytes(IMAGE, window=WINDOW)
    assert refused(data[:-1]).code == Code.PIXELS_TRUNCATED
    padded = open_source(files.dicom_bytes(IMAGE, window=WINDOW, codestream=IMAGE.tobytes() + b"\7" * 100))
    assert codes(padded) == {Code.PIXELS_PADDED}
    np.testing.assert_array_equal(read_plane(padded, PLANE, Percentiles())[0], plane_of(data))
    odd = draw_phantom(101, 99, bits=8).astype(np.uint8)
    assert codes(open_source(files.dicom_bytes(odd, window=(128, 256)))) == set()
    raw_in_fragments = files.dicom_dataset(IMAGE, syntax=files.RLE, codestream=IMAGE.tobytes())
    raw_in_fragments.file_meta.TransferSyntaxUID = files.EXPLICIT
    assert refused(raw_in_fragments).code == Code.DICOM_BROKEN


@pytest.mark.parametrize(
    ("allocated", "stored", "high", "signed"),
    [
        (8, 8, 7, False),
        (8, 6, 7, False),
        (16, 10, 9, True),
        (16, 12, 15, False),
        (16, 16, 15, True),
        (32, 20, 25, True),
    ],
)
def test_bits_anywhere(allocated: int, stored: int, high: int, signed: bool) -> None:
    """Sign, depth and place of the bits, with rubbish around them, against NumPy."""
    rng = np.random.default_rng(stored)
    values = rng.integers(-(1 << (stored - 1)) if signed else 0, 1 << (stored - signed), (64, 64))
    words = (values & ((1 << stored) - 1)) << (high + 1 - stored)
    rubbish = rng.integers(0, 1 << allocated, values.shape) & ~(((1 << stored) - 1) << (high + 1 - stored))
    pixels = (words | rubbish).astype(f"u{allocated // 8}")
    low, top = values.min(), values.max()
    window = ((float(low) + float(top)) / 2, float(top) - float(low))
    tags = {"VOILUTFunction": "LINEAR_EXACT"}
    data = files.dicom_bytes(pixels, bits_stored=stored, high_bit=high, signed=signed, window=window, tags=tags)
    plane = read_plane(open_source(data), Geometry(64, 64), Percentiles())[0]
    np.testing.assert_allclose(plane, (values - low) / (top - low), atol=1e-5)


@pytest.mark.parametrize("syntax", [files.EXPLICIT, files.BIG_ENDIAN, files.RLE, files.JPEG_LS, files.JPEG_BASELINE])
def test_colour(syntax: str) -> None:
    grey = draw_phantom(200, 180, bits=8).astype(np.uint8)
    options: dict[str, Any] = {"window": (128, 256), "syntax": syntax}
    equal = files.dicom_bytes(np.dstack([grey] * 3), photometric="RGB", **options)
    plane, _, found, _ = read_plane(open_source(equal), PLANE, Percentiles())
    assert [notice.code for notice in found] == [Code.COLOR_AS_GREY]
    assert np.abs(plane - plane_of(files.dicom_bytes(grey, window=(128, 256)))).max() <= 1 / 255
    coloured = np.dstack([grey, grey, 255 - grey])
    assert refused(files.dicom_bytes(coloured, photometric="RGB", **options)).code == Code.COLOR_IMAGE


def test_planar_and_luminance_colour() -> None:
    grey = draw_phantom(200, 180, bits=8).astype(np.uint8)
    expected = plane_of(files.dicom_bytes(grey, window=(128, 256)))
    planar = files.dicom_dataset(np.dstack([grey] * 3), photometric="RGB", window=(128, 256))
    planar.PlanarConfiguration, planar.PixelData = 1, grey.tobytes() * 3
    neutral = np.full_like(grey, 128)
    luminance = files.dicom_dataset(np.dstack([grey, neutral, neutral]), photometric="YBR_FULL", window=(128, 256))
    for ds in (planar, luminance):
        np.testing.assert_array_equal(plane_of(ds), expected)


def test_blank_images_are_abstained_on() -> None:
    for value in (0, 77, 4095):
        image = np.full((100, 90), value, np.uint16)
        assert refused(files.dicom_bytes(image)).code == Code.BLANK_IMAGE
        assert refused(files.dicom_bytes(image, window=WINDOW)).code == Code.BLANK_IMAGE
    assert refused(np.zeros((100, 90), np.uint8)).code == Code.BLANK_IMAGE


def test_small_images_are_warned_of() -> None:
    found = read_plane(open_source(files.dicom_bytes(IMAGE, window=WINDOW)), Geometry(256, 64), Percentiles())[2]
    assert [notice.code for notice in found] == [Code.SMALL_IMAGE]


def test_limits(tmp_path: Path) -> None:
    data = files.dicom_bytes(IMAGE, window=WINDOW)
    for limits in (
        Limits(max_rows=199),
        Limits(max_columns=179),
        Limits(max_pixels=35_999),
        Limits(max_file_bytes=9999),
        Limits(max_unpacked_bytes=71_999),
        Limits(max_elements=20),
    ):
        assert refused(data, limits=limits).code == Code.TOO_LARGE
        assert refused(io.BytesIO(data), limits=limits).code == Code.TOO_LARGE
        assert refused(files.write_dicom(tmp_path / "a.dcm", IMAGE), limits=limits).code == Code.TOO_LARGE
    exact = Limits(
        max_rows=200, max_columns=180, max_pixels=36_000, max_file_bytes=len(data), max_unpacked_bytes=72_000
    )
    assert read_plane(open_source(data, limits=exact), PLANE, Percentiles())[0].shape == (128, 128)


def test_a_deflated_file_cannot_inflate_beyond_the_limit() -> None:
    bomb = files.dicom_bytes(np.zeros((4000, 4000), np.uint16), syntax=files.DEFLATED)
    assert len(bomb) < 100_000
    assert refused(bomb, limits=Limits(max_unpacked_bytes=1_000_000)).code == Code.TOO_LARGE


def test_a_code_stream_cannot_claim_more_than_the_limit() -> None:
    """The tags say 64 x 64, the JPEG's own header 60,000 x 60,000: refused before memory is taken."""
    stream = bytearray(files.encode(draw_phantom(64, 64, bits=8).astype(np.uint8), files.JPEG_BASELINE, 8))
    at = stream.index(b"\xff\xc0") + 5
    stream[at : at + 4] = (60_000).to_bytes(2, "big") * 2
    image = np.zeros((64, 64), np.uint8)
    assert (
        refused(files.dicom_bytes(image, syntax=files.JPEG_BASELINE, codestream=bytes(stream))).code == Code.TOO_LARGE
    )


def test_paths(tmp_path: Path) -> None:
    assert refused(tmp_path / "nothing.dcm").code == Code.FILE_NOT_FOUND
    assert refused("with\0null").code == Code.FILE_NOT_FOUND
    assert refused(tmp_path).code == Code.FILE_UNREADABLE
    for content in (b"", b"hello", b"\0" * 500, pickle.dumps([1, 2]), b"%PDF-1.7" + b"x" * 200):
        assert refused(content).code == Code.NOT_AN_IMAGE
    assert refused(io.StringIO("text")).code == Code.FILE_UNREADABLE
    assert refused(3.5).code == Code.ARRAY_UNSUPPORTED


def test_a_file_that_changes_is_not_mixed_up(tmp_path: Path) -> None:
    path = files.write_dicom(tmp_path / "a.dcm", IMAGE, window=WINDOW)
    radiograph = open_source(path)
    first = read_plane(radiograph, PLANE, Percentiles())[0]
    np.testing.assert_array_equal(read_plane(radiograph, PLANE, Percentiles())[0], first)
    files.write_dicom(path, 4095 - IMAGE, window=WINDOW)
    os.utime(path, ns=(0, 1))
    with pytest.raises(InputError) as caught:
        read_plane(radiograph, PLANE, Percentiles())
    assert caught.value.code == Code.FILE_CHANGED


def test_only_the_header_is_read_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a raw file of 15 MB reads a few kilobytes; its rows then come in pieces through one buffer."""
    path = files.write_dicom(tmp_path / "a.dcm", np.zeros((3000, 2500), np.uint16), window=WINDOW)
    counted = {"bytes": 0}
    original = Path.open

    class Counting(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            got = super().readinto(buffer)
            counted["bytes"] += got
            return got

    def opened(self: Path, mode: str = "r", **options: Any) -> Any:
        return io.BufferedReader(Counting(str(self))) if mode == "rb" else original(self, mode, **options)

    monkeypatch.setattr(Path, "open", opened)
    radiograph = open_source(path)
    assert 0 < counted["bytes"] < 100_000
    sizes = [len(chunk) for chunk in radiograph.decode().chunks]
    assert sum(sizes) == 15_000_000
    assert max(sizes) <= 1 << 20


def inverted_twins(shared: Path) -> Iterator[tuple[str, Radiograph, Radiograph]]:
    """Of every chest radiograph there: its pixels as a raw file, and the same inverted with the tag changed."""
    from pydicom import dcmread

    for path in sorted((shared / "dicom/radiographs").glob("*.dcm")):
        try:
            source = open_source(path)
        except Abstention:
            continue
        description = source.decode().description
        data = b"".join(bytes(chunk) for chunk in source.decode().chunks)
        pixels = np.frombuffer(data, f"<u{description.bits_allocated // 8}").reshape(source.rows, source.columns)
        pixels = pixels >> (description.high_bit + 1 - description.bits_stored)
        top = (1 << description.bits_stored) - 1
        ds = dcmread(path)
        one = "MONOCHROME1" if ds.PhotometricInterpretation == "MONOCHROME2" else "MONOCHROME2"
        options: dict[str, Any] = {"bits_stored": description.bits_stored}
        window, mirrored = None, None
        if isinstance(description.voi, Window):
            window = (description.voi.center, description.voi.width)
            mirrored = (top - window[0] + 1, window[1])
        same = files.dicom_bytes(pixels, photometric=ds.PhotometricInterpretation, window=window, **options)
        twin = files.dicom_bytes((top - pixels).astype(pixels.dtype), photometric=one, window=mirrored, **options)
        yield path.name, open_source(same), open_source(twin)


@pytest.mark.shared
def test_inverted_twins_of_every_radiograph(shared_data: Path) -> None:
    """Inverted pixels, the other photometric interpretation, the window mirrored about the range: the same plane."""
    names = []
    for name, same, twin in inverted_twins(shared_data):
        first, second = (read_plane(one, PLANE, Percentiles())[0] for one in (same, twin))
        assert np.ptp(first) > 0.3, name
        np.testing.assert_allclose(second, first, atol=2e-6, err_msg=name)
        names.append(name)
    assert len(names) >= 8


@pytest.mark.shared
def test_the_raw_twin_is_the_file(shared_data: Path) -> None:
    """What the twins above start from has the plane of the file itself, but for reduced JPEG 2000."""
    for name, same, _ in inverted_twins(shared_data):
        plane = plane_of(shared_data / "dicom/radiographs" / name)
        tolerance = 0.05 if "J2K" in name else 0
        assert np.abs(plane - read_plane(same, PLANE, Percentiles())[0]).max() <= tolerance, name


def test_decoding_again_gives_the_same(tmp_path: Path) -> None:
    radiograph = open_source(files.write_dicom(tmp_path / "a.dcm", IMAGE))
    planes = [read_plane(radiograph, PLANE, Percentiles())[0] for _ in range(2)]
    np.testing.assert_array_equal(*planes)
    assert replace(radiograph).rows == 200


def damaged(data: bytes, seed: int) -> bytes:
    """Cut, or with some bytes changed, more often in the header than in the pixels."""
    rng = random.Random(seed)
    if seed % 3 == 0:
        return data[: rng.randrange(len(data))]
    changed = bytearray(data)
    reach = len(data) if seed % 3 == 1 else min(len(data), 2000)
    for _ in range(rng.choice((1, 3, 20))):
        changed[rng.randrange(reach)] = rng.choice((0, 255, rng.randrange(256)))
    return bytes(changed)


@pytest.mark.parametrize(
    "syntax",
    [files.IMPLICIT, files.EXPLICIT, files.BIG_ENDIAN, files.DEFLATED, *files.LOSSLESS_SYNTAXES[1:], "PNG", "TIFF"],
)
def test_damage_gives_typed_errors_only(syntax: str) -> None:
    """A thousand damaged files or so in all: a plane, or one of our exceptions with its facts' type right."""
    image = draw_phantom(72, 64)
    if syntax in ("PNG", "TIFF"):
        from PIL import Image

        out = io.BytesIO()
        Image.fromarray((image >> 4).astype(np.uint8)).save(out, syntax)
        data = out.getvalue()
    else:
        item = files.dicom_dataset(IMAGE).copy()
        tags = {"AnatomicRegionSequence": [item.group_dataset(8)], "RescaleSlope": 1, "RescaleIntercept": 0}
        data = files.dicom_bytes(image, syntax=syntax, window=WINDOW, tags=tags)
    for seed in range(90):
        try:
            plane = plane_of(damaged(data, seed))
        except (InputError, Abstention) as error:
            assert str(error.code) in str(error)
        else:
            assert np.isfinite(plane).all() and plane.min() >= 0 and plane.max() <= 1


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    """One radiograph and several files, decoded from six threads, give what one thread gives."""
    from concurrent.futures import ThreadPoolExecutor

    syntaxes = [files.EXPLICIT, files.DEFLATED, *files.LOSSLESS_SYNTAXES]
    paths = [files.write_dicom(tmp_path / f"{uid}.dcm", IMAGE, syntax=uid, window=WINDOW) for uid in syntaxes]
    radiographs = [open_source(path) for path in paths]
    expected = plane_of(paths[0])

    def read(index: int) -> bool:
        source = radiographs[index % len(paths)] if index % 2 else open_source(paths[index % len(paths)])
        return np.array_equal(read_plane(source, PLANE, Percentiles())[0], expected)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(read, range(150)))
