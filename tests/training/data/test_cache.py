"""The cache: the runtime's own planes, made once, gone on with, and never trusted when damaged."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import open_source, read_plane
from tests.support import drawn_sets as drawn
from training.data import Collection, PlaneCache, cache, open_collection
from training.data.planes import planes_of_masks
from training.errors import DataError, Problem

GEOMETRY = Geometry(64, 64, "pad")


@pytest.fixture
def nih(tmp_path: Path) -> Collection:
    return open_collection("nih", drawn.write_nih_folder(tmp_path / "nih"))


def built(collection: Collection, folder: Path, **options: object) -> PlaneCache:
    return PlaneCache.build(collection, folder / "cache", geometry=GEOMETRY, **options)  # type: ignore[arg-type]


def test_planes_are_the_runtimes(nih: Collection, tmp_path: Path) -> None:
    planes = built(nih, tmp_path)
    for index, case in enumerate(nih.cases):
        wanted, *_ = read_plane(open_source(case.path), GEOMETRY, Percentiles())
        plane = planes.plane(index)
        assert plane.dtype == np.float32 and plane.shape == (64, 64)
        assert np.abs(plane - wanted).max() <= 0.5 / 65535 + 1e-7


def test_masks_are_kept_with_what_is_known(tmp_path: Path) -> None:
    found = open_collection("shenzhen", drawn.write_shenzhen(tmp_path))
    planes = built(found, tmp_path, masks_size=(48, 40))
    for index, case in enumerate(found.cases):
        masks, known = planes.masks(index)
        assert masks.shape == (3, 48, 40)
        assert known == ((True, True, False) if case.masks else (False,) * 3)
        assert np.abs(masks - planes_of_masks(case, Geometry(48, 40, "pad"))).max() <= 0.5 / 255 + 1e-6


def test_an_epoch_reads_no_image(nih: Collection, tmp_path: Path) -> None:
    planes = built(nih, tmp_path)
    again = built(nih, tmp_path)
    for case in nih.cases:
        case.path.unlink()
    for index in range(len(nih.cases)):
        assert np.array_equal(planes.plane(index), again.plane(index))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are decoded from here on."""
    seen: list[str] = []
    real = cache.plane_of

    def plane_of(case, *rest):  # type: ignore[no-untyped-def]
        seen.append(case.path.name)
        return real(case, *rest)

    monkeypatch.setattr(cache, "plane_of", plane_of)
    return seen


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_killed_build_goes_on(nih: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(done: int, count: int) -> None:
        assert count == 12
        if done:
            raise Killed

    with pytest.raises(Killed):
        built(nih, tmp_path, workers=0, progress=kill)
    seen = counted(monkeypatch)
    calls: list[int] = []
    planes = built(nih, tmp_path, workers=0, progress=lambda done, _: calls.append(done))
    assert len(seen) == 4  # eight were done: a chunk
    assert calls == [8, 12]
    assert planes.plane(0).max() > 0.2 and planes.plane(11).max() > 0.2
    seen.clear()
    built(nih, tmp_path)
    assert seen == []


def test_damaged_entries_are_made_again(
    nih: Collection, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    planes = built(nih, tmp_path)
    wanted = [planes.plane(index).copy() for index in range(12)]
    del planes
    file = next((tmp_path / "cache").iterdir()) / "planes.bin"

    def damage(*indices: int) -> None:
        with file.open("r+b") as stream:
            for index in indices:
                stream.seek(index * 64 * 64 * 2 + 999)
                stream.write(b"\xa5\x5a\xa5")

    damage(3)
    planes = built(nih, tmp_path)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(planes.plane(3), wanted[3])
    assert "entry 3 was damaged" in caplog.text
    caplog.clear()
    assert np.array_equal(built(nih, tmp_path).plane(3), wanted[3]) and not caplog.text
    damage(5, 7)
    seen = counted(monkeypatch)
    planes = built(nih, tmp_path, verify=True)
    assert seen == [nih.cases[5].path.name, nih.cases[7].path.name]
    assert all(np.array_equal(planes.plane(index), wanted[index]) for index in range(12))


@pytest.mark.parametrize("name", ["planes.bin", "entries.bin", "cache.json"])
def test_files_that_are_cut_short_are_made_again(nih: Collection, tmp_path: Path, name: str) -> None:
    wanted = built(nih, tmp_path).plane(11).copy()
    file = next((tmp_path / "cache").iterdir()) / name
    os.truncate(file, file.stat().st_size // 2)
    assert np.array_equal(built(nih, tmp_path).plane(11), wanted)


def test_a_changed_image_is_read_again(nih: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = built(nih, tmp_path).plane(4).copy()
    nih.cases[4].path.write_bytes(nih.cases[0].path.read_bytes())
    seen = counted(monkeypatch)
    planes = built(nih, tmp_path)
    assert seen == [nih.cases[4].path.name]
    assert np.array_equal(planes.plane(4), planes.plane(0)) and not np.array_equal(planes.plane(4), before)


def test_another_version_or_geometry_is_another_cache(
    nih: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {built(nih, tmp_path).folder, built(nih, tmp_path, percentiles=Percentiles(1, 99)).folder}
    folders.add(PlaneCache.build(nih, tmp_path / "cache", geometry=Geometry(64, 64, "crop")).folder)
    monkeypatch.setattr(cache.cxredge, "__version__", "99.0", raising=False)
    folders.add(built(nih, tmp_path).folder)
    assert len(folders) == 4


def test_processes_make_the_same_bytes(nih: Collection, tmp_path: Path) -> None:
    one = built(nih, tmp_path / "one", workers=0).folder
    two = built(nih, tmp_path / "two", workers=2).folder
    assert one.name == two.name
    for name in ("planes.bin", "entries.bin"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_cannot_be_read_are_all_named_and_the_rest_is_kept(
    nih: Collection, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = nih.cases[2].path.read_bytes()
    nih.cases[2].path.write_bytes(good[: len(good) // 3])
    nih.cases[9].path.write_bytes(b"not a picture")
    with pytest.raises(DataError) as caught:
        built(nih, tmp_path, workers=workers)
    error = caught.value
    assert error.problem is Problem.UNREADABLE and error.row == 4
    assert "labels.csv, line 4: 00000002_000.jpg" in error.message
    assert "2 of 12 images" in error.message and "labels.csv, line 11: 00000009_000.jpg" in error.message
    nih.cases[2].path.write_bytes(good)
    nih.cases[9].path.write_bytes(good)
    seen = counted(monkeypatch)
    built(nih, tmp_path, workers=0)
    assert len(seen) == 2


def test_an_image_that_went_away_is_named(nih: Collection, tmp_path: Path) -> None:
    nih.cases[6].path.unlink()
    with pytest.raises(DataError, match=r"labels\.csv, line 8: .*00000006_000\.jpg is not there") as caught:
        built(nih, tmp_path)
    assert caught.value.problem is Problem.MISSING_IMAGE


def test_a_cache_crosses_to_another_process(nih: Collection, tmp_path: Path) -> None:
    planes = built(nih, tmp_path)
    wanted = planes.plane(1)
    packed = pickle.dumps(planes)
    assert len(packed) < 20_000  # the maps stay behind
    assert np.array_equal(pickle.loads(packed).plane(1), wanted)  # noqa: S301 - our own


def test_errors_cross_processes() -> None:
    error = DataError(Problem.UNREADABLE, "what", file=Path("a.csv"), row=3)
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (str(back), back.problem, back.row) == (str(error), error.problem, 3)


def test_a_full_disk_is_told_before_the_work(nih: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"0\.0 GB are free") as caught:
        built(nih, tmp_path)
    assert caught.value.problem is Problem.CACHE
    assert list((tmp_path / "cache").iterdir()) == []
