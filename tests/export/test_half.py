"""The float16 graph: types are written out and right, what must stay float32 does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from export.half import unfold_norms
from export.images import gather
from export.parity import compare
from tests.support.exported import Shelf, plan


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """The type of every value, by ONNX's own strict inference, which refuses operators with mixed types."""
    graph = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    found = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}


@pytest.mark.parametrize("name", ["ag_cnn", "mlrfnet", "se_multimap"])
def test_types(shelf: Shelf, name: str) -> None:
    model = onnx.load_from_string(shelf.graph(name, "fp16").data)
    types = types_of(model)
    assert all(types[value.name] == TensorProto.FLOAT for value in (*model.graph.input, *model.graph.output))
    convolutions = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    halves = [node for node in convolutions if types[node.output[0]] == TensorProto.FLOAT16]
    whole = [node for node in convolutions if types[node.output[0]] == TensorProto.FLOAT]
    assert len(halves) > 5 * len(whole) > 0
    kernels = [attribute.ints[:] for node in whole for attribute in node.attribute if attribute.name == "kernel_shape"]
    assert kernels == [[1, 1]] * len(whole), "only the heads stay float32"
    for node in model.graph.node:
        if node.op_type in ("GridSample", "Softmax", "ReduceLogSumExp", "Gemm", "ReduceMean"):
            assert all(types[value] != TensorProto.FLOAT16 for value in node.input if value), node.name


def test_softmax_at_99_is_float32_from_the_score_maps_on(shelf: Shelf) -> None:
    model = onnx.load_from_string(shelf.graph("mlrfnet", "fp16").data)
    types, makers = types_of(model), {value: node for node in model.graph.node for value in node.output}
    softmax = [node for node in model.graph.node if node.op_type == "Softmax"]
    assert len(softmax) == 3
    for node in softmax:
        while node.op_type != "Conv":
            assert types[node.output[0]] == TensorProto.FLOAT
            node = makers[node.input[0]]
        assert types[node.output[0]] == TensorProto.FLOAT


def test_the_way_to_the_crop_is_float32(shelf: Shelf) -> None:
    """From the feature map's ReLU to the grid there is no float16 value."""
    model = onnx.load_from_string(shelf.graph("ag_cnn", "fp16").data)
    types, makers = types_of(model), {value: node for node in model.graph.node for value in node.output}
    waiting = [value for node in model.graph.node if node.op_type == "GridSample" for value in node.input]
    seen = set()
    while waiting:
        value = waiting.pop()
        node = makers.get(value)
        if node is None or value in seen:
            continue
        seen.add(value)
        if node.op_type == "Cast" and types[node.input[0]] == TensorProto.FLOAT16:
            assert makers[node.input[0]].op_type == "Relu"
            continue
        assert types[value] != TensorProto.FLOAT16
        waiting += node.input
    assert len(seen) > 50


def test_batch_norms_as_scale_and_shift(shelf: Shelf) -> None:
    whole = onnx.load_from_string(shelf.graph("chexnet").data)
    unfolded = onnx.ModelProto()
    unfolded.CopyFrom(whole)
    unfold_norms(unfolded)
    assert not any(node.op_type == "BatchNormalization" for node in unfolded.graph.node)
    batch = gather(128, phantoms=2).batch
    answers = [
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            ["logits", "heatmaps"], {"image": batch}
        )
        for model in (whole, unfolded)
    ]
    for one, other in zip(*answers, strict=True):
        assert np.abs(one - other).max() < 1e-5


def coarse(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Five bits of each weight, where float16 has eleven."""
    fraction, exponent = np.frexp(weights)
    return np.ldexp(np.round(fraction * 32) / 32, exponent)


def louder(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A twentieth too much, as a norm folded wrongly gives."""
    return weights * np.float32(1.05)


def exchanged(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Two output channels in each other's place."""
    found = weights.copy()
    found[[0, 1]] = weights[[1, 0]]
    return found


@pytest.mark.parametrize(("change", "convolutions"), [(coarse, "all"), (louder, "the first"), (exchanged, "the first")])
def test_a_broken_float16_graph_is_stopped(shelf: Shelf, change: Callable[..., object], convolutions: str) -> None:
    """The bounds of float16 are looser than those of float32, but not so loose that a fault gets through."""
    graph = shelf.graph("cral", "fp16")
    model = onnx.load_from_string(graph.data)
    by_name = {tensor.name: tensor for tensor in model.graph.initializer}
    used = [by_name[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]
    stem = next(tensor for tensor in used if tensor.dims[2] == 7)
    for tensor in used if convolutions == "all" else [stem]:
        kind = numpy_helper.to_array(tensor).dtype
        damaged = np.asarray(change(numpy_helper.to_array(tensor).astype(np.float32))).astype(kind)
        tensor.CopyFrom(numpy_helper.from_array(damaged, tensor.name))
    broken = replace(graph, data=model.SerializeToString())
    report = compare(shelf.subject("cral"), broken, plan(engines=("onnxruntime",)))
    assert any("logits differ by" in reason for reason in report["reasons"]), report["reasons"]
