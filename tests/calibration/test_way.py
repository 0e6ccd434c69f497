"""The whole way with real engines: a graph is quantised, judged, scored, given thresholds, sealed and run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import cxredge
from calibration import cli
from calibration.cases import patient_tag, read_table
from calibration.layers import SWITCHES, layers_of, switchboard, units_of
from calibration.planes import geometry_of, prepare
from calibration.quantise import quantise
from calibration.running import with_bfloat16
from calibration.scores import read_scores
from calibration.thresholds import How, derive
from cxredge.bundle import open_bundle, verify
from cxredge.errors import BundleError
from cxredge.operating_points import sensitivity_at_least
from export.graphfile import open_graph
from tests.support.calibrated import World

USE = "For tests of the software only: the weights are random."


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main([str(word) for word in words])
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of quantize. A random network's answers hang on little, so many layers may stay float."""
    out = tmp_path_factory.mktemp("made")
    words = ["quantize", world.graph.path, "--data", world.data, "--judge", world.judged, "--out", out]
    code = run(*words, "--images", 16, "--rounds", 6, "--resamples", 50, "--most-float", 0.95)
    assert code == 0, (out / "failed.gate.md").read_text()
    return out


@pytest.fixture(scope="module")
def thresholds(world: World, made: Path) -> Path:
    assert run("score", made / "int8.onnx", "--data", world.judged, "--out", made / "int8.npz") == 0
    assert run("thresholds", made / "int8.npz", "--out", made / "thresholds", "--resamples", 50) == 0
    return made / "thresholds" / "thresholds.json"


