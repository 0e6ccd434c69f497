"""The spool's folder: files are whole or not there, and no one else may read them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from cxredge.errors import Code, CxredgeError
from cxredge.node.spool import Spool

ONE = "ab" * 16


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def received(spool: Spool, data: bytes = b"image", name: str = ONE) -> Path:
    spool.part(name).write_bytes(data)
    return spool.keep(name)


def test_a_part_becomes_an_image(spool: Spool) -> None:
    final = received(spool)
    assert final == spool.image(ONE)
    assert final.read_bytes() == b"image"
    assert not spool.part(ONE).exists()
    assert list(spool.identifiers()) == [ONE]
    spool.forget_image(ONE)
    spool.forget_image(ONE)
    assert list(spool.identifiers()) == []


def test_an_image_gets_another_name(spool: Spool) -> None:
    received(spool)
    spool.move_image(ONE, "cd" * 16)
    assert list(spool.identifiers()) == ["cd" * 16]


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("synced", [False, True])
def test_a_sync_that_fails_leaves_no_image(
    nth: int, synced: bool, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, sync = [0], os.fsync

    def failing(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] == nth:
            raise OSError(errno.EIO, "an error of the disk")
        sync(descriptor)

    spool.part(ONE).write_bytes(b"image")
    monkeypatch.setattr(os, "fsync", failing)
    if synced and nth == 2:
        spool.keep(ONE, synced=True)  # its one sync is that of the folder
        return
    with pytest.raises(OSError, match="disk"):
        spool.keep(ONE, synced=synced)
    assert list(spool.identifiers()) == []


def test_results_are_there_all_or_none(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.put_results(ONE, {"sr.dcm": b"old report", "seg.dcm": b"old"})
    assert [path.name for path in spool.result_files(ONE, ["sr", "seg", "sc"])] == ["sr.dcm", "seg.dcm"]
    spool.put_results(ONE, {"sr.dcm": b"report"})
    assert [path.read_bytes() for path in spool.result_files(ONE, ["sr", "seg"])] == [b"report"]
    monkeypatch.setattr(os, "fsync", _fails)
    with pytest.raises(OSError, match="disk"):
        spool.put_results(ONE, {"sr.dcm": b"newer"})
    assert [path.read_bytes() for path in spool.result_files(ONE, ["sr"])] == [b"report"]
    monkeypatch.undo()
    spool.forget_results(ONE)
    assert spool.result_files(ONE, ["sr"]) == []


def _fails(descriptor: int) -> None:
    raise OSError(errno.EIO, "an error of the disk")


def test_only_its_own_user_may_look(spool: Spool) -> None:
    folders = [path for path in [spool.folder, *spool.folder.rglob("*")] if path.is_dir()]
    assert len(folders) == 4 + 2 * 256
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_sweeping_takes_parts_and_nothing_else(spool: Spool) -> None:
    received(spool)
    for number in range(3):
        spool.part(f"{number:032}").write_bytes(b"half")
    assert spool.sweep() == 3
    assert list(spool.identifiers()) == [ONE]


def test_identifiers_are_random(spool: Spool) -> None:
    made = {spool.new_identifier() for _ in range(100)}
    assert len(made) == 100
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in made)


def test_a_place_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CxredgeError, match="file") as caught:
        Spool(tmp_path / "file" / "spool")
    assert caught.value.code is Code.SPOOL_UNUSABLE


def test_room(spool: Spool) -> None:
    there = os.statvfs(spool.folder)
    assert abs(spool.free_bytes() - there.f_bavail * there.f_frsize) < 1 << 33
