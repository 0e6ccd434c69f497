"""Modality and VOI steps as the file asks for them, against pydicom's own functions; broken ones become warnings."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from cxredge.errors import Code
from cxredge.pixels import Geometry, Lut, Percentiles, Rescale, Window
from cxredge.reading import open_source, read_plane
from tests.support import dicom_files as files
from tests.support.phantom import draw_phantom

SIDE = 96
IMAGE = draw_phantom(SIDE, SIDE)
GEOMETRY = Geometry(SIDE, SIDE)  # the plane is the image: nothing is resampled


def lut(first: int, data: npt.NDArray[Any], bits: int, *, entries: int | None = None) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [entries or len(data), first, bits])
    item.add_new("LUTData", "OW", data.astype("<u2").tobytes())
    return [item]


def read(tags: dict[str, Any], **options: Any) -> tuple[npt.NDArray[np.float32], list[str], Any]:
    data = files.dicom_bytes(IMAGE, tags=tags, **options)
    radiograph = open_source(data)
    plane, _, found, _ = read_plane(radiograph, GEOMETRY, Percentiles())
    return plane, [notice.code for notice in (*radiograph.warnings, *found)], radiograph.decode().description


def by_pydicom(tags: dict[str, Any], top: float, low: float = 0.0, **options: Any) -> npt.NDArray[np.float64]:
    """The display values as pydicom makes them, spread from `low`..`top` to 0..1."""
    ds = files.dicom_dataset(IMAGE, tags=tags, **options)
    values = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds)
    return (np.asarray(values, np.float64) - low) / (top - low)


CURVE = np.rint(1023 * np.linspace(0, 1, 4096) ** 0.5)


@pytest.mark.parametrize("syntax", [files.EXPLICIT, files.IMPLICIT, files.BIG_ENDIAN])
@pytest.mark.parametrize(
    ("tags", "top", "low"),
    [
        ({"WindowCenter": 1500, "WindowWidth": 2200}, 4095, 0),
        ({"WindowCenter": 1500, "WindowWidth": 2200, "VOILUTFunction": "LINEAR_EXACT"}, 4095, 0),
        ({"WindowCenter": 1500, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"}, 4095, 0),
        ({"WindowCenter": 900, "WindowWidth": 2000, "RescaleSlope": 0.5, "RescaleIntercept": 100}, 2147.5, 100),
        ({"WindowCenter": -900, "WindowWidth": 2000, "RescaleSlope": -1, "RescaleIntercept": 0}, -4095, 0),
        ({"VOILUTSequence": lut(0, CURVE, 10)}, 1023, 0),
        ({"VOILUTSequence": lut(500, CURVE[:1000], 10)}, 1023, 0),
        ({"ModalityLUTSequence": lut(0, CURVE, 16), "WindowCenter": 500, "WindowWidth": 900}, 65535, 0),
    ],
    ids=str,
)
def test_agrees_with_pydicom(tags: dict[str, Any], top: float, low: float, syntax: str) -> None:
    """In all three byte layouts, as the tables' words depend on them."""
    if syntax == files.BIG_ENDIAN:
        tags = {key: swapped(value) for key, value in tags.items()}
    plane, warnings, _ = read(tags, syntax=syntax)
    tags = {key: swapped(value) for key, value in tags.items()} if syntax == files.BIG_ENDIAN else tags
    np.testing.assert_allclose(
        plane, by_pydicom(tags, top, low), atol=1.2e-3 if "ModalityLUTSequence" in tags else 2e-6
    )
    assert warnings == []


def swapped(value: Any) -> Any:
    """The sequence with its table's words in the other byte order."""
    if not isinstance(value, list):
        return value
    item = Dataset()
    item.add(value[0]["LUTDescriptor"])
    item.add_new("LUTData", "OW", np.frombuffer(value[0].LUTData, "<u2").byteswap().tobytes())
    return [item]