@pytest.fixture(scope="module")
def fp32_thresholds(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By another rule than INT8's, so that they differ even where both graphs answer alike."""
    out = tmp_path_factory.mktemp("fp32")
    assert run("score", world.graph.path, "--data", world.judged, "--out", out / "fp32.npz") == 0
    report = derive(read_scores(out / "fp32.npz"), How({"balanced": sensitivity_at_least(0.9)}, resamples=20))
    (out / "thresholds.json").write_text(json.dumps(report))
    return out / "thresholds.json"


def parts(world: World, made: Path, thresholds: Path) -> list[object]:
    graphs = ["--fp32", world.graph.path, "--int8", made / "int8.onnx", "--gate", made / "gate.json"]
    names = ["--name", "narrow", "--version", "1", "--intended-use", USE, "--allow-unsupported"]
    return ["seal", *graphs, "--thresholds", thresholds, *names]


def test_the_gate_passed_on_both_engines_and_tells_what_it_saw(world: World, made: Path) -> None:
    gate = json.loads((made / "gate.json").read_text())
    assert gate["schema"] == "cxredge.gate/1" and gate["engines_passed"] == ["onnxruntime", "openvino"]
    int8 = open_graph(made / "int8.onnx")
    assert int8.precision == "int8" and gate["int8_sha256"] == int8.sha256 and gate["fp32_sha256"] == world.graph.sha256
    for row in gate["engines"]:
        assert all(flip["share"] <= 0.01 for flip in row["flips"]) and row["latency"]["rounds"] == 6
    quantised = json.loads((made / "quantisation.json").read_text())
    assert quantised["calibrated_on"]["images"] == len(quantised["images"]) == 16
    assert any(not layer["float"] and layer["weighted"] for layer in quantised["layers"])
    assert (made / "gate.png").read_bytes().startswith(b"\x89PNG")
    assert not list((made / "work").rglob("planes.npy"))  # patients' images do not stay


def test_bfloat16_is_judged_where_it_is_computed(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Elsewhere the command says so: nothing is compared that would only be float32 under another name."""
    words = ["gate", world.graph.path, "--bf16", "--data", world.judged, "--engine", "onnxruntime"]
    assert run(*words, "--out", tmp_path / "no") == 2
    assert "none of onnxruntime computes bfloat16 on this processor" in capsys.readouterr().err
    assert not (tmp_path / "no.json").exists()


@pytest.mark.skipif(not with_bfloat16(), reason="needs a processor that computes bfloat16")
def test_bfloat16_is_judged_sealed_and_run(world: World, tmp_path: Path) -> None:
    words = ["gate", world.graph.path, "--bf16", "--data", world.judged, "--out", tmp_path / "bf16"]
    words += ["--rounds", 4, "--resamples", 20]
    # A random network's decisions hang on little: it may not pass, and then it is not sealed.
    code, report = run(*words), json.loads((tmp_path / "bf16.json").read_text())
    row = report["engines"][0]
    assert report["precision"] == "bf16" and report["passed"] == (code == 0)
    assert report["bf16_sha256"] == report["fp32_sha256"] == world.graph.sha256 and row["engine"] == "openvino"
    assert 0 < row["largest"]["logits"] < 1 and row["latency"]["bf16_ms"] > 0
    assert "bfloat16 gate of" in (tmp_path / "bf16.md").read_text() and (tmp_path / "bf16.png").exists()
    assert run("score", world.graph.path, "--data", world.judged, "--out", tmp_path / "fp32.npz") == 0
    assert run("thresholds", tmp_path / "fp32.npz", "--out", tmp_path / "thresholds", "--resamples", 20) == 0
    seal = ["seal", "--fp32", world.graph.path, "--thresholds", tmp_path / "thresholds" / "thresholds.json"]
    seal += ["--name", "narrow", "--version", "1", "--intended-use", USE, "--allow-unsupported"]
    for passed in (False, True):
        (tmp_path / "gate.json").write_text(json.dumps(report | {"passed": passed, "engines_passed": ["openvino"]}))
        code = run(*seal, "--bf16-gate", tmp_path / "gate.json", "--out", tmp_path / f"{passed}.cxr")
        assert (code == 0) == passed
    with open_bundle(tmp_path / "True.cxr") as bundle:
        assert bundle.precisions == ("fp32", "bf16") and {"gate_bf16.json", "gate_bf16.md"} <= set(
            bundle.manifest.files
        )
        assert bundle.manifest.golden.tolerance["bf16"]["logits"] >= bundle.manifest.golden.tolerance["fp32"]["logits"]
        assert "bfloat16: that passed the gate" in bundle.read("model_card.md").decode()
    with cxredge.load(tmp_path / "True.cxr", engine="openvino", precision="bf16") as model:
        assert model.predict(world.images[0]).status in ("ok", "abstained") and model.ran.precision == "bf16"


def test_the_gate_judges_one_thing(
    world: World, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for variant in ([], [made / "int8.onnx", "--bf16"]):
        assert run("gate", world.graph.path, *variant, "--data", world.judged, "--out", tmp_path / "no") == 2
        assert "an INT8 graph, or FP32 with --bf16" in capsys.readouterr().err
    words = ["seal", "--fp32", world.graph.path, "--bf16-gate", made / "gate.json", "--thresholds", made / "gate.json"]
    words += ["--name", "narrow", "--version", "1", "--intended-use", USE, "--out", tmp_path / "no.cxr"]
    assert run(*words) == 2
    assert "is of other graphs, or not of bfloat16" in capsys.readouterr().err


def test_every_quantiser_is_one_that_tensorrt_takes(made: Path) -> None:
    model = onnx.load(made / "int8.onnx")
    known = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    zeros = [
        known[node.input[2]] for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    ]
    assert zeros and all(zero.dtype == np.int8 and not zero.any() for zero in zeros)
    weights = [value for value in known.values() if value.dtype == np.int8 and value.ndim == 4]
    assert weights and max(int(np.abs(value.astype(int)).max()) for value in weights) <= 64  # half of the range


def test_switches_off_is_the_fp32_graph(world: World, tmp_path: Path) -> None:
    """What sensitivity measures starts from exactly the fp32 answers, and ends in exactly the int8 ones."""
    import onnxruntime

    planes = prepare(read_table(world.data), geometry_of(world.graph), tmp_path)
    model = quantise(world.graph.model, planes, range(4))
    units = units_of(layers_of(model, world.graph.model))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

    def answers(graph: onnx.ModelProto, **more: np.ndarray) -> np.ndarray:
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(["logits"], {"image": planes.batch(5), **more})[0])

    board, off = switchboard(model, world.graph.model, units), np.zeros(len(units), bool)
    plain, int8 = answers(world.graph.model), answers(model)
    assert np.abs(answers(board, **{SWITCHES: off}) - plain).max() < 1e-4 < np.abs(int8 - plain).max()
    assert np.abs(answers(board, **{SWITCHES: ~off}) - int8).max() < 1e-4


def test_who_calibrated_may_not_judge(world: World, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score", made / "int8.onnx", "--data", world.data, "--out", made / "leak.npz") == 2
    assert "[leak]" in capsys.readouterr().err and not (made / "leak.npz").exists()
    listed = json.loads((made / "int8.patients.json").read_text())
    assert len(listed["calibrated_on"]) == 16 and patient_tag("csv:0") != "csv:0"


def test_a_broken_graph_fails_the_gate(
    world: World, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights of one layer that lost their scale: the graph runs, answers nonsense, and is refused with exit code 1."""
    model = onnx.load(made / "int8.onnx")
    node = next(n for n in model.graph.node if n.output[0] == "logits")
    for tensor in model.graph.initializer:
        if tensor.name == node.input[2]:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(14, 3, np.float32), tensor.name))
    onnx.save(model, tmp_path / "int8.onnx")
    shutil.copy(made / "int8.patients.json", tmp_path)
    words = ["gate", world.graph.path, tmp_path / "int8.onnx", "--data", world.judged, "--engine", "onnxruntime"]
    assert run(*words, "--out", tmp_path / "gate", "--rounds", 0, "--resamples", 10) == 1
    report = json.loads((tmp_path / "gate.json").read_text())
    assert not report["passed"] and report["engines_passed"] == [] and "[gate]" in capsys.readouterr().err


