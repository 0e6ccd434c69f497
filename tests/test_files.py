"""Writing: whole under the final name, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxredge.errors import Code, CxredgeError
from cxredge.files import path_text, write_atomically


@pytest.mark.parametrize("name", ["scan.dcm", "R\u00f6ntgen-\u80ba.dcm", "R\udcf6ntgen.dcm", "\ud800.dcm"])
def test_every_name_can_be_written_and_unicode_stays_as_it_is(name: str) -> None:
    text = path_text(Path(name))
    assert text.encode("utf-8")
    assert (text == name) == all(not 0xD800 <= ord(character) < 0xE000 for character in name)


def test_it_makes_folders_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.json"
    write_atomically(target, b"one")
    write_atomically(target, b"two")
    assert target.read_bytes() == b"two"
    assert [path.name for path in target.parent.iterdir()] == ["b.json"]


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "b.json"
    write_atomically(target, b"one")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CxredgeError, match="No space left") as caught:
        write_atomically(target, b"two")
    assert caught.value.code is Code.OUTPUT_UNWRITABLE
    assert target.read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "b.json").mkdir()
    with pytest.raises(CxredgeError):
        write_atomically(tmp_path / "b.json", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"here")
    for below in ("report.json", "deep/report.json"):
        with pytest.raises(CxredgeError) as caught:
            write_atomically(tmp_path / "taken" / below, b"new")
        assert caught.value.code is Code.OUTPUT_UNWRITABLE
    assert (tmp_path / "taken").read_bytes() == b"here"
