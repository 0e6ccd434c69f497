"""`cxredge predict --dicom`: the files beside the others, in one command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("highdicom", reason="the extra dicom is not installed")

from pydicom import dcmread

from tests.support.filed import filed_bytes

HIDDEN = (
    "import sys, importlib.util as u; find = u.find_spec;"
    "u.find_spec = lambda name, *rest: None if name == 'highdicom' else find(name, *rest);"
    "from cxredge.cli import main; main(sys.argv[1:])"
)


def predict(bundle: Path, *arguments: str | Path, program: str | None = None) -> tuple[int, str, str]:
    """The exit code and what was printed."""
    start = ["-c", program, "predict"] if program else ["-m", "cxredge", "predict"]
    command = [sys.executable, "-P", *start, *map(str, arguments), "--bundle", str(bundle), "--engine", "onnxruntime"]
    done = subprocess.run([*command, "--precision", "fp32"], capture_output=True, timeout=120)
    return done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "film.dcm"
    path.parent.mkdir()
    path.write_bytes(filed_bytes())
    return path


def test_a_folder_twice(tiny_bundle: Path, film: Path, tmp_path: Path) -> None:
    """All kinds of a film, the report of an abstention, nothing of a result; the second time nothing changes."""
    (film.parent / "side.dcm").write_bytes(filed_bytes(tags={"ViewPosition": "LL", "SOPInstanceUID": "1.2.3.4"}))
    arguments = (film.parent, "--dicom", "pr,sr, seg,sc", "-o", tmp_path / "out")
    code, _, errors = predict(tiny_bundle, *arguments)
    assert (code, errors) == (0, "")
    expected = {"film.sr.dcm", "film.seg.dcm", "film.sc.dcm", "film.pr.dcm", "side.sr.dcm", "film.json", "side.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.dcm")}
    assert predict(tiny_bundle, *arguments)[0] == 0
    assert {path: path.read_bytes() for path in before} == before
    code, printed, errors = predict(tiny_bundle, tmp_path / "out", "--dicom", "sr", "-o", tmp_path / "again")
    assert (code, errors) == (1, "2 of 7 inputs could not be done\n")  # the two JSON files are no images
    assert printed.count("own_result") == 5
    assert not list((tmp_path / "again").glob("*.dcm"))


def test_a_film_that_cannot_be_filed_does_not_stop_the_others(tiny_bundle: Path, film: Path, tmp_path: Path) -> None:
    (film.parent / "a.dcm").write_bytes(filed_bytes(tags={"StudyInstanceUID": None}))
    code, _, errors = predict(tiny_bundle, film.parent, "--dicom", "pr", "-o", tmp_path / "out")
    assert code == 1
    assert "dicom_source" in errors
    assert "(0020,000D)" in errors
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.json", "film.json", "film.pr.dcm"}
    state = dcmread(tmp_path / "out" / "film.pr.dcm")
    assert state.Modality == "PR"


def test_without_the_extra(tiny_bundle: Path, film: Path, tmp_path: Path) -> None:
    code, printed, errors = predict(tiny_bundle, film, "--dicom", "sr", "-o", tmp_path / "out", program=HIDDEN)
    assert (code, printed) == (2, "")
    assert "pip install 'cxredge[dicom]'" in errors
    assert predict(tiny_bundle, film, program=HIDDEN)[0] == 0  # nothing else needs it


@pytest.mark.parametrize("kinds", ["", "sr,xy", ","])
def test_kinds_that_there_are_not(tiny_bundle: Path, film: Path, tmp_path: Path, kinds: str) -> None:
    code, _, errors = predict(tiny_bundle, film, "--dicom", kinds, "-o", tmp_path / "out")
    assert code == 2
    assert "sr, seg, sc, pr" in errors
    assert not (tmp_path / "out").exists()


def test_nothing_else_loads_it(tiny_bundle: Path, film: Path) -> None:
    program = (
        "import sys; from cxredge.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: print('highdicom' in sys.modules, 'cxredge.dicom_out' in sys.modules, file=sys.stderr)"
    )
    assert predict(tiny_bundle, film, program=program)[2].split() == ["False", "False"]
