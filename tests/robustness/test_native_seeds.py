"""The seeds of the C core's fuzz targets: those that are kept, and those that are made of DICOM files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from tests.fuzz.native import seeds
from tests.support.bad_inputs.film import good

KEPT = Path(seeds.__file__).parent / "seeds"


def test_those_kept_are_those_made() -> None:
    made = {(target, name): data for target, name, data in seeds.made()}
    kept = {(path.parent.name, path.name): path.read_bytes() for path in KEPT.glob("*/*")}
    assert kept == made, "run `python tests/fuzz/native/seeds.py tests/fuzz/native/seeds`"
    targets = {path.stem.removesuffix("_fuzz") for path in KEPT.parent.glob("*_fuzz.c")}
    assert {target for target, _ in made} == targets


def test_one_of_a_dicom_file(tmp_path: Path) -> None:
    """Its pixel format and window, and no more of its picture than a thumbnail has."""
    import pydicom

    path = tmp_path / "film.dcm"
    path.write_bytes(good())
    film = seeds.of_file(path)
    assert film is not None
    dataset = pydicom.dcmread(path)
    assert (film.bits_stored, film.high_bit) == (dataset.BitsStored, dataset.HighBit)
    assert isinstance(film.voi, tuple) and film.voi[:2] == (dataset.WindowCenter, dataset.WindowWidth)
    step = -(-max(dataset.Rows, dataset.Columns) // seeds.SIDE)
    np.testing.assert_array_equal(film.pixels, dataset.pixel_array[::step, ::step])
    data = film.packed()
    assert struct.unpack_from("<HH", data, 18) == (film.pixels.shape[0] - 1, film.pixels.shape[1] - 1)
    assert data.endswith(film.pixels.tobytes()) and len(data) < 4096


def test_what_is_no_image_gives_none(tmp_path: Path) -> None:
    (tmp_path / "notes.dcm").write_bytes(b"no image")
    assert seeds.of_file(tmp_path / "notes.dcm") is None