def test_thresholds_refuse_what_cases_cannot_carry(thresholds: Path) -> None:
    report = json.loads(thresholds.read_text())
    by_label = {finding["label"]: finding for finding in report["findings"]}
    assert by_label["Hernia"]["points"] == {} and "20 are needed" in by_label["Hernia"]["refused"]["balanced"]
    assert set(by_label["Effusion"]["points"]) == {"balanced", "screening", "confirm", "corner", "f1", "cost"}
    made = by_label["Effusion"]["calibration"]
    assert made["after"]["log_loss"] <= made["before"]["log_loss"] and made["scale"] > 0
    assert (thresholds.parent / "roc.png").is_file() and (thresholds.parent / "effusion.png").is_file()


def test_sealed_twice_is_the_same_and_predicts(world: World, made: Path, thresholds: Path, tmp_path: Path) -> None:
    words = parts(world, made, thresholds)
    assert run("keys", tmp_path / "maker") == 0
    assert run(*words, "--out", tmp_path / "a.cxr", "--sign", tmp_path / "maker.private.pem") == 0
    verify(tmp_path / "a.cxr", key=tmp_path / "maker.public.pem")
    assert run(*words, "--out", tmp_path / "b.cxr") == 0 and not (tmp_path / "b.cxr.sig").exists()
    assert (tmp_path / "a.cxr").read_bytes() == (tmp_path / "b.cxr").read_bytes()
    with open_bundle(tmp_path / "a.cxr") as bundle:
        assert bundle.precisions == ("fp32", "int8") and bundle.engines_for("int8") == ("onnxruntime", "openvino")
        assert b"trained_on" in bundle.read("fp32.onnx") and not any("patients" in n for n in bundle.manifest.files)
    for engine in ("onnxruntime", "openvino"):
        command = [sys.executable, "-P", "-m", "cxredge", "predict", world.images[0], "--bundle", tmp_path / "a.cxr"]
        how = ["--engine", engine, "--precision", "int8", "--format", "json"]
        done = subprocess.run([*map(str, command), *how], capture_output=True, text=True, check=False)
        record = json.loads(done.stdout)
        # The random U-Net sees no plausible lungs, so the runtime may abstain; the graph itself has run.
        assert record["ran"]["precision"] == "int8" and record["status"] in ("ok", "abstained"), done.stderr


