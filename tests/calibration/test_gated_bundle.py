"""The whole way: a tiny network learns its gate on drawn chests, is sealed, and abstains on an inverted one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import calibration.cli
import export.cli
import training.cli
from cxredge.bundle import open_bundle, verify
from tests.support.dicom_files import write_dicom
from tests.support.site_cases import write_cases
from training.phantoms import generate

RECIPE = """
schema = "cxredge.recipe/1"
name = "tiny-gate"
summary = "A U-Net, a gate and a classifier that learn in seconds"
method = "chexnet"
[options]
field = 64
crop = 64
mask = 32
channels = 1
width = 0.25
blocks = [1, 1, 1, 1]
unet_width = 16
unet_depth = 3
gate = true
[[data]]
kind = "phantoms"
options = { train = 96, validation = 16, test = 16, seed = 7 }
[[stages]]
name = "unet"
epochs = 6
batch = 8
optimiser = { name = "adamw", rate = 0.01 }
schedule = { name = "one_cycle" }
loss = { name = "dice" }
watch = "dice"
[[stages]]
name = "gate"
epochs = 10
batch = 16
optimiser = { name = "adamw", rate = 0.004 }
schedule = { name = "one_cycle" }
[[stages]]
name = "classifier"
epochs = 1
batch = 16
optimiser = { name = "adamw", rate = 0.004 }
watch = "loss"
"""
TAGS = {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "PixelSpacing": [1.0, 1.0]}


def run(main: Callable[[list[str]], None], *words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoint, report of the gate, graph and thresholds."""
    folder = tmp_path_factory.mktemp("gated")
    recipe, cache = folder / "tiny.toml", folder / "cache"
    recipe.write_text(RECIPE, encoding="utf-8")
    assert run(training.cli.main, "fit", recipe, "--out", folder / "run", "--cache", cache, "--quiet") == 0
    checkpoint, graph = folder / "run" / "best.pt", folder / "tiny.onnx"
    report = folder / "run" / "evaluation"
    words = ["gate", checkpoint, "--cache", cache, "--files", pictures(folder), "--resamples", 20]
    assert run(training.cli.main, *words) == 0
    assert run(export.cli.main, "onnx", checkpoint, "--out", graph, "--phantoms", 8) == 0
    assert run(calibration.cli.main, "score", graph, "--data", cases(folder), "--out", folder / "s.npz") == 0
    words = ["thresholds", folder / "s.npz", "--out", folder / "thresholds", "--resamples", 10]
    assert run(calibration.cli.main, *words) == 0
    assert "dcm" not in (report / "input_gate.md").read_text() and (report / "input_gate_files.md").is_file()
    return folder


def pictures(folder: Path) -> Path:
    """An upright and an inverted chest as DICOM files, and one upright with tags of another body part."""
    place = folder / "pictures"
    place.mkdir()
    found = generate(9001, size=256, findings={})
    centre, width = found.window
    write_dicom(place / "upright.dcm", found.stored, window=found.window, tags=TAGS)
    inverse = (4095 - found.stored).astype(np.uint16)
    write_dicom(place / "inverted.dcm", inverse, window=(4095 - centre, width), tags=TAGS)
    write_dicom(place / "hand.dcm", found.stored, window=found.window, tags={**TAGS, "BodyPartExamined": "HAND"})
    return place


def cases(folder: Path) -> Path:
    """Labelled cases: labels at random, there must only be enough of both."""
    paths = []
    for seed in range(48):
        paths.append(folder / f"case-{seed}.png")
        Image.fromarray(np.uint8(generate(6000 + seed, size=64).image * 255)).save(paths[-1])
    truth = np.tile([0.0, 1.0], 24)[:, None].repeat(14, 1)
    return write_cases(folder / "cases.csv", paths, truth, [f"csv:{seed}" for seed in range(48)])


def seal(made: Path, out: Path, *more: object) -> int:
    words = ["seal", "--fp32", made / "tiny.onnx", "--thresholds", made / "thresholds" / "thresholds.json"]
    names = ["--name", "tiny", "--version", "1", "--intended-use", "For tests only.", "--allow-unsupported"]
    return run(calibration.cli.main, *words, *names, *more, "--out", out)


def test_the_report_tells_files_by_name_and_thresholds(made: Path) -> None:
    report = json.loads((made / "run" / "evaluation" / "input_gate.json").read_text())
    assert report["schema"] == "cxredge.input_gate/1" and report["chosen"]["on"] == ["phantoms"]
    assert all(0.5 <= value <= 1 for value in report["thresholds"].values())
    assert report["test"][0]["auroc"]["inverted"]["value"] > 0.9
    assert report["test"][0]["kinds"]["as it is"]["pictures"] == 16
    rows = {row["file"]: row for row in report["files"][0]["rows"]}
    assert rows["inverted.dcm"]["stopped"] and rows["inverted.dcm"]["inverted"] > 0.5
    assert rows["hand.dcm"]["not_chest"] == rows["upright.dcm"]["not_chest"], "tags are not looked at"
    assert not rows["upright.dcm"]["stopped"]


def predicted(path: Path, bundle: Path) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "cxredge", "predict", path, "--bundle", bundle, "--engine", "onnxruntime"]
    done = subprocess.run([*map(str, command), "--format", "json"], capture_output=True, text=True, check=False)
    return dict(json.loads(done.stdout))


def test_the_sealed_bundle_abstains_on_the_inverted_chest(made: Path, tmp_path: Path) -> None:
    report = made / "run" / "evaluation" / "input_gate.json"
    bundle = tmp_path / "tiny.cxr"
    assert seal(made, bundle, "--input-gate", report) == 0
    verify(bundle)
    wanted = json.loads(report.read_text())["thresholds"]
    with open_bundle(bundle) as opened:
        limits = opened.manifest.gate
        assert limits is not None and {name: getattr(limits, name) for name in wanted} == wanted
        assert set(opened.manifest.golden.outputs) == {"logits", "masks", "heatmaps", "gate"}
        assert "input_gate.json" in opened.manifest.files and b"upright.dcm" not in opened.read("input_gate.json")
        assert b"Upright chests refused" in opened.read("model_card.md")
    record = predicted(made / "pictures" / "inverted.dcm", bundle)
    assert record["status"] == "abstained" and record["reason"]["code"] == "inverted_by_pixels"
    assert record["gate"]["inverted"] >= wanted["inverted"]
    record = predicted(made / "pictures" / "upright.dcm", bundle)
    assert record["status"] == "ok", record["reason"]
    assert all(record["gate"][name] < limit for name, limit in wanted.items())


def test_no_gate_is_sealed_without_its_report(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(made, tmp_path / "no.cxr") == 2
    assert "--input-gate" in capsys.readouterr().err and not (tmp_path / "no.cxr").exists()
    other = json.loads((made / "run" / "evaluation" / "input_gate.json").read_text())
    other["checkpoint"]["sha256"] = "0" * 64
    (tmp_path / "other.json").write_text(json.dumps(other))
    assert seal(made, tmp_path / "no.cxr", "--input-gate", tmp_path / "other.json") == 2
    assert "of another checkpoint" in capsys.readouterr().err and not (tmp_path / "no.cxr").exists()


def test_a_network_without_a_trained_gate_is_not_measured(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(training.cli.main, "gate", made / "run" / "unet" / "best.pt") == 2
    assert "has no trained gate" in capsys.readouterr().err
