"""A float16 graph with float32 input and outputs, every type written out, as strongly typed engines want it.

Converters that others ship decide by lists of operators; here the reason decides. Convolutions and what lies between
them are float16. float32 stay: the input until the first convolution; whatever makes an output, back to and including
the last 1x1 convolutions; means, sums, softmax (with T = 99 a float16 logit of 10 would be 0.4 off before the
exponential), log-sum-exp and linear layers; and AG-CNN's way from the feature map to the crop, whose labels, box and
coordinates must be exact. Batch norms become one multiplication and one addition, computed in float64, because a
running variance can lie below what float16 holds.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.tidy import constants, replace_input

__all__ = ["LARGEST", "peak_probe", "to_half", "unfold_norms"]

LARGEST = 65504.0
"""Beyond this, float16 is infinite."""

_HALF = {"Conv", "ConvTranspose"}
_FLOAT = {"Gemm", "GridSample", "MatMul", "ReduceLogSumExp", "ReduceMean", "ReduceSum", "Softmax", "Softplus"}
_ROOTS = {"GridSample", "ReduceLogSumExp", "Softmax"}
_STOPS = {"Relu", "ConvTranspose"}
# Inputs that are of the data's type; of all others, every float input is.
_DATA = {"Resize": (0,)}


def to_half(model: onnx.ModelProto) -> tuple[str, ...]:
    """Turn a float32 model into the mixed one, in place.

    Returns:
        The values that are float16 now, under their names in the float32 model: what must stay below `LARGEST`.
    """
    unfold_norms(model)
    typed = _Typed(model)
    for node in list(model.graph.node):
        typed.place(node)
    typed.finish()
    return typed.computed


def unfold_norms(model: onnx.ModelProto) -> None:
    """Each batch norm as y = x * scale + shift."""
    graph = model.graph
    known = constants(graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        gamma, beta, mean, variance = (numpy_helper.to_array(known[name]).astype(float) for name in node.input[1:5])
        scale = gamma / np.sqrt(variance + epsilon)
        out = node.output[0]
        for name, value in ((f"{out}.scale", scale), (f"{out}.shift", beta - mean * scale)):
            column = value.astype(np.float32).reshape(-1, 1, 1)
            graph.initializer.append(numpy_helper.from_array(column, name))
        nodes.append(helper.make_node("Mul", [node.input[0], f"{out}.scale"], [f"{out}.scaled"]))
        nodes.append(helper.make_node("Add", [f"{out}.scaled", f"{out}.shift"], [out]))
    del graph.node[:]
    graph.node.extend(nodes)


class _Typed:
    """The graph as it is written again, node by node, with a type for every value."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self.floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
        self.weights = {n: t for n, t in constants(self.graph).items() if t.data_type == TensorProto.FLOAT}
        self.kept = _kept(self.graph)
        self.half: set[str] = set()
        self.nodes: list[onnx.NodeProto] = []
        self.casts: dict[tuple[str, bool], str] = {}

    @property
    def computed(self) -> tuple[str, ...]:
        """Float16 values that a node computes, in the order of the graph."""
        return tuple(name for node in self.nodes if node.op_type != "Cast" for name in node.output if name in self.half)

    def place(self, node: onnx.NodeProto) -> None:
        """Write a node with its inputs in one type."""
        data = self._data(node)
        half = self._is_half(node, data)
        for name in data:
            replace_input(node, name, self._as(name, half))
        self.nodes.append(node)
        if half:
            self.half.update(name for name in node.output if name in self.floats)

    def finish(self) -> None:
        """Outputs are float32 under their own names; unused weights go."""
        for value in self.graph.output:
            if value.name in self.half:
                raise AssertionError(f"{value.name} is float16: what makes an output stays float32")
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        weights = [tensor for tensor in self.graph.initializer if tensor.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(weights)

    def _data(self, node: onnx.NodeProto) -> list[str]:
        if node.op_type in ("Cast", "Shape"):  # they take and give what they say
            return []
        places = _DATA.get(node.op_type, range(len(node.input)))
        names = [node.input[place] for place in places if place < len(node.input)]
        return [name for name in dict.fromkeys(names) if name in self.floats or name in self.weights]

    def _is_half(self, node: onnx.NodeProto, data: list[str]) -> bool:
        if node.output[0] in self.kept or node.op_type in _FLOAT or not data:
            return False
        if node.op_type in _HALF:
            return True
        computed = [name for name in data if name not in self.weights]
        return bool(computed) and all(name in self.half for name in computed)

    def _as(self, name: str, half: bool) -> str:
        if (name in self.half) == half:
            return name
        key = (name, half)
        if key not in self.casts:
            self.casts[key] = f"{name}.half" if half else f"{name}.float"
            self._make(name, self.casts[key], half)
        return self.casts[key]

    def _make(self, name: str, new: str, half: bool) -> None:
        if name in self.weights:
            values = numpy_helper.to_array(self.weights[name]).astype(np.float16)
            self.graph.initializer.append(numpy_helper.from_array(values, new))
        else:
            to = TensorProto.FLOAT16 if half else TensorProto.FLOAT
            self.nodes.append(helper.make_node("Cast", [name], [new], to=to))
        if half:
            self.half.add(new)


def _kept(graph: onnx.GraphProto) -> set[str]:
    """Nodes, by their first output, that stay float32 because of what they feed."""
    makers = {name: node for node in graph.node for name in node.output}
    waiting = [value.name for value in graph.output]
    waiting += [name for node in graph.node if node.op_type in _ROOTS for name in node.input]
    found: set[str] = set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.output[0] in found or node.op_type in _STOPS:
            continue
        if node.op_type == "Conv" and not _is_head(node):
            continue
        found.add(node.output[0])
        if node.op_type != "Conv":
            waiting += node.input
    return found


def _is_head(node: onnx.NodeProto) -> bool:
    return all(a.ints[:] == [1, 1] for a in node.attribute if a.name == "kernel_shape")


def peak_probe(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A float32 model whose only output, `peaks` [K], is the largest magnitude of each named value."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    graph = probe.graph
    shape = numpy_helper.from_array(np.array([1], np.int64), "peak.shape")
    graph.initializer.append(shape)
    found = []
    for name in names:
        graph.node.append(helper.make_node("Abs", [name], [f"{name}.size"]))
        graph.node.append(helper.make_node("ReduceMax", [f"{name}.size"], [f"{name}.peak"], keepdims=0))
        graph.node.append(helper.make_node("Reshape", [f"{name}.peak", "peak.shape"], [f"{name}.flat"]))
        found.append(f"{name}.flat")
    graph.node.append(helper.make_node("Concat", found, ["peaks"], axis=0))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("peaks", TensorProto.FLOAT, [len(found)]))
    return probe
