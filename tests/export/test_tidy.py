"""Folding and pruning on graphs small enough to see what must happen."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.tidy import drop_outputs, fold_division, fold_views, prune

RNG = np.random.default_rng(3)


def graph(outputs: tuple[str, ...] = ("out",), divisor: tuple[int, ...] = (1, 3, 1, 1)) -> onnx.ModelProto:
    """(image - mean) / deviation, and a padded convolution of it."""
    constants = {
        "mean": RNG.random((1, 3, 1, 1)),
        "deviation": 0.2 + RNG.random(divisor),
        "weight": RNG.normal(size=(4, 3, 3, 3)),
        "unused": RNG.random(3),
    }
    nodes = [
        helper.make_node("Sub", ["image", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["normal"]),
        helper.make_node("Conv", ["normal", "weight"], ["out"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Abs", ["centred"], ["aside"]),
    ]
    value = helper.make_tensor_value_info
    shapes = {"out": ["N", 4, 8, 8], "normal": ["N", 3, 8, 8], "aside": ["N", 3, 8, 8]}
    made = helper.make_graph(
        nodes,
        "small",
        [value("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [value(name, TensorProto.FLOAT, shapes[name]) for name in outputs],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto, image: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, {"image": image}))


def test_a_division_moves_into_the_weights() -> None:
    """The border too: the image is bright up to its edge, where a wrong fold would show."""
    model = graph()
    image = 0.5 + RNG.random((2, 1, 8, 8), dtype=np.float32)
    before = run(model, image)[0]
    assert fold_division(model) == 1
    prune(model)
    assert [node.op_type for node in model.graph.node] == ["Sub", "Conv"]
    assert np.abs(run(model, image)[0] - before).max() < 1e-5


@pytest.mark.parametrize("reason", ["it is an output", "it differs by pixel"])
def test_a_division_stays_where_it_must(reason: str) -> None:
    model = graph(("out", "normal")) if reason == "it is an output" else graph(divisor=(1, 1, 8, 8))
    assert fold_division(model) == 0


def test_what_reaches_no_output_goes() -> None:
    model = graph(("out", "aside"))
    image = RNG.random((1, 1, 8, 8), dtype=np.float32)
    kept = drop_outputs(model, {"aside"})
    assert [value.name for value in kept.graph.output] == ["out"]
    assert {tensor.name for tensor in kept.graph.initializer} == {"mean", "deviation", "weight"}
    assert "Abs" not in {node.op_type for node in kept.graph.node} and len(model.graph.output) == 2
    assert np.array_equal(run(kept, image)[0], run(model, image)[0])


def test_a_weight_is_stored_in_the_shape_it_is_read_in() -> None:
    """As the maps of a classifier's own weights are, however many: its matrix as a convolution of one pixel."""
    matrix, axes = RNG.normal(size=(14, 1024)).astype(np.float32), np.array([2, 3])
    nodes = [
        helper.make_node("Unsqueeze", ["matrix", "axes"], ["filters"]),
        helper.make_node("Conv", ["image", "filters"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["row"]),
        helper.make_node("Gemm", ["row", "matrix"], ["scores"], transB=1),
    ]
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes,
        "head",
        [value("image", TensorProto.FLOAT, ["N", 1024, 7, 7])],
        [value("maps", TensorProto.FLOAT, ["N", 14, 7, 7]), value("scores", TensorProto.FLOAT, ["N", 14])],
        [numpy_helper.from_array(matrix, "matrix"), numpy_helper.from_array(axes, "axes")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    image = RNG.random((1, 1024, 7, 7), dtype=np.float32)
    before = run(model, image)
    assert fold_views(model) == 1
    prune(model)
    assert [node.op_type for node in model.graph.node] == ["Conv", "GlobalAveragePool", "Flatten", "Gemm"]
    assert all(np.array_equal(old, new) for old, new in zip(before, run(model, image), strict=True))
