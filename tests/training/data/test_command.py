"""`python -m training data`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support import drawn_sets as drawn
from training.cli import main
from training.data import KINDS
from training.data.cli import KIND_NAMES


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["data", *map(str, arguments)])
    said = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, said.out, said.err


def test_kinds_are_all_offered() -> None:
    assert set(KIND_NAMES) == set(KINDS)


def test_summary_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "chestxray14", drawn.write_chestxray14(tmp_path), "--json", "--validation", "0.25")
    facts = json.loads(out)
    assert code == 0
    assert (facts["cases"], facts["patients"], facts["no_finding"]) == (12, 10, 3)
    assert facts["labels"]["Effusion"] == {"positive": 3, "negative": 9, "unknown": 0}
    assert facts["boxes"] == {"Effusion": 1, "Infiltration": 1}
    split = facts["split"]
    assert split["official"] is True and len(split["sha256"]) == 64
    assert {fold: found["patients"] for fold, found in split["folds"].items()} == {"train": 6, "val": 2, "test": 2}
    assert "Hernia" in split["lacking"]["test"]["positive"]


def test_summary_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "chexpert", drawn.write_chexpert(tmp_path), "--uncertain", "ones", "--split", "test")
    assert code == 0
    assert "uncertain: ones" in out and "must not be shipped" in out and "1 lateral images were left out" in out
    assert "all cases judge" in out


def test_random_split_says_unofficial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "chestxray14", drawn.write_chestxray14(tmp_path), "--split", "random", "--seed", "3")
    assert code == 0 and "random 70/10/20 by patient (unofficial, seed 3)" in out


def test_cache_is_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = drawn.write_site(tmp_path / "site")
    arguments = ("csv", folder, "--cache", tmp_path / "cache", "--size", "32", "--workers", "0", "--json")
    code, out, _ = run(capsys, *arguments)
    cache = json.loads(out)["cache"]
    assert code == 0 and cache["planes"] == 3
    assert (Path(cache["folder"]) / "planes.bin").stat().st_size == 3 * 32 * 32 * 2
    assert run(capsys, *arguments, "--verify")[1] == out


def test_faults_end_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = drawn.write_nih_folder(tmp_path)
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("Hernia", "Hernias"), encoding="utf-8")
    code, out, err = run(capsys, "nih", folder)
    assert (code, out) == (2, "")
    assert f"{table}, line 5: there is no label 'Hernias'" in err and err.count("\n") == 1


def test_tables_are_read_without_torch(tmp_path: Path) -> None:
    """So the processes that build a cache start in a moment."""
    import subprocess

    code = "import sys, training.data.cache, training.data.kinds, training.data.cli; print('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "False"
