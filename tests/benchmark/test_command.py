"""`cxredge benchmark` as people run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from cxredge.benchmark.record import STAGES, json_schema
from tests.support.dicom_files import write_dicom
from tests.support.phantom import draw_phantom


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-P", "-m", "cxredge", "benchmark", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def measured(tiny_bundle: Path, scan: Path, tmp_path_factory: pytest.TempPathFactory):
    """One run of two combinations, and its files."""
    folder = tmp_path_factory.mktemp("measured")
    options = ["--bundle", tiny_bundle, "--engine", "onnxruntime", "--precision", "fp32", "--batch", "1,2"]
    options += ["--threads", "1", "--input", scan, "--seconds", "0.3", "--cold", "1"]
    done = run(*options, "--json", folder / "b.json", "--plot", folder / "b.png")
    assert done.returncode == 0, done.stderr
    return done, json.loads((folder / "b.json").read_text(encoding="utf-8")), folder / "b.png"


def test_the_json_is_of_its_schema(measured) -> None:
    jsonschema.validate(measured[1], json_schema())
    assert measured[1]["complete"] is True


def test_a_result_is_whole(measured) -> None:
    single, double = measured[1]["results"]
    assert (single["asked"]["batch"], double["asked"]["batch"]) == (1, 2)
    assert single["ran"] == single["asked"]
    assert set(single["stages_ms"]) == set(STAGES)
    assert all(value > 0 for value in single["stages_ms"].values())
    # The stages are within what the whole took, and the whole is not much more than they are.
    assert sum(single["stages_ms"].values()) < single["latency_ms"]["highest"]
    assert single["engine_ms"]["without_copies"]["runs"] == single["latency_ms"]["runs"] >= 3
    assert single["overhead"] > 0
    assert single["cold_warm_cache"]["seconds"]["p50"] > 0.05
    assert single["cold_empty_cache"]["seconds"]["p50"] > single["cold_warm_cache"]["seconds"]["p50"]
    assert 20 < single["cold_warm_cache"]["peak_mb"] < 2000
    assert double["cold_warm_cache"] is None
    assert double["overhead"] is None
    assert single["throughput"]["images"] >= 16
    assert single["throughput"]["threads"] == 1
    assert single["energy"] or single["energy_reason"]
    assert single["accuracy_reason"] == "the bundle has no gate report"


def test_what_was_not_run_is_listed(measured) -> None:
    codes = {(one["engine"], one["device"]): one["code"] for one in measured[1]["not_run"]}
    assert ("onnxruntime", "cuda") in codes or measured[1]["machine"]["gpus"]


def test_nothing_of_the_input_but_its_size(measured, scan: Path) -> None:
    (one,) = measured[1]["inputs"]
    assert one == {"rows": 700, "columns": 600, "bytes": scan.stat().st_size, "made": False}
    assert str(scan) not in json.dumps(measured[1])


def test_a_person_gets_a_table_a_sentence_and_a_picture(measured) -> None:
    done, report, picture = measured
    assert "p95" in done.stdout
    assert done.stdout.rstrip().endswith(report["advice"])
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_seed_of_a_report_when_nothing_can_run(gated_bundle: Path, scan: Path) -> None:
    done = run("--bundle", gated_bundle, "--precision", "int8", "--input", scan, "--quiet")
    assert done.returncode == 1
    assert "the bundle was sealed for fp32" in done.stdout
    assert "Nothing could be measured" in done.stdout


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--engine", "torch"], "torch"),
        (["--precision", "fp8"], "fp8"),
        (["--batch", "0"], "below 1"),
        (["--threads", "two"], "not numbers"),
        (["--engine", "onnxruntime,"], "empty name"),
        (["--input", "missing.dcm"], "missing.dcm"),
    ],
)
def test_wrong_usage(wrong: list[str], said: str, tiny_bundle: Path) -> None:
    done = run("--bundle", tiny_bundle, *wrong)
    assert done.returncode == 2
    assert said in done.stderr


def test_an_input_that_never_reaches_the_engine_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    hand = write_dicom(tmp_path / "hand.dcm", draw_phantom(300, 250), window=(2048, 4096), tags={"Modality": "CT"})
    done = run("--bundle", tiny_bundle, "--input", hand)
    assert done.returncode == 2
    assert done.stdout == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_keeps_what_was_measured(tiny_bundle: Path, scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.json"
    options = ["--bundle", tiny_bundle, "--engine", "onnxruntime", "--precision", "fp32", "--threads", "1,2"]
    options += ["--input", scan, "--seconds", "5", "--cold", "0", "--json", out]  # longer than a busy machine dawdles
    process = subprocess.Popen(command(*options), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("2 of 2"):
            break
    time.sleep(0.2)  # within the second one
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["complete"] is False
    assert [one["asked"]["threads"] for one in report["results"]] == [1]
    assert {"threads": 2, "code": "interrupted"}.items() <= report["not_run"][-1].items()
    assert "stopped by Ctrl-C" in said


def test_the_schema_is_published() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cxredge", "schema", "benchmark"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == json.loads(json.dumps(json_schema()))


def test_discovery_stays_light() -> None:
    script = "import sys\nfrom cxredge.cli import main\n"
    script += "try:\n    main(['benchmark', '--help'])\nexcept SystemExit:\n    pass"
    script += "\nprint('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"numpy", "PIL", "pydicom", "onnxruntime"} & set(done.stdout.rpartition("LOADED")[2].split())
