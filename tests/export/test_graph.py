"""Every method's graph: its face, what is left in it, and its answers against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cxredge.bundle.onnx_guard import check_graph
from cxredge.result import LABELS
from export import metadata
from export.graph import OPSET, build_graph
from export.images import gather
from export.parity import compare
from tests.support.exported import Shelf, plan
from training.methods import METHODS


@pytest.fixture(params=list(METHODS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_face_and_contents(shelf: Shelf, name: str) -> None:
    graph = shelf.graph(name)
    model = onnx.load_from_string(graph.data)
    onnx.checker.check_model(model, full_check=True)
    maps = {"mlrfnet": 8, "se_multimap": 4}.get(name, 2)
    outputs = {"logits": (14,), "masks": (3, 32, 32), "heatmaps": (14, maps, maps)}
    assert graph.outputs == outputs
    check_graph(graph.data, name, (128, 128), outputs)
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "N"
    assert {entry.domain for entry in model.opset_import} == {""} and not model.functions
    assert model.opset_import[0].version == OPSET
    assert {node.domain for node in model.graph.node} == {""}


def test_nothing_dead_and_nothing_left_to_fold(shelf: Shelf, name: str) -> None:
    graph = onnx.load_from_string(shelf.graph(name).data).graph
    read = {value for node in graph.node for value in node.input} | {value.name for value in graph.output}
    assert all(read.intersection(node.output) for node in graph.node), "a node reaches no output"
    assert {tensor.name for tensor in graph.initializer} <= read, "a weight is not used"
    makers = {value: node.op_type for node in graph.node for value in node.output}
    readers = {value: {node.op_type for node in graph.node if value in node.input} for value in makers}
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            assert makers[node.input[0]] not in {"Conv", "ConvTranspose"}, "a batch norm could be folded"
        if node.op_type == "Div":
            assert readers[node.output[0]] != {"Conv"}, "a normalisation could be folded"


def test_nothing_tells_of_the_machine(shelf: Shelf, name: str) -> None:
    data = shelf.graph(name).data
    home = str(Path(__file__).resolve().parents[2]).encode()
    assert home not in data and b"site-packages" not in data and b"stack_trace" not in data
    assert not onnx.load_from_string(data).graph.doc_string


def test_answers_are_those_of_torch(shelf: Shelf, name: str) -> None:
    """Straight on onnxruntime, without the code under test; batches of 1 and 5."""
    subject, graph = shelf.subject(name), shelf.graph(name)
    batch = gather(128, phantoms=5).batch
    session = onnxruntime.InferenceSession(graph.data, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        ours = subject.method(torch.from_numpy(batch))
    assert ours.logits.std(0).min() > 1e-3, "the network answers alike for all images"
    for count in (1, 5):
        theirs = session.run(["logits", "masks", "heatmaps"], {"image": batch[:count]})
        for mine, other, bound in zip(ours[:3], theirs, (1e-4, 1e-3, 1e-3), strict=True):
            assert np.abs(mine[:count].numpy() - other).max() < bound


def test_parity_report(shelf: Shelf, name: str) -> None:
    report = compare(shelf.subject(name), shelf.graph(name), plan())
    assert report["passed"], report["reasons"]
    gating = [row for row in report["rows"] if row["gates"]]
    assert {(row["engine"], row["batch"]) for row in gating} == {
        (engine, size) for engine in ("onnxruntime", "openvino") for size in (1, 7)
    }
    assert all(row["ran"] == "fp32" and row["largest"]["logits"] <= 1e-4 for row in gating)
    assert all(flips["decisions"] == 8 * 14 and not flips["flipped"] for row in gating for flips in row["flips"])
    assert (report["regions"] is not None) == (name == "ag_cnn")
    assert all((row["inner"] is not None) == (name in {"ag_cnn", "cxr_irnet"}) for row in gating)


@pytest.mark.parametrize("name", ["ag_cnn", "cral", "mlrfnet"])
def test_float16_graph_passes_its_own_bounds(shelf: Shelf, name: str) -> None:
    report = compare(shelf.subject(name), shelf.graph(name, "fp16"), plan())
    assert report["passed"], report["reasons"]
    assert report["graph"]["precision"] == "fp16" and 1 < report["largest_float16"] < 1000
    assert report["rows"][0]["largest"]["logits"] > 1e-5, "nothing was rounded"


def test_metadata(shelf: Shelf) -> None:
    graph = shelf.graph("se_multimap")
    told = metadata.read(onnx.load_from_string(graph.data))
    assert told == graph.metadata
    assert told["schema"] == "cxredge.graph/1" and told["labels"] == list(LABELS)
    assert told["input"] == {"rows": 128, "columns": 128, "fit": "pad"}
    assert told["heatmaps"] == {"rows": 4, "columns": 4, "box": [0.0, 0.0, 1.0, 1.0]}
    assert told["checkpoint_sha256"] is None and "mean nothing" in told["origin"]


def test_the_same_network_gives_the_same_bytes(shelf: Shelf) -> None:
    assert build_graph(shelf.subject("dcnn")).data == shelf.graph("dcnn").data
