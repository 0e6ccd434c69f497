"""What a graph costs: multiply-adds, weights, operators, read off the file."""

from __future__ import annotations

from collections import Counter
from math import prod

import onnx

from export.errors import ExportError, Problem

__all__ = ["by_output", "multiply_adds", "operators", "weights"]


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """Operators by count, the most frequent first; of another domain than ONNX's with its name."""
    found = Counter(f"{node.domain}:{node.op_type}".lstrip(":") for node in model.graph.node)
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def weights(model: onnx.ModelProto) -> dict[str, int]:
    """How many numbers the file holds as constants, by type."""
    found: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        found[onnx.TensorProto.DataType.Name(tensor.data_type).lower()] += prod(tensor.dims)
    return dict(found)


def multiply_adds(model: onnx.ModelProto) -> int:
    """Of convolutions and matrix products on one image, one multiplication with its addition counted once.

    Raises:
        ExportError: a shape does not follow from the graph.
    """
    return sum(by_output(model).values())


def by_output(model: onnx.ModelProto) -> dict[str, int]:
    """The same a node, by the name of its first output.

    Raises:
        ExportError: a shape does not follow from the graph.
    """
    single = onnx.ModelProto()
    single.CopyFrom(model)
    for value in single.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    for value in single.graph.output:
        value.type.tensor_type.shape.dim[0].Clear()
    try:
        inferred = onnx.shape_inference.infer_shapes(single, strict_mode=True, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        said = " ".join(str(error).split())[:200]
        raise ExportError(Problem.GRAPH, f"the cost cannot be counted, shapes do not follow: {said}") from error
    shapes = {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        shapes[value.name] = tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
    return {node.output[0]: _cost(node, shapes) for node in inferred.node}


def _cost(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return 0
    first, second, out = (shapes.get(name, ()) for name in (node.input[0], node.input[1], node.output[0]))
    if not (first and second and out and all(first) and all(second) and all(out)):
        raise ExportError(Problem.GRAPH, f"the shapes of {node.name} do not follow from the graph")
    if node.op_type == "Conv":  # each cell of the output, times the inputs that it reads
        return prod(out) * prod(second[1:])
    if node.op_type == "ConvTranspose":  # each cell of the input, times the outputs that it reaches
        return prod(first) * prod(second[1:])
    if node.op_type == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return prod(out) * first[0 if transposed else 1]
    return prod(out) * first[-1]