@pytest.mark.parametrize(
    ("tags", "warnings", "tag"),
    [
        ({"WindowCenter": 10, "WindowWidth": 0}, [Code.INVALID_WINDOW], "(0028,1051)"),
        ({"WindowCenter": 10, "WindowWidth": -5}, [Code.INVALID_WINDOW], "(0028,1051)"),
        ({"WindowCenter": 10}, [Code.INVALID_WINDOW], "(0028,1050)"),
        ({"(0028,1050)": ("LO", "abc"), "WindowWidth": 5}, [Code.INVALID_WINDOW], "(0028,1050)"),
        ({"(0028,1050)": ("LO", "nan"), "WindowWidth": 5}, [Code.INVALID_WINDOW], "(0028,1051)"),
        ({"WindowCenter": 10, "WindowWidth": 50, "VOILUTFunction": "CUBIC"}, [Code.INVALID_WINDOW], "(0028,1056)"),
        ({"WindowCenter": 90000, "WindowWidth": 50}, [Code.INVALID_WINDOW], "(0028,1050)"),
        ({"VOILUTSequence": lut(0, CURVE, 10, entries=99)}, [Code.INVALID_LUT, Code.NO_WINDOW], "(0028,3010)"),
        ({"VOILUTSequence": lut(0, CURVE, 40)}, [Code.INVALID_LUT, Code.NO_WINDOW], "(0028,3010)"),
        ({"VOILUTSequence": lut(0, CURVE, 9)}, [Code.INVALID_LUT, Code.NO_WINDOW], "(0028,3010)"),
        ({"VOILUTSequence": [Dataset()]}, [Code.INVALID_LUT, Code.NO_WINDOW], "(0028,3010)"),
        ({"ModalityLUTSequence": lut(0, CURVE, 3)}, [Code.INVALID_LUT, Code.NO_WINDOW], "(0028,3000)"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, [Code.INVALID_RESCALE, Code.NO_WINDOW], "(0028,1053)"),
        ({"RescaleIntercept": 1}, [Code.INVALID_RESCALE, Code.NO_WINDOW], "(0028,1053)"),
        ({}, [Code.NO_WINDOW], None),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_said_and_the_percentiles_are_taken(tags: Any, warnings: Any, tag: str | None) -> None:
    plane, found, description = read(tags)
    assert found == warnings
    np.testing.assert_array_equal(plane, read({})[0])
    if tag is not None and description.voi is None:
        radiograph = open_source(files.dicom_bytes(IMAGE, tags=tags))
        assert radiograph.warnings[0].tag == tag


def test_percentile_fallback_spans_the_documented_range() -> None:
    """0.5 and 99.5 percent of the pixels become 0 and 1, by NumPy's percentiles to a grey level."""
    plane, _, _ = read({})
    low, high = np.percentile(IMAGE, [0.5, 99.5])
    expected = np.clip((IMAGE - low) / (high - low), 0, 1)
    assert np.abs(plane - expected).max() <= 1 / 255


def test_the_first_of_several_windows_counts() -> None:
    several, warnings, description = read({"WindowCenter": [1500, 9], "WindowWidth": [2200, 3]})
    assert warnings == [Code.SEVERAL_WINDOWS]
    assert description.voi == Window(1500, 2200)
    np.testing.assert_array_equal(several, read({"WindowCenter": 1500, "WindowWidth": 2200})[0])


def test_a_table_goes_before_a_window() -> None:
    both, warnings, description = read({"VOILUTSequence": lut(0, CURVE, 10), "WindowCenter": 9, "WindowWidth": 9})
    assert warnings == [Code.SEVERAL_WINDOWS]
    assert isinstance(description.voi, Lut)
    np.testing.assert_array_equal(both, read({"VOILUTSequence": lut(0, CURVE, 10)})[0])


def test_tables_of_signed_input_and_of_bytes() -> None:
    """A first input of -100, and a table of 8 bits stored as bytes (PS3.3 C.11.1.1)."""
    _, _, description = read({"VOILUTSequence": lut(-100, CURVE, 10)}, signed=True)
    assert (description.voi.first, description.voi.bits) == (-100, 10)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [255, 7, 8])
    item.add_new("LUTData", "OW", bytes(range(255)) + b"\0")
    _, warnings, description = read({"VOILUTSequence": [item]})
    assert warnings == []
    np.testing.assert_array_equal(description.voi.data, np.arange(255))


def test_monochrome1_is_inverted_after_the_window() -> None:
    one, _, description = read({}, photometric="MONOCHROME1", window=(1500, 2200))
    assert description.inverted
    np.testing.assert_allclose(one, 1 - read({}, window=(1500, 2200))[0], atol=1e-6)


def test_stored_values_without_rescale_stay() -> None:
    assert read({}, window=(1, 2))[2].modality == Rescale()
