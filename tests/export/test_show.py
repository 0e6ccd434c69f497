"""`show`: the cost against torch's own counter, and the text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from export import metadata
from export.commands.show import show
from export.cost import multiply_adds
from export.errors import ExportError
from export.graphfile import open_graph
from export.summary import summary
from tests.support.exported import Shelf
from tests.support.narrow import NARROW
from tests.support.tiny_bundle import tiny_model
from training.describe import describe
from training.methods import METHODS


@pytest.mark.parametrize("name", list(METHODS))
def test_multiply_adds_are_those_that_torch_counts(shelf: Shelf, name: str, tmp_path: Path) -> None:
    found = summary(open_graph(shelf.file(name, tmp_path)))
    assert found["gmacs"] == pytest.approx(describe(name, dict(NARROW))["graph"]["gmacs"], rel=0.002, abs=2e-4)


def test_float16_costs_the_same(shelf: Shelf, tmp_path: Path) -> None:
    one, half = (open_graph(shelf.file("cral", tmp_path, precision)) for precision in ("fp32", "fp16"))
    assert multiply_adds(one.model) == multiply_adds(half.model)
    assert (one.precision, half.precision) == ("fp32", "fp16")


def test_text(shelf: Shelf, tmp_path: Path) -> None:
    done = CliRunner().invoke(show, [str(shelf.file("ag_cnn", tmp_path))])
    assert done.exit_code == 0, done.output
    for word in ("image [N, 1, 128, 128]", "logits [N, 14]", "1 GridSample", "G multiply-adds", "mean nothing"):
        assert word in done.output


def test_a_graph_of_another_maker(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model().SerializeToString())
    assert summary(open_graph(path))["metadata"] == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "not an ONNX file"), (b"\x08\x0a garbage", "not an ONNX file"), (None, "cannot be read")],
)
def test_what_is_no_graph(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ExportError, match=said):
        open_graph(path)


def test_a_graph_with_another_face(tmp_path: Path) -> None:
    model = tiny_model()
    model.graph.output.remove(model.graph.output[1])
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ExportError, match="no output masks"):
        open_graph(path)


def test_a_graph_of_a_newer_schema(tmp_path: Path) -> None:
    model = tiny_model()
    metadata.write(model, {"schema": "cxredge.graph/2"})
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ExportError, match=r"of schema 'cxredge\.graph/2'.*update cxredge"):
        open_graph(path)


def test_a_graph_whose_cost_nobody_can_tell(tmp_path: Path) -> None:
    """Shapes that contradict each other."""
    model = tiny_model()
    last = next(node for node in model.graph.node if node.output[0] == "logits")
    last.output[0] = "before"
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "three"))
    model.graph.node.append(helper.make_node("Add", ["before", "three"], ["logits"]))
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ExportError, match="the cost cannot be counted"):
        summary(open_graph(path))
