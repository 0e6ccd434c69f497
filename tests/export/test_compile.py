"""Compiling for an engine: what is made, and every way in which it fails, with real engines and a rogue one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from cxredge.engines import catalog
from cxredge.errors import Code, CxredgeError, EngineError
from export.compiling import Wanted, bytes_of, compile_graph
from export.graphfile import GraphFile, open_graph
from export.targets import TARGETS, Target
from export.targets.common import Options
from tests.support import rogue_engine
from tests.support.exported import Shelf
from tests.support.tiny_bundle import quantise, tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> GraphFile:
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    path.write_bytes(tiny_model().SerializeToString())
    return open_graph(path)


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_openvino_ir(shelf: Shelf, tmp_path: Path) -> None:
    graph = open_graph(shelf.file("cral", tmp_path))
    told = compile_graph(graph, Wanted("openvino", tmp_path / "out"))
    assert written(tmp_path / "out") == {"model.xml", "model.bin", "compiled.json"}
    assert (told["engine"], told["device"], told["precision"]) == ("openvino", "cpu", "fp32")
    assert set(told["files"]) == {"model.xml", "model.bin"} and told["graph"]["method"] == "cral"
    assert 1e-5 < told["largest_difference"]["logits"] < 0.05, "the weights should be float16"
    assert (tmp_path / "out" / "model.bin").stat().st_size < 0.6 * len(graph.data)
    whole = compile_graph(graph, Wanted("openvino", tmp_path / "whole", options=Options(full_weights=True)))
    assert whole["largest_difference"]["logits"] < 1e-4
    assert (tmp_path / "whole" / "model.bin").stat().st_size > 0.9 * len(graph.data)
    assert (tmp_path / "out.log").is_file() and not list(tmp_path.glob(".*"))


def test_onnxruntime_model_and_a_second_time(tiny: GraphFile, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = compile_graph(tiny, Wanted("onnxruntime", out))
    assert written(out) == {"model.onnx", "compiled.json"}
    assert max(told["largest_difference"].values()) < 1e-5
    (out / "notes.txt").write_text("of the user")
    again = compile_graph(tiny, Wanted("onnxruntime", out))
    assert written(out) == {"model.onnx", "compiled.json", "notes.txt"}
    assert json.loads((out / "compiled.json").read_text(encoding="utf-8"))["files"] == again["files"]


def test_int8_is_taken_as_given(tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    path.write_bytes(quantise(tiny_model()))
    graph = open_graph(path)
    assert graph.precision == "int8"
    if "int8" not in catalog.engine("onnxruntime").precisions("cpu"):
        pytest.skip("no int8 here")
    told = compile_graph(graph, Wanted("onnxruntime", tmp_path / "out"))
    assert told["precision"] == "int8"
    with pytest.raises(EngineError) as caught:
        compile_graph(graph, Wanted("onnxruntime", tmp_path / "other", precision="fp32"))
    assert caught.value.code is Code.PRECISION_UNSUPPORTED and "this is the int8 graph" in caught.value.detail


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(("operator", "domain"), [("Bogus", ""), ("Thing", "org.example")])
def test_an_operator_that_the_engine_does_not_know(engine: str, operator: str, domain: str, tmp_path: Path) -> None:
    model = tiny_model()
    last = next(node for node in model.graph.node if node.output[0] == "heatmaps")
    last.output[0] = "before"
    model.graph.node.append(helper.make_node(operator, ["before"], ["heatmaps"], domain=domain))
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    path = tmp_path / "strange.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match=f"does not know the operator .*{operator}") as caught:
        compile_graph(open_graph(path), Wanted(engine, tmp_path / "out"))
    assert caught.value.code is Code.ENGINE_FAILED and "out.log" in caught.value.detail
    assert written(tmp_path) == {"strange.onnx", "out.log"}
    assert operator in (tmp_path / "out.log").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that even root cannot write")
def test_a_folder_that_cannot_be_written(tiny: GraphFile) -> None:
    with pytest.raises(CxredgeError) as caught:
        compile_graph(tiny, Wanted("onnxruntime", Path("/proc/none/out")))
    assert caught.value.code is Code.OUTPUT_UNWRITABLE


@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory are Linux's")
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_out_of_memory(engine: str, tmp_path: Path) -> None:
    """A real limit of the system on a real engine; the graph's weights alone are larger."""
    model = tiny_model()
    last = next(node for node in model.graph.node if node.output[0] == "heatmaps")
    last.output[0] = "before"
    size = 75_000_000
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(size, np.float32), "large"))
    nodes = [
        helper.make_node("ReduceMax", ["large"], ["most"], keepdims=0),
        helper.make_node("Add", ["before", "most"], ["heatmaps"]),
    ]
    model.graph.node.extend(nodes)
    path = tmp_path / "large.onnx"
    path.write_bytes(model.SerializeToString())
    del model
    wanted = Wanted(engine, tmp_path / "out", options=Options(memory=bytes_of("250M")))
    with pytest.raises(CxredgeError) as caught:
        compile_graph(open_graph(path), wanted)
    assert caught.value.code is Code.OUT_OF_MEMORY, str(caught.value)
    assert "under a limit of 250 MiB" in caught.value.detail
    assert written(tmp_path) == {"large.onnx", "out.log"}


