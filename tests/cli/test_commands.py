"""The command as people run it: a process of its own, its output, its files, its exit codes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from cxredge.result import LABELS, json_schema
from tests.support.dicom_files import write_dicom
from tests.support.phantom import draw_phantom


def cxredge(*arguments: object, stdin: bytes | None = None, cwd: Path | None = None, **variables: str):
    """Run `cxredge`; standard output and error come back as bytes."""
    command = [sys.executable, "-P", "-m", "cxredge", *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k not in {"CXREDGE_BUNDLE", "CXREDGE_DEBUG"}} | variables
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, env=environment, timeout=300)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert b"Traceback" not in done.stdout
    return done


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> list[str]:
    return ["--bundle", str(tiny_bundle), "--engine", "onnxruntime", "--precision", "fp32"]


def test_table_for_people(model: list[str], scan: Path) -> None:
    done = cxredge("predict", scan, *model)
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "probability" in text
    assert "threshold" in text
    assert "Pleural thickening" in text
    assert "cardiothoracic ratio" in text
    assert "not for diagnosis" in text
    assert text.index("POSITIVE") < text.index("negative")


def test_one_json_object_a_line(model: list[str], scan: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(scan.read_bytes()[:1000])
    done = cxredge("predict", scan, broken, *model, "--format", "json")
    assert done.returncode == 1
    records = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [record["status"] for record in records] == ["ok", "error"]
    for record in records:
        jsonschema.validate(record, json_schema())
    assert b"1 of 2" in done.stderr


def test_csv_has_one_row_an_input(model: list[str], scan: Path, tmp_path: Path) -> None:
    ct = write_dicom(tmp_path / "=ct.dcm", draw_phantom(64, 64), tags={"Modality": "CT"})
    done = cxredge("predict", scan, ct.name, *model, "--format", "csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    assert [row["status"] for row in rows] == ["ok", "abstained"]
    assert rows[1]["reason"] == "wrong_modality"
    assert rows[1]["path"] == "'=ct.dcm"  # never a formula
    assert all(0 <= float(rows[0][f"{label}_probability"]) <= 1 for label in LABELS)


def test_files_and_folders(model: list[str], scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = out / "report.html"
    done = cxredge("predict", scan, *model, "--output", out, "--overlay", "--masks", "--report", report)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        "report.html", "scan.heart.png", "scan.json", "scan.left_lung.png", "scan.overlay.png", "scan.right_lung.png",
    ]  # fmt: skip
    with Image.open(out / "scan.heart.png") as mask:
        assert mask.size == (600, 700)
        assert 0 < np.asarray(mask).astype(bool).mean() < 0.5
    assert json.loads((out / "scan.json").read_text("utf-8"))["status"] == "ok"
    assert "<!doctype html>" in report.read_text("utf-8").lower()


def test_standard_input(model: list[str], scan: Path) -> None:
    done = cxredge("predict", "-", *model, "--format", "json", stdin=scan.read_bytes())
    assert json.loads(done.stdout)["status"] == "ok"


def test_without_a_bundle_named_the_embedded_one_answers(scan: Path) -> None:
    done = cxredge("predict", scan, "--format", "json", "--engine", "onnxruntime", "--precision", "fp32")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["bundle"]["name"] == "cxredge-demo"
    assert told["bundle"]["clinical"] is False and told["bundle"]["learned_from"] == 784


@pytest.mark.parametrize(
    "arguments",
    [["predict"], ["predict", "x.dcm", "--format", "xml"], ["predict", "x.dcm", "--threads", "0"], ["frobnicate"]],
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert cxredge(*arguments).returncode == 2


def test_missing_bundle_and_engine_are_2(scan: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    assert cxredge("predict", scan, "--bundle", tmp_path / "none.cxr").returncode == 2
    assert cxredge("predict", scan, "--bundle", tiny_bundle, "--engine", "abacus").returncode == 2


def test_an_unwritable_output_fails_but_the_results_are_printed(model: list[str], scan: Path, tmp_path: Path) -> None:
    in_the_way = tmp_path / "out"
    in_the_way.mkdir()
    (in_the_way / "scan.json").mkdir()
    done = cxredge("predict", scan, *model, "--format", "json", "--output", in_the_way)
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "ok"
    assert b"output_unwritable" in done.stderr


def test_a_console_of_another_encoding(model: list[str], scan: Path, tmp_path: Path) -> None:
    """A name that the console cannot say is no reason to stop."""
    path = tmp_path / "R\u00f6ntgen-\u80ba.dcm"
    path.write_bytes(scan.read_bytes())
    done = cxredge("predict", path, *model, "--format", "json", PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("utf-8"))["input"]["path"] == str(path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a file name be any bytes")
def test_a_name_that_is_not_unicode_stops_nothing(model: list[str], scan: Path, tmp_path: Path) -> None:
    """An archive of the Latin-1 days: the file is answered, and so are those behind it."""
    for name in (b"a.dcm", b"R\xf6ntgen.dcm", b"z\x1b[31m.dcm"):
        (tmp_path / os.fsdecode(name)).write_bytes(scan.read_bytes())
    for form in ("json", "csv", "table"):
        for variables in ({}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
            done = cxredge(
                "predict", tmp_path, *model, "--format", form, "--output", tmp_path.parent / "o", **variables
            )
            assert done.returncode == 0, done.stderr
            text = done.stdout.decode("utf-8")
            assert "\x1b" not in text  # nothing that a terminal would obey
            if form == "json":
                names = {Path(json.loads(line)["input"]["path"]).name for line in text.splitlines()}
                assert names == {"a.dcm", "R\\xf6ntgen.dcm", "z\x1b[31m.dcm"}
            else:
                assert "R\\xf6ntgen.dcm" in text


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes a stream")
def test_closed_and_full_standard_output(model: list[str], scan: Path, tmp_path: Path) -> None:
    command = f'"{sys.executable}" -P -m cxredge predict "$@"'
    arguments = [str(scan), *model, "--output", str(tmp_path)]
    done = subprocess.run(["sh", "-c", f"{command} >&-", "sh", *arguments], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "scan.json").exists()
    if Path("/dev/full").exists():
        done = subprocess.run(["sh", "-c", f"{command} >/dev/full", "sh", *arguments], capture_output=True)
        assert done.returncode == 1
        assert b"output_unwritable" in done.stderr


def test_help_shows_its_examples_as_they_are_typed() -> None:
    text = cxredge("--help").stdout.decode()
    assert "\\b" not in text
    assert any(line.strip() == "cxredge predict scan.dcm --bundle chest.cxr" for line in text.splitlines())


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a process")
def test_stopping_keeps_what_is_done(model: list[str], scan: Path) -> None:
    command = [sys.executable, "-P", "-m", "cxredge", "predict", *[str(scan)] * 3000, *model, "--format", "json"]
    # Unbuffered: what readline had read ahead, communicate would not give.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in errors
    for line in (first + rest).splitlines():
        assert json.loads(line)["status"] == "ok"
    assert len((first + rest).splitlines()) < 3000


def test_info_of_the_installation_and_of_a_bundle(tiny_bundle: Path) -> None:
    facts = json.loads(cxredge("info", "--json").stdout)
    assert set(facts["engines"]) == {"onnxruntime", "openvino", "tensorrt"}
    described = json.loads(cxredge("info", "--bundle", tiny_bundle, "--json").stdout)
    assert described["bundle"] == "tiny-test 1"
    assert set(described["operating points"]) == {"balanced", "screening", "confirm", "default"}
    assert b"tiny-test" in cxredge("info", "--bundle", tiny_bundle).stdout


def test_verify(tiny_bundle: Path, tmp_path: Path) -> None:
    good = cxredge("verify", tiny_bundle)
    assert good.returncode == 0
    assert b"as they were sealed" in good.stdout
    data = bytearray(tiny_bundle.read_bytes())
    data[len(data) // 2] ^= 1
    changed = tmp_path / "changed.cxr"
    changed.write_bytes(data)
    bad = cxredge("verify", changed)
    assert bad.returncode == 2
    assert bad.stdout == b""


@pytest.mark.parametrize("which", ["prediction", "bundle"])
def test_schemas_are_schemas(which: str) -> None:
    schema = json.loads(cxredge("schema", which).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == f"cxredge.{which}/1"


def test_doctor(tiny_bundle: Path) -> None:
    done = cxredge("doctor", "--bundle", tiny_bundle, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    engines = {engine["name"]: engine for engine in facts["engines"]}
    assert engines["onnxruntime"]["available"] is True
    assert engines["tensorrt"]["available"] is False
    assert engines["tensorrt"]["reason"]
    measured = [run for run in facts["measured"] if run["milliseconds"]]
    assert {run["engine"] for run in measured} >= {"onnxruntime"}
    assert facts["chosen"]["engine"] in {run["engine"] for run in measured}
    assert cxredge("doctor").returncode == 0


def test_version() -> None:
    assert cxredge("--version").stdout.startswith(b"cxredge ")


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("quiet", [False, True])
def test_the_progress_bar_is_for_a_person_at_a_terminal(model: list[str], scan: Path, quiet: bool) -> None:
    """On stderr, when that is a terminal and the results go elsewhere; never among the results."""
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "cxredge", "predict", str(scan), str(scan), *model, "--format", "json"]
    done = subprocess.run(
        [*command, *(["--quiet"] if quiet else [])], stdout=subprocess.PIPE, stderr=theirs, timeout=120
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a pseudo-terminal is an error
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    assert (b"predicting" in shown) is not quiet
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["ok", "ok"]


def test_a_second_run_over_a_folder_passes_its_own_pictures_by(model: list[str], scan: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "scan.dcm").write_bytes(scan.read_bytes())
    words = ["predict", folder, *model, "--overlay", "--masks", "--format", "json"]
    assert cxredge(*words, cwd=folder).returncode == 0
    again = cxredge(*words, cwd=folder)
    answers = {Path(a["input"]["path"]).name: a for a in map(json.loads, again.stdout.splitlines())}
    assert len(answers) == 5 and answers.pop("scan.dcm")["status"] == "ok"
    assert {a["status"] for a in answers.values()} == {"abstained"}
    assert {a["reason"]["code"] for a in answers.values()} == {"own_result"}
    assert len(list(folder.iterdir())) == 5, "pictures of pictures were written"
