"""One static ONNX graph of a method: `image` [N, 1, H, W] in, the outputs of `training.methods.base.Output` out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import onnx
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import cxredge
from cxredge.bundle.onnx_guard import check_graph
from cxredge.errors import CxredgeError
from export import metadata
from export.errors import ExportError, Problem
from export.half import to_half, unfold_norms
from export.inner import Inner, inner_of, watched
from export.memory import out_of_memory
from export.subject import Subject
from export.tidy import drop_outputs, fold_division, fold_views, prune, strip
from training.methods.base import Method

__all__ = ["OPSET", "PRECISIONS", "Graph", "build_graph", "finish", "quiet", "trace"]

OPSET = 18
"""GridSample, reductions with axes as inputs, antialias-free Resize: all that is needed, and in every engine."""
PRECISIONS = ("fp32", "fp16")
LIMIT = 2**31 - 1  # protobuf's; weights beyond it would have to lie in a second file


@dataclass(frozen=True)
class Graph:
    """A graph that has been checked as a file, but not yet for what it answers.

    Attributes:
        data: the ONNX file.
        probe: the same with the values of inner decisions as further outputs; None where a method has none.
        precision: fp32 or fp16.
        outputs: each output's shape without the batch axis.
        probes: the same of what `probe` has beside.
        watched: of a float16 graph: the float32 one, and those of its values that are float16 here.
        metadata: what the file says of itself.
    """

    data: bytes
    probe: bytes | None
    precision: str
    outputs: dict[str, tuple[int, ...]]
    probes: dict[str, tuple[int, ...]]
    metadata: dict[str, Any]
    watched: tuple[bytes, tuple[str, ...]] | None = None

    @property
    def input_size(self) -> tuple[int, int]:
        """Rows and columns of `image`."""
        return self.metadata["input"]["rows"], self.metadata["input"]["columns"]


class _Face(nn.Module):
    """The method with its outputs as a plain tuple; outputs that it does not have are left out."""

    def __init__(self, method: Method[Any], seen: list[Tensor]) -> None:
        super().__init__()
        self.method, self.seen = method, seen

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        given = tuple(value for value in self.method(image) if value is not None)
        return (*given, *self.seen)


def output_names(method: Method[Any], image: Tensor) -> tuple[str, ...]:
    """The outputs that a method has, in the order of the graph; an optional one may be None. Shapes only are run."""
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        return tuple(name for name, value in method(image)._asdict().items() if value is not None)


def trace(method: Method[Any], inner: Inner | None) -> onnx.ModelProto:
    """The method as torch's exporter gives it, with the probes of its inner decisions as last outputs.

    Raises:
        ExportError: the exporter cannot; with its reason.
        MemoryError: there was not enough.
    """
    side = method.options.field
    image = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(0))
    names = [*output_names(method, image), *(inner.probes if inner else ())]
    with quiet(), watched(method, inner) as seen:
        try:
            program = torch.onnx.export(
                _Face(method, seen).eval(),
                (image,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("N")},),
                input_names=["image"],
                output_names=names,
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as error:  # torch wraps whatever went wrong in types of its own
            if isinstance(error, MemoryError) or out_of_memory(str(error)):
                raise MemoryError from error
            first = str(error).strip().splitlines()[:1]
            detail = f"{method.name} cannot be exported: {type(error).__name__}: {' '.join(first)[:300]}"
            raise ExportError(Problem.EXPORT, detail) from error
    return cast("torch.onnx.ONNXProgram", program).model_proto


@contextmanager
def quiet() -> Iterator[None]:
    """The exporter's remarks on packages that are not installed, and on itself, are not for its user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def build_graph(subject: Subject, precision: str = "fp32", traced: onnx.ModelProto | None = None) -> Graph:
    """Trace, fold, type and check.

    Args:
        subject: the network.
        precision: one of `PRECISIONS`.
        traced: what `trace` gave for it, to make graphs of several precisions from one trace; it is left as it is.

    Raises:
        ExportError: the network cannot be traced, or what came out breaks the contract.
    """
    inner = inner_of(subject.method)
    model = onnx.ModelProto()
    model.CopyFrom(traced or trace(subject.method, inner))
    fold_division(model)
    fold_views(model)
    prune(model)
    watched_values = None
    if precision == "fp16":
        whole = onnx.ModelProto()
        whole.CopyFrom(model)
        unfold_norms(whole)
        watched_values = bytes(whole.SerializeToString()), to_half(model)
    strip(model)
    graph = finish(model, subject, precision, inner.probes if inner else ())
    return replace(graph, watched=watched_values)


def finish(model: onnx.ModelProto, subject: Subject, precision: str, probes: tuple[str, ...]) -> Graph:
    """Metadata, the checks, and the file's bytes.

    Raises:
        ExportError: what came out breaks the contract.
    """
    model.producer_name, model.producer_version = "cxredge", cxredge.__version__
    model.graph.name = subject.method.name
    facts = metadata.describe(subject, model, precision)
    metadata.write(model, facts)
    shapes = {value.name: _shape(value) for value in model.graph.output}
    outputs = {name: shape for name, shape in shapes.items() if name not in probes}
    side = subject.method.options.field
    shipped = drop_outputs(model, set(probes))
    data = checked(shipped, (side, side), outputs)
    beside = {name: shapes[name] for name in probes}
    probe = model.SerializeToString(deterministic=True) if probes else None
    return Graph(data, probe, precision, outputs, beside, facts)


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)[1:]


def checked(model: onnx.ModelProto, size: tuple[int, int], outputs: dict[str, tuple[int, ...]]) -> bytes:
    """The model's bytes, after ONNX's checker, strict shape inference, and the runtime's own guard.

    Raises:
        ExportError: what they say.
    """
    if model.ByteSize() > LIMIT:
        raise ExportError(Problem.GRAPH, f"{model.ByteSize() / 2**30:.1f} GiB: a graph must be under 2 GiB")
    data = bytes(model.SerializeToString(deterministic=True))
    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        check_graph(data, model.graph.name, size, outputs)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(Problem.GRAPH, f"the exported graph is not valid ONNX: {str(error)[:300]}") from error
    except CxredgeError as error:
        raise ExportError(Problem.GRAPH, f"the runtime would refuse the graph: {error.detail}") from error
    return data
