"""A graph file, looked at before anything is done with it: the face that every method has, and its own words."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from export import metadata
from export.errors import ExportError, Problem

__all__ = ["GraphFile", "open_graph"]

NEEDED = ("logits", "masks", "heatmaps")


@dataclass(frozen=True)
class GraphFile:
    """An ONNX file with the face of DESIGN's contract.

    Attributes:
        path: where it is.
        data: its bytes.
        model: the same, parsed.
        input_size: rows and columns of `image`.
        outputs: each output's shape without the batch axis.
        precision: fp32, fp16, or int8 where it holds Q/DQ pairs.
        metadata: what it says of itself; {} for a graph of another maker.
    """

    path: Path
    data: bytes
    model: onnx.ModelProto
    input_size: tuple[int, int]
    outputs: dict[str, tuple[int, ...]]
    precision: str
    metadata: dict[str, Any]

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.data).hexdigest()


def open_graph(path: Path) -> GraphFile:
    """Read and check a graph file.

    Raises:
        ExportError: there is no such file, it is not ONNX, not valid, has another face, or metadata of a newer schema.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ExportError(Problem.GRAPH, f"{path} cannot be read: {error.strerror}") from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise ExportError(Problem.GRAPH, f"{path} is not an ONNX file") from None
    if not model.graph.node:
        raise ExportError(Problem.GRAPH, f"{path} is not an ONNX file, or holds an empty graph")
    if any(tensor.external_data for tensor in model.graph.initializer):
        raise ExportError(Problem.GRAPH, f"{path} keeps weights in another file: export it as one file")
    size, outputs = _face(path, model)
    told = metadata.read(model)
    if told.get("schema", metadata.SCHEMA) != metadata.SCHEMA:
        detail = f"{path} says that it is of schema {told['schema']!r}, not {metadata.SCHEMA!r}"
        raise ExportError(Problem.GRAPH, f"{detail}: if that is a newer one, update cxredge")
    return GraphFile(path, data, model, size, outputs, _precision(model), told)


def _face(path: Path, model: onnx.ModelProto) -> tuple[tuple[int, int], dict[str, tuple[int, ...]]]:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    shapes = {value.name: _sizes(value) for value in (*inputs, *model.graph.output)}
    image = shapes.get("image", ())
    if [value.name for value in inputs] != ["image"] or len(image) != 3 or image[0] != 1 or not all(image):
        raise ExportError(Problem.GRAPH, f"{path}: its input is not `image` [N, 1, rows, columns] alone")
    outputs = {value.name: shapes[value.name] for value in model.graph.output}
    missing = [name for name in NEEDED if name not in outputs or not all(outputs[name])]
    if missing:
        raise ExportError(Problem.GRAPH, f"{path} has no output {', '.join(missing)} of a fixed shape")
    return (image[1], image[2]), outputs


def _sizes(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)[1:]


def _precision(model: onnx.ModelProto) -> str:
    kinds = {node.op_type for node in model.graph.node}
    if "QuantizeLinear" in kinds or "DequantizeLinear" in kinds:
        return "int8"
    halves = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return "fp16" if halves else "fp32"
