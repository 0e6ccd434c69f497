"""The command line: quick to answer, clear when it refuses, and never a file by halves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from export import cli
from export.subject import random_subject
from tests.support.narrow import NARROW, narrow
from training.checkpoint import Facts, SplitFacts, save, versions

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = [
    word for name, value in NARROW.items() for word in ("--set", f"{name}={value}".replace("(", "[").replace(")", "]"))
]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(words))
    assert caught.value.code == 2
    return capsys.readouterr().err


def checkpoint(path: Path, **changes: Any) -> Path:
    method = narrow("dcnn")
    facts = Facts(
        method="dcnn",
        config=msgspec.to_builtins(method.options),
        recipe={"name": "narrow"},
        departures=("narrow",),
        split=SplitFacts("drawn", False, "ab" * 32),
        data=(),
        trained_on=("0" * 16,),
        stage="classifier",
        epoch=2,
        scores={},
        versions=versions(),
    )
    return save(path, method.state_dict(), msgspec.structs.replace(facts, **changes))


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom export.cli import main\n"
        "for words in (['--help'], ['onnx', '--help'], ['compile', '--help'], ['show', '--help']):\n"
        "    try:\n        main(words)\n    except SystemExit as end:\n        assert end.code == 0\n"
        "print('LOADED', *{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "export" in loaded and not {"torch", "onnx", "onnxruntime", "openvino", "numpy", "scipy"} & loaded
    assert all(name in done.stdout for name in cli.LATER)


def test_a_checkpoint_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "graph.onnx"
    with pytest.raises(SystemExit) as caught:
        cli.main(["onnx", str(checkpoint(tmp_path / "best.pt")), "--out", str(out), "--phantoms", "8"])
    assert caught.value.code == 0, capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {
        "best.pt", "graph.onnx", "graph.parity.json", "graph.parity.md", "graph.patients.json",
    }  # fmt: skip
    assert json.loads((tmp_path / "graph.patients.json").read_text())["trained_on"] == ["0" * 16]
    assert b"0" * 16 not in out.read_bytes()  # the patients themselves are not in the graph
    with pytest.raises(SystemExit):
        cli.main(["show", str(out)])
    told = capsys.readouterr().out
    assert "classifier, epoch 2" in told and "drawn" in told and "departures" in told


def test_a_method_that_nobody_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkpoint(tmp_path / "best.pt", method="vgg")
    said = refused(capsys, "onnx", str(path), "--out", str(tmp_path / "x.onnx"))
    assert "there is no method 'vgg'" in said
    said = refused(capsys, "onnx", "--random", "--method", "vgg", "--out", str(tmp_path / "x.onnx"))
    assert "there is no method 'vgg'" in said and [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_a_newer_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkpoint(tmp_path / "best.pt", schema="cxredge.checkpoint/2")
    said = refused(capsys, "onnx", str(path), "--out", str(tmp_path / "x.onnx"))
    assert "newer schema 'cxredge.checkpoint/2': update cxredge" in said
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a checkpoint", b"\x80\x04."])
def test_what_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    assert "is no checkpoint" in refused(capsys, "onnx", str(path), "--out", str(tmp_path / "x.onnx"))
    assert not (tmp_path / "x.onnx").exists()


def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "x.onnx")
    assert "CHECKPOINT, or --method" in refused(capsys, "onnx", "--out", out)
    assert "CHECKPOINT, or --method" in refused(capsys, "onnx", "x.pt", "--random", "--out", out)
    assert "--random needs --method" in refused(capsys, "onnx", "--random", "--out", out)
    assert "range" in refused(capsys, "onnx", "x.pt", "--out", out, "--time-limit", "0")
    assert "range" in refused(capsys, "onnx", "x.pt", "--out", out, "--images", "0")
    assert "no size" in refused(capsys, "compile", out, "--engine", "openvino", "--out", out, "--memory-limit", "lots")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory are Linux's")
def test_memory_that_runs_out_is_told_as_such(tmp_path: Path) -> None:
    """A real limit of the system, below what the full-size network's weights need."""
    out = tmp_path / "x.onnx"
    script = f"""
import re, resource
import torch, export.run, export.commands.onnx, export.thresholds  # before the limit: OpenBLAS waits for ever under it
from export import cli
torch.set_num_threads(1)
torch.rand(64, 64) @ torch.rand(64, 64)
held = int(re.search(r"VmData:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (held + 40 * 2**20,) * 2)
cli.main(["onnx", "--random", "--method", "dcnn", "--out", {str(out)!r}])
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=600)
    assert done.returncode == 2, done.stderr
    assert "memory ran out while making the network" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that even root cannot write")
def test_a_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "onnx", "--random", "--method", "dcnn", *SETTINGS, "--out", "/proc/none/x.onnx")
    assert "output_unwritable" in said


def test_random_networks_are_the_same_each_time_and_leave_the_seed_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one, other = (random_subject("dcnn", NARROW, seed=4) for _ in range(2))
    assert torch.equal(torch.rand(2), expected)
    state, again = one.method.state_dict(), other.method.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in state.items())
    means = [value for name, value in state.items() if name.endswith("running_mean")]
    assert means and all(mean.abs().max() > 0 for mean in means), "a batch norm has seen nothing"
