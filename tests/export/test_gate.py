"""A graph with the gate: its face, its parity in both precisions, what it says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner

from export import metadata
from export.bounds import BOUNDS
from export.commands.show import show
from export.graph import Graph, build_graph, trace
from export.images import gather
from export.inner import inner_of
from export.parity import compare
from export.subject import Subject, random_subject
from tests.support.exported import plan
from tests.support.narrow import NARROW


@pytest.fixture(scope="module")
def subject() -> Subject:
    return random_subject("cxr_irnet", NARROW | {"gate": True})


@pytest.fixture(scope="module")
def graphs(subject: Subject) -> dict[str, Graph]:
    traced = trace(subject.method, inner_of(subject.method))
    return {precision: build_graph(subject, precision, traced) for precision in ("fp32", "fp16")}


def test_the_answers_are_those_of_torch(subject: Subject, graphs: dict[str, Graph]) -> None:
    """Straight on onnxruntime, for upright and for inverted pictures; logits and masks stay beside it."""
    assert list(graphs["fp32"].outputs) == ["logits", "masks", "heatmaps", "gate"]
    assert graphs["fp32"].outputs["gate"] == (3,)
    batch = gather(128, phantoms=3).batch
    batch = np.concatenate([batch, 1 - batch, np.rot90(batch, 1, (2, 3))])
    session = onnxruntime.InferenceSession(graphs["fp32"].data, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        ours = subject.method(torch.from_numpy(batch)).gate
    assert ours is not None and ours.std(0).min() > 1e-3
    theirs = session.run(["gate"], {"image": batch})[0]
    assert np.abs(ours.numpy() - theirs).max() < BOUNDS["fp32"].outputs["gate"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_parity_states_the_gates_own_bound(subject: Subject, graphs: dict[str, Graph], precision: str) -> None:
    report = compare(subject, graphs[precision], plan())
    assert report["passed"], report["reasons"]
    bound = BOUNDS[precision].outputs["gate"]
    for row in report["rows"]:
        if row["gates"]:
            assert row["largest"]["gate"] <= bound == row["bounds"]["gate"]


def test_a_gate_that_answers_otherwise_fails(subject: Subject, graphs: dict[str, Graph]) -> None:
    model = onnx.load_from_string(graphs["fp32"].data)
    bias = next(node for node in model.graph.node if node.output[0] == "gate").input[2]
    for tensor in model.graph.initializer:
        if tensor.name == bias:
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) + np.float32(0.01), bias))
    other = Graph(model.SerializeToString(), None, "fp32", graphs["fp32"].outputs, {}, graphs["fp32"].metadata)
    report = compare(subject, other, plan(engines=("onnxruntime",)))
    assert not report["passed"] and any("gate differ by 1.00e-02" in reason for reason in report["reasons"])


def test_the_graph_names_the_questions(graphs: dict[str, Graph], tmp_path: Path) -> None:
    told = metadata.read(onnx.load_from_string(graphs["fp32"].data))
    assert told["gate"] == ["not_chest", "inverted", "turned"] and told["options"]["gate"] is True
    path = tmp_path / "gate.onnx"
    path.write_bytes(graphs["fp32"].data)
    said = CliRunner().invoke(show, [str(path)])
    assert said.exit_code == 0 and "gate [N, 3]" in said.output and "not_chest; inverted; turned" in said.output
