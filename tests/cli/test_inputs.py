"""From what was typed to a list of inputs, and a file name for each."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from cxredge.cli.inputs import Input, OutputNames, expand
from cxredge.sources import Limits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.dcm", "a.dcm", "deep/c", ".hidden", ".git/d", "DICOMDIR"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def labels(*arguments: object) -> list[str]:
    return [Path(item.label).name for item in expand([str(argument) for argument in arguments])]


def test_a_folder_gives_its_files_sorted_but_hidden_ones(folder: Path) -> None:
    assert labels(folder) == ["a.dcm", "b.dcm", "c"]


def test_what_a_folder_hides_by_its_rights_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert labels(folder) == ["a.dcm", "b.dcm", "deep"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_dangling_link_in_a_folder_is_told(folder: Path) -> None:
    (folder / "gone.dcm").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder)
    assert labels(folder) == ["a.dcm", "b.dcm", "c", "gone.dcm"]


def test_a_pattern_is_expanded_where_the_shell_did_not(folder: Path) -> None:
    assert labels(folder / "*.dcm") == ["a.dcm", "b.dcm"]


def test_a_name_with_brackets_that_exists_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "scan[1].dcm").touch()
    assert labels(tmp_path / "scan[1].dcm") == ["scan[1].dcm"]


def test_a_missing_file_is_kept_for_its_error(tmp_path: Path) -> None:
    assert labels(tmp_path / "missing.dcm") == ["missing.dcm"]


def test_nothing_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="matches"):
        expand([str(tmp_path / "*.dcm")])
    with pytest.raises(click.UsageError, match="empty"):
        expand([str(tmp_path)])


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"DICM")))
    assert expand(["-"]) == [Input("-", b"DICM")]


def test_closed_standard_input_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(click.UsageError, match="closed"):
        expand(["-"])


def test_standard_input_is_read_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(read=lambda n: asked.append(n) or b"x")))
    expand(["-"])
    assert asked == [Limits().max_file_bytes + 1]


def test_an_empty_text_is_not_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(click.UsageError, match="empty"):
        expand([""])


def test_names_are_never_the_same_twice() -> None:
    names = OutputNames()
    typed = ["a/scan.dcm", "b/scan.dcm", "c/SCAN.dcm", "-", "1.2.840.1", "1.2.840.2", "a/scan-2.dcm"]
    given = [names.name(label) for label in typed]
    assert given[:6] == ["scan", "scan-2", "SCAN-3", "stdin", "1.2.840.1", "1.2.840.2"]
    assert len({name.casefold() for name in given}) == len(given)