def test_each_precision_may_have_thresholds_of_its_own(
    world: World, made: Path, thresholds: Path, fp32_thresholds: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = parts(world, made, thresholds)
    words[words.index(thresholds)] = f"int8={thresholds}"
    both, out = [*words, "--thresholds", f"fp32={fp32_thresholds}"], tmp_path / "both.cxr"
    assert run(*both, "--out", out) == 0
    verify(out)
    with open_bundle(out) as bundle:
        for precision, file in (("int8", thresholds), ("fp32", fp32_thresholds)):
            told = {finding["label"]: finding for finding in json.loads(file.read_text())["findings"]}
            for finding in bundle.manifest.findings_for(precision):
                scale = told[finding.label]["calibration"]["scale"]
                points = told[finding.label]["points"]
                assert finding.calibration.scale == scale
                assert points.keys() <= finding.operating_points.keys()
                for name, point in points.items():
                    assert finding.operating_points[name].threshold == point["threshold"]
        assert bundle.manifest.thresholds(precision="fp32") != bundle.manifest.thresholds(precision="int8")
        assert {"thresholds.json", "thresholds_fp32.json"} <= set(bundle.manifest.files)
    for wrong, said in (
        ([*words, "--thresholds", f"fp32={thresholds}"], "chosen for another graph"),
        ([*words, "--thresholds", thresholds], "two files for int8"),
        ([*words[: words.index("--thresholds")], "--thresholds", f"fp32={fp32_thresholds}", *words[-7:]], "int8=FILE"),
    ):
        assert run(*wrong, "--out", tmp_path / "no.cxr") == 2
        assert said in capsys.readouterr().err and not (tmp_path / "no.cxr").exists()


def test_one_changed_byte_is_refused_with_the_name_of_its_file(
    world: World, made: Path, thresholds: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    assert run(*parts(world, made, thresholds), "--out", out) == 0
    names = sorted(set(verify(out)) - {"manifest.json"})
    assert {"fp32.onnx", "int8.onnx", "gate.json", "model_card.md", "sources.json", "thresholds.json"} <= set(names)
    for name in names:
        data = bytearray((out / name).read_bytes())
        data[len(data) // 2] ^= 1
        original = (out / name).read_bytes()
        (out / name).write_bytes(bytes(data))
        with pytest.raises(BundleError, match=name):
            verify(out)
        (out / name).write_bytes(original)
    verify(out)


def test_parts_that_do_not_belong_together_are_not_sealed(
    world: World, made: Path, thresholds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = parts(world, made, thresholds)
    failed = json.loads((made / "gate.json").read_text()) | {"passed": False}
    (tmp_path / "gate.json").write_text(json.dumps(failed))
    for change, said in (
        ({"--gate": tmp_path / "gate.json"}, "did not pass its gate"),
        ({"--int8": world.graph.path}, "of other graphs"),
        ({"--allow-unsupported": None}, "no threshold for balanced"),
    ):
        changed = list(words)
        for option, value in change.items():
            at = changed.index(option)
            changed[at : at + 2] = [] if value is None else [option, value]
        assert run(*changed, "--out", tmp_path / "no.cxr") in (1, 2)
        assert said in capsys.readouterr().err and not (tmp_path / "no.cxr").exists()