@pytest.fixture
def rogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine that misbehaves, as a target."""
    monkeypatch.setitem(catalog.ENGINES, "rogue", rogue_engine.MODULE)
    monkeypatch.setitem(TARGETS, "rogue", Target(rogue_engine.MODULE, "model.rogue", "a test"))


@pytest.mark.parametrize(
    ("device", "code"),
    [
        ("segfault", Code.ENGINE_CRASHED),
        ("abort", Code.ENGINE_CRASHED),
        ("hang", Code.ENGINE_TIMEOUT),
        ("raise", Code.ENGINE_FAILED),
        ("hoard", Code.OUT_OF_MEMORY),
        ("wrong-shape", Code.ENGINE_OUTPUT),
        ("nan", Code.ENGINE_OUTPUT),
    ],
)
@pytest.mark.usefixtures("rogue")
def test_what_goes_wrong_in_the_child(tiny: GraphFile, device: str, code: Code, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.rogue").write_bytes(b"of before")
    limit = 5.0 if device == "hang" else 120.0
    with pytest.raises(EngineError) as caught:
        compile_graph(tiny, Wanted("rogue", out, device=device, limit_seconds=limit))
    assert caught.value.code is code and str(tmp_path / "out.log") in caught.value.detail
    assert (out / "model.rogue").read_bytes() == b"of before"
    assert written(out) == {"model.rogue"} and written(tmp_path) == {"out", "out.log"}


@pytest.mark.usefixtures("rogue")
def test_float32_answers_that_differ_are_not_kept(tiny: GraphFile, tmp_path: Path) -> None:
    with pytest.raises(CxredgeError, match="answers differ"):
        compile_graph(tiny, Wanted("rogue", tmp_path / "out", device="wrong-answer"))
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_asked_for(tiny: GraphFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(wanted: Wanted) -> EngineError:
        with pytest.raises(EngineError) as caught:
            compile_graph(tiny, wanted)
        assert not any(tmp_path.iterdir())
        return caught.value

    out = tmp_path / "out"
    assert refused(Wanted("openvino", out, precision="fp16")).code is Code.PRECISION_UNSUPPORTED
    assert refused(Wanted("openvino", out, device="gpu.7")).code is Code.DEVICE_MISSING
    assert refused(Wanted("none", out)).code is Code.ENGINE_UNKNOWN
    monkeypatch.setattr("cxredge.engines.tensorrt.package_version", lambda *names: None)
    missing = refused(Wanted("tensorrt", out))
    assert missing.code is Code.ENGINE_MISSING and "pip install" in missing.detail


def test_sizes() -> None:
    assert (bytes_of("800M"), bytes_of("4G"), bytes_of("1.5k"), bytes_of("12")) == (800 << 20, 4 << 30, 1536, 12)
    for text in ("much", "-1M", "4X", "G"):
        with pytest.raises(ValueError, match=text):
            bytes_of(text)
