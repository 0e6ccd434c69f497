"""The C pixel path against float64 NumPy, against pydicom's own functions, and against itself in other chunks."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from cxredge.errors import Code, CxredgeError, InputError, NativeError
from cxredge.native import isa
from cxredge.pixels import Geometry, Lut, Percentiles, PixelDescription, Rescale, Window
from cxredge.preprocess import PlaneBuilder, make_plane, placement, window_from_percentiles
from tests.support import reference

VARIANTS = ("plain", "avx2", "avx512", "neon")


def _available(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found = []
    for name in VARIANTS:
        monkeypatch.setenv("CXREDGE_ISA", name)
        try:
            found.append(isa())
        except NativeError:
            continue
    return found


# -------- what hypothesis draws


@st.composite
def luts(draw: st.DrawFn, center: int, *, voi: bool) -> Lut:
    bits = draw(st.integers(1, 16))
    count = draw(st.sampled_from([1, 2, 17, 256, 1000]))
    seed = draw(st.integers(0, 2**32 - 1))
    data = np.random.default_rng(seed).integers(0, 2**bits, count).astype(np.uint16)
    first = draw(st.integers(max(center - 600, -(2**31)), min(center + 600, 2**31 - 1))) if voi else center
    return Lut(first=first, bits=bits, data=data)


@st.composite
def descriptions(draw: st.DrawFn) -> PixelDescription:
    allocated = draw(st.sampled_from([8, 16, 16, 16, 32]))
    stored = draw(st.integers(1, allocated))
    signed = draw(st.booleans())
    least, most = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if signed else (0, 2**stored - 1)
    step: Rescale | Lut = Rescale(
        slope=draw(st.sampled_from([1.0, 1.0, -1.0, 0.5, 2.44, -0.003])),
        intercept=draw(st.sampled_from([0.0, 0.0, -1024.0, 13.25])),
    )
    if draw(st.integers(0, 4)) == 0:
        step = draw(luts(draw(st.integers(max(least, -(2**31)), min(most, 2**31 - 1))), voi=False))
    values = (0.0, 65535.0) if isinstance(step, Lut) else tuple(v * step.slope + step.intercept for v in (least, most))
    low, high = min(values), max(values)
    function = draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "LUT"]))
    if function == "LUT":
        middle = int(draw(st.floats(low, high)))
        voi: Window | Lut = draw(luts(min(max(middle, -(2**31)), 2**31 - 1), voi=True))
    else:
        span = high - low
        center = draw(st.one_of(st.floats(low - span / 4, high + span / 4), st.integers(int(low), int(high) + 1)))
        width = draw(st.one_of(st.floats(1.0, max(1.0, 2 * span)), st.integers(1, max(1, int(span)))))
        voi = Window(float(center), float(width), function)  # type: ignore[arg-type]
    return PixelDescription(
        rows=draw(st.integers(1, 70)),
        columns=draw(st.integers(1, 90)),
        bits_allocated=allocated,  # type: ignore[arg-type]
        bits_stored=stored,
        high_bit=draw(st.integers(stored - 1, allocated - 1)),
        signed=signed,
        big_endian=draw(st.booleans()),
        modality=step,
        voi=voi,
        inverted=draw(st.booleans()),
    )


geometries = st.builds(
    Geometry,
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    fit=st.sampled_from(["stretch", "pad", "crop"]),
)


def _pixels(description: PixelDescription, seed: int) -> Any:
    least = -(2 ** (description.bits_stored - 1)) if description.signed else 0
    rng = np.random.default_rng(seed)
    return rng.integers(least, least + 2**description.bits_stored, (description.rows, description.columns), np.int64)


def _expected(stored: Any, description: PixelDescription, geometry: Geometry) -> Any:
    place = placement(description.rows, description.columns, geometry)
    return reference.resize(reference.display(stored, description), place, geometry)


# -------- the path as a whole


@settings(max_examples=400, deadline=None)
@given(descriptions(), geometries, st.integers(0, 2**32 - 1))
def test_agrees_with_float64(description: PixelDescription, geometry: Geometry, seed: int) -> None:
    stored = _pixels(description, seed)
    plane = make_plane(reference.encode(stored, description, noise=seed), description, geometry)
    assert plane.dtype == np.float32
    assert plane.flags.c_contiguous
    assert plane.min() >= 0
    assert plane.max() <= 1
    np.testing.assert_allclose(plane, _expected(stored, description, geometry), rtol=0, atol=1e-5)


@pytest.mark.parametrize("allocated", [8, 16, 32])
@pytest.mark.parametrize("signed", [False, True])
def test_every_bit_depth_and_high_bit(allocated: int, signed: bool) -> None:
    geometry = Geometry(5, 7)
    for stored in range(1, allocated + 1):
        for high_bit in {stored - 1, allocated - 1}:
            least = -(2 ** (stored - 1)) if signed else 0
            voi = Window(least + 2 ** (stored - 1), 2.0**stored)
            d = PixelDescription(11, 37, allocated, stored, high_bit, signed=signed, voi=voi)  # type: ignore[arg-type]
            pixels = _pixels(d, stored)
            plane = make_plane(reference.encode(pixels, d, noise=0x5A5A5A5A), d, geometry)
            np.testing.assert_allclose(plane, _expected(pixels, d, geometry), rtol=0, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(descriptions(), geometries, st.lists(st.integers(0, 20000), max_size=12), st.integers(0, 3))
def test_chunks_change_nothing(description: PixelDescription, geometry: Geometry, cuts: list[int], offset: int) -> None:
    data = reference.encode(_pixels(description, 1), description)
    whole = make_plane(data, description, geometry)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    builder = PlaneBuilder(description, geometry)
    for low, high in pairwise(edges):
        unaligned = memoryview(bytes(offset) + data[low:high])[offset:]
        builder.feed(unaligned)
    assert builder.finish().tobytes() == whole.tobytes()


@pytest.mark.parametrize("voi", [Window(2047.5, 1001), Window(9000.3, 40000.7, "LINEAR_EXACT"), Window(8000, 16384)])
@pytest.mark.parametrize("size", [(3, 5), (64, 64), (301, 333), (97, 1029)])
def test_variants_give_the_same_bits(monkeypatch: pytest.MonkeyPatch, voi: Window, size: tuple[int, int]) -> None:
    names = _available(monkeypatch)
    assert "plain" in names
    results = set()
    for name in names:
        monkeypatch.setenv("CXREDGE_ISA", name)
        for signed in (False, True):
            d = PixelDescription(*size, 16, 16, 15, signed=signed, voi=voi)
            stored = _pixels(d, 3)
            plane = make_plane(reference.encode(stored, d), d, Geometry(23, 29))
            np.testing.assert_allclose(plane, _expected(stored, d, Geometry(23, 29)), rtol=0, atol=1e-5)
            results.add((signed, plane.tobytes()))
    assert len(results) == 2, f"{names} differ"


def test_an_unknown_variant_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXREDGE_ISA", "mmx")
    with pytest.raises(NativeError) as caught:
        PlaneBuilder(PixelDescription(2, 2, 8, 8, 7, voi=Window(128, 256)), Geometry(2, 2))
    assert caught.value.code is Code.BAD_ARGUMENT
    with pytest.raises(NativeError):
        isa()


# -------- against pydicom


def _dataset(bits: int, *, signed: bool) -> Dataset:
    ds = Dataset()
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsStored = bits
    ds.PixelRepresentation = int(signed)
    return ds


def _lut_item(lut: Lut, *, signed: bool) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [len(lut.data), lut.first, lut.bits])
    item.add_new("LUTData", "US", [int(v) for v in lut.data])
    return item


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lookup_tables_are_those_of_pydicom_exactly(bits: int, signed: bool) -> None:
    rng = np.random.default_rng(bits)
    first = -100 if signed else 50
    modality = Lut(first=first, bits=16, data=rng.integers(0, 1000, 300).astype(np.uint16))
    voi = Lut(first=200, bits=12, data=rng.integers(0, 4096, 500).astype(np.uint16))
    d = PixelDescription(40, 50, 16, bits, bits - 1, signed=signed, modality=modality, voi=voi)
    stored = _pixels(d, 5)
    ds = _dataset(bits, signed=signed)
    ds.ModalityLUTSequence = [_lut_item(modality, signed=signed)]
    ds.VOILUTSequence = [_lut_item(voi, signed=False)]
    # 32 bits: in 16, pydicom's subtraction of the first input overflows at the ends of the range.
    theirs = apply_voi_lut(apply_modality_lut(stored.astype(np.int32), ds), ds)
    ours = make_plane(reference.encode(stored, d), d, Geometry(40, 50))
    scaled = ours.astype(np.float64) * 4095
    assert np.array_equal(np.rint(scaled), theirs)
    assert np.abs(scaled - np.rint(scaled)).max() < 1e-3


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (1, -1024), (0.5, 3.25)])
@pytest.mark.parametrize("signed", [False, True])
def test_windows_are_those_of_pydicom(function: Any, slope: float, intercept: float, signed: bool) -> None:
    voi = Window(300.0, 701.0, function)
    d = PixelDescription(40, 50, 16, 12, 11, signed=signed, modality=Rescale(slope, intercept), voi=voi)
    stored = _pixels(d, 6)
    ds = _dataset(12, signed=signed)
    ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = voi.center, voi.width, function
    theirs = apply_voi_lut(apply_modality_lut(stored.astype(np.int16), ds), ds)
    least = -2048 if signed else 0
    low, high = (v * slope + intercept for v in (least, least + 4095))
    ours = make_plane(reference.encode(stored, d), d, Geometry(40, 50))
    np.testing.assert_allclose(ours, (theirs - low) / (high - low), rtol=0, atol=2e-7)


def test_a_window_of_width_one_is_a_step() -> None:
    d = PixelDescription(1, 4, 8, 8, 7, voi=Window(2, 1))  # PS3.3 C.11.2.1.2.1: <= c - 0.5 is 0, the rest is 1
    assert make_plane(bytes([0, 1, 2, 3]), d, Geometry(1, 4)).tolist() == [[0, 0, 1, 1]]


# -------- geometry


@given(st.integers(1, 5000), st.integers(1, 5000), geometries)
def test_placement_keeps_the_shape(rows: int, columns: int, geometry: Geometry) -> None:
    place = placement(rows, columns, geometry)
    for left, top, right, bottom in (place.source, place.plane):
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
    if geometry.fit == "stretch":
        assert place.source == place.plane == (0, 0, 1, 1)
        return
    kept = place.plane if geometry.fit == "crop" else place.source
    assert kept == (0, 0, 1, 1)
    across = (place.plane[2] - place.plane[0]) * geometry.columns / ((place.source[2] - place.source[0]) * columns)
    down = (place.plane[3] - place.plane[1]) * geometry.rows / ((place.source[3] - place.source[1]) * rows)
    # The smaller side may be off by half a pixel of the plane, or be held up at one pixel.
    slack = 0.5 / max(1, min(across * columns, down * rows)) + 1e-9 if geometry.fit == "pad" else 1e-9
    narrow = min(across * columns, down * rows) <= 1.0 + 1e-9 and geometry.fit == "pad"
    assert narrow or abs(across / down - 1) <= 2 * slack


def test_a_reduced_decode_is_placed_as_its_original() -> None:
    geometry = Geometry(32, 32, "pad")
    reduced = PixelDescription(26, 9, 8, 8, 7, voi=Window(128, 256))
    plane = make_plane(bytes([255]) * reduced.nbytes, reduced, geometry, native_shape=(101, 33))
    lit = placement(101, 33, geometry).plane
    expected = np.zeros((32, 32), np.float32)
    expected[:, round(lit[0] * 32) : round(lit[2] * 32)] = 1
    assert np.array_equal(plane, expected)
    assert lit != placement(26, 9, geometry).plane


def test_inverted_pixels_and_tag_give_the_same_plane() -> None:
    d = PixelDescription(60, 50, 16, 12, 11, voi=Window(2048, 4096))
    stored = _pixels(d, 8)
    one = make_plane(reference.encode(stored, d), d, Geometry(20, 20))
    other = make_plane(reference.encode(4095 - stored, d), replace(d, inverted=True), Geometry(20, 20))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-7)


# -------- the percentile window


@settings(max_examples=60, deadline=None)
@given(descriptions(), st.integers(0, 2**32 - 1), st.floats(0, 40), st.floats(60, 100))
def test_percentiles_are_those_of_a_sort(description: PixelDescription, seed: int, low: float, high: float) -> None:
    stored = _pixels(description, seed)
    data = reference.encode(stored, description, noise=seed)
    window = window_from_percentiles(data, description, Percentiles(low, high))
    values = np.sort(reference.modality(stored, description).ravel())
    ends = values[::-1] if isinstance(description.modality, Rescale) and description.modality.slope < 0 else values
    last = values.size - 1
    a, b = ends[int(low / 100 * last)], ends[last - int((100 - high) / 100 * last)]
    assert window.function == "LINEAR_EXACT"
    assert window.center == pytest.approx((a + b) / 2)
    assert window.width > 0
    if a != b:
        assert window.width == pytest.approx(abs(b - a))


def test_inverted_pixels_get_the_inverted_window() -> None:
    d = PixelDescription(700, 600, 16, 12, 11)  # large enough to be looked at in part only
    rng = np.random.default_rng(9)
    stored = (rng.gamma(2.0, 300.0, (700, 600)).clip(0, 4095)).astype(np.int64)
    one = window_from_percentiles(reference.encode(stored, d), d, Percentiles())
    other = window_from_percentiles(reference.encode(4095 - stored, d), d, Percentiles())
    assert other.center == 4095 - one.center
    assert other.width == one.width
    planes = [
        make_plane(reference.encode(stored, d), d, Geometry(64, 64)),
        make_plane(reference.encode(4095 - stored, d), replace(d, inverted=True), Geometry(64, 64)),
    ]
    np.testing.assert_allclose(planes[0], planes[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("slope", [1.0, -0.5])
def test_a_blank_image_has_a_window(slope: float) -> None:
    d = PixelDescription(40, 40, 16, 12, 11, modality=Rescale(slope, 5.0))
    window = window_from_percentiles(reference.encode(np.full((40, 40), 77, np.int64), d), d, Percentiles())
    assert window == Window(77 * slope + 5, abs(slope), "LINEAR_EXACT")


# -------- what is refused

GOOD = PixelDescription(4, 4, 16, 12, 11, voi=Window(2048, 4096))


@pytest.mark.parametrize(
    "wrong",
    [
        replace(GOOD, bits_stored=0),
        replace(GOOD, bits_stored=17),
        replace(GOOD, high_bit=10),
        replace(GOOD, high_bit=16),
        replace(GOOD, bits_allocated=12),  # type: ignore[arg-type]
        replace(GOOD, rows=0),
        replace(GOOD, columns=-1),
        replace(GOOD, voi=None),
        replace(GOOD, voi=Window(0, 0.5)),
        replace(GOOD, voi=Window(0, 0, "SIGMOID")),
        replace(GOOD, voi=Window(float("nan"), 1)),
        replace(GOOD, voi=Window(0, float("inf"))),
        replace(GOOD, modality=Rescale(float("nan"), 0)),
        replace(GOOD, voi=Lut(0, 17, np.zeros(4, np.uint16))),
        replace(GOOD, voi=Lut(0, 8, np.zeros(0, np.uint16))),
        replace(GOOD, modality=Lut(2**31, 8, np.zeros(4, np.uint16))),
    ],
)
def test_a_wrong_description_is_refused(wrong: PixelDescription) -> None:
    with pytest.raises(NativeError) as caught:
        PlaneBuilder(wrong, Geometry(4, 4))
    assert caught.value.code is Code.BAD_ARGUMENT


@pytest.mark.parametrize(("rows", "columns"), [(65536, 1), (1, 70000), (2**31, 2**31), (65535, 65535)])
def test_limits_hold(rows: int, columns: int) -> None:
    with pytest.raises(InputError) as caught:
        PlaneBuilder(replace(GOOD, rows=rows, columns=columns), Geometry(4, 4))
    assert caught.value.code is Code.TOO_LARGE


def test_missing_bytes_are_no_image() -> None:
    builder = PlaneBuilder(GOOD, Geometry(4, 4))
    builder.feed(bytes(31))
    with pytest.raises(InputError) as caught:
        builder.finish()
    assert caught.value.code is Code.PIXELS_TRUNCATED
    with pytest.raises(NativeError):
        builder.feed(b"\0")


def test_too_many_bytes_poison_the_builder() -> None:
    builder = PlaneBuilder(GOOD, Geometry(4, 4))
    with pytest.raises(InputError) as caught:
        builder.feed(bytes(33))
    assert caught.value.code is Code.PIXELS_DISAGREE_WITH_TAGS
    for again in (lambda: builder.feed(b""), builder.finish):
        with pytest.raises(NativeError) as state:
            again()
        assert state.value.code is Code.NATIVE_FAILED


def test_a_finished_builder_is_done() -> None:
    builder = PlaneBuilder(GOOD, Geometry(4, 4))
    builder.feed(bytes(32))
    builder.finish()
    with pytest.raises(CxredgeError):
        builder.finish()
