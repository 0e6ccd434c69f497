"""The quantised layers of an INT8 graph: which they are, how to make some float again, and a graph with a switch each.

A layer is a node that reads at least one dequantised value. Its float form is the same node of the fp32 graph, found by
the name of its output, which the quantiser keeps.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from calibration.errors import CalibrationError, Problem
from export.cost import by_output
from export.tidy import constants, prune

__all__ = ["SWITCHES", "Layer", "layers_of", "signed", "switchboard", "units_of", "with_float"]

SWITCHES = "switches"
TOGETHER = "layers without weights"


@dataclass(frozen=True, slots=True)
class Layer:
    """One quantised node, or several that are quantised or float together.

    Attributes:
        name: of its first output: the same in the fp32 graph.
        kind: its operator.
        weighted: whether its weights are quantised too.
        multiply_adds: on one image.
        members: the nodes of a group; empty for a single one.
    """

    name: str
    kind: str
    weighted: bool
    multiply_adds: int
    members: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all its nodes."""
        return self.members or (self.name,)


def units_of(layers: Sequence[Layer]) -> list[Layer]:
    """What can be made float apart: each layer that has weights, and all others as one.

    Pools, concatenations and the like pass values on from one quantised layer to the next. OpenVINO 2026.4 answers
    wrongly (AUROC fell by 0.02 to 0.1) when one of them alone is float between quantised layers; all or none is right.
    """
    others = [layer for layer in layers if not layer.weighted]
    kinds = ", ".join(sorted({layer.kind for layer in others}))
    group = [Layer(TOGETHER, kinds, False, 0, tuple(layer.name for layer in others))] if others else []
    return [layer for layer in layers if layer.weighted] + group


def _dequantised(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}


def layers_of(quantised: onnx.ModelProto, fp32: onnx.ModelProto) -> list[Layer]:
    """Every quantised layer, in the order of the graph.

    Raises:
        CalibrationError: a node of the quantised graph is not in the fp32 graph.
    """
    values, weights = _dequantised(quantised), constants(quantised.graph)
    costs, known = by_output(fp32), {node.output[0] for node in fp32.graph.node}
    found = []
    for node in quantised.graph.node:
        read = [values[name] for name in node.input if name in values]
        if not read or node.op_type == "QuantizeLinear":
            continue
        if node.output[0] not in known:
            raise CalibrationError(Problem.QUANTISE, f"the quantiser made a {node.op_type} that the graph has not")
        weighted = any(each.input[0] in weights for each in read)
        found.append(Layer(node.output[0], node.op_type, weighted, costs.get(node.output[0], 0)))
    return found


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _add_weights(model: onnx.ModelProto, fp32: onnx.ModelProto, names: set[str]) -> None:
    there, source = constants(model.graph), constants(fp32.graph)
    for name in sorted(names - set(there)):
        if name in source:
            model.graph.initializer.append(source[name])


def _plain(name: str, own: onnx.ModelProto, fp32: onnx.ModelProto) -> str:
    """A name for the fp32 graph's constant where the quantiser keeps another value under the same name."""
    ours, theirs = constants(own.graph).get(name), constants(fp32.graph).get(name)
    same = (
        ours is None
        or theirs is None
        or numpy_helper.to_array(ours).tobytes() == numpy_helper.to_array(theirs).tobytes()
    )
    return name if same else f"{name}.fp32"


def _float_inputs(model: onnx.ModelProto, fp32: onnx.ModelProto) -> dict[str, list[str]]:
    """What each node reads in the fp32 graph, by the name of its output; changed constants are added to the model."""
    found: dict[str, list[str]] = {}
    source = constants(fp32.graph)
    for node in fp32.graph.node:
        found[node.output[0]] = [_plain(name, model, fp32) for name in node.input]
        for old, new in zip(node.input, found[node.output[0]], strict=True):
            if old != new and new not in constants(model.graph):
                model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(source[old]), new))
    return found


def with_float(quantised: onnx.ModelProto, fp32: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """A copy in which these layers read what they read in the fp32 graph: inputs, weights and bias."""
    model = _copy(quantised)
    inputs = _float_inputs(model, fp32)
    for node in model.graph.node:
        if node.output[0] in names:
            node.input[:] = inputs[node.output[0]]
            _add_weights(model, fp32, set(node.input))
    prune(model)
    return model


def switchboard(quantised: onnx.ModelProto, fp32: onnx.ModelProto, layers: list[Layer]) -> onnx.ModelProto:
    """A graph in which each layer can be quantised or not from run to run.

    A further input `switches`, bool [layers], says which are. So the damage of each layer is measured without making
    and loading a graph a layer.
    """
    model = _copy(quantised)
    inputs = _float_inputs(model, fp32)
    place = {name: index for index, layer in enumerate(layers) for name in layer.names}
    nodes: list[onnx.NodeProto] = []
    for node in list(model.graph.node):
        if (index := place.get(node.output[0])) is not None:
            _add_weights(model, fp32, set(inputs[node.output[0]]))
            nodes += _switched(model, node, inputs[node.output[0]], index)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.input.append(helper.make_tensor_value_info(SWITCHES, TensorProto.BOOL, [len(layers)]))
    return model


def _switched(model: onnx.ModelProto, node: onnx.NodeProto, plain: list[str], index: int) -> list[onnx.NodeProto]:
    """The nodes that choose between a layer's quantised and float inputs, and the layer made to read them."""
    flag = f"{SWITCHES}.{node.output[0]}"
    model.graph.initializer.append(numpy_helper.from_array(np.array(index, np.int64), f"{flag}.at"))
    made = [helper.make_node("Gather", [SWITCHES, f"{flag}.at"], [flag], axis=0)]
    for position, (quantised, original) in enumerate(zip(list(node.input), plain, strict=True)):
        if quantised != original:
            chosen = f"{flag}.{position}"
            made.append(helper.make_node("Where", [flag, quantised, original], [chosen]))
            node.input[position] = chosen
    return made


def signed(model: onnx.ModelProto) -> int:
    """Make every quantiser of unsigned values a signed one around zero, in place; gives how many it changed.

    TensorRT takes explicit quantisation as symmetric int8 only. Values that are never negative lose one bit by it.

    Raises:
        CalibrationError: a quantiser is not symmetric.
    """
    known, changed = constants(model.graph), 0
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        zero = numpy_helper.to_array(known[node.input[2]])
        if zero.any():
            raise CalibrationError(Problem.QUANTISE, f"{node.name} is not symmetric")
        if zero.dtype == np.uint8:
            scale = numpy_helper.to_array(known[node.input[1]])
            _add_once(model, known, f"{node.input[1]}.signed", scale * np.float32(255 / 127))
            _add_once(model, known, f"{node.input[2]}.signed", np.zeros(zero.shape, np.int8))
            node.input[1], node.input[2] = f"{node.input[1]}.signed", f"{node.input[2]}.signed"
            changed += node.op_type == "QuantizeLinear"
    del model.graph.value_info[:]  # it would still call them unsigned
    prune(model)
    return changed


def _add_once(model: onnx.ModelProto, known: dict[str, onnx.TensorProto], name: str, value: np.ndarray) -> None:
    if name not in known:
        known[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        model.graph.initializer.append(known[name])
