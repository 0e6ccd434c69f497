"""Looks through an ONNX file before any engine gets it.

Refused: data kept outside the file, wherever ONNX allows a tensor (initializers, sparse initializers, attributes,
subgraphs, functions, training information); operators from outside the standard set, which would need code from
elsewhere; and a face (inputs and outputs) other than the one the manifest promises.
Field numbers are those of onnx.proto3 (IR version 13), which never change once given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cxredge.bundle.protobuf import WireError, fields, integer, message, text
from cxredge.errors import BundleError, Code

__all__ = ["check_graph"]

_FLOAT = 1  # TensorProto.DataType
_EXTERNAL = 1  # TensorProto.DataLocation
_MAX_DEPTH = 32
_STANDARD = {"", "ai.onnx"}


@dataclass
class _Value:
    """A ValueInfoProto: its element type, and each axis as a number or None where it is symbolic."""

    name: str = ""
    element: int = 0
    axes: list[int | None] | None = None


@dataclass
class _Facts:
    """What was found on the way through a model."""

    inputs: list[_Value] = field(default_factory=list)
    outputs: list[_Value] = field(default_factory=list)
    initializers: set[str] = field(default_factory=set)
    domains: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    graphs: int = 0


def check_graph(data: bytes, name: str, input_size: tuple[int, int], outputs: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a graph file that reaches outside itself or does not have the promised face.

    Args:
        data: the file.
        name: its name, for the message.
        input_size: rows and columns of `image`.
        outputs: each output's shape without the batch axis.

    Raises:
        BundleError: BUNDLE_EXTERNAL_DATA, or BUNDLE_INVALID for anything else.
    """
    facts = _Facts()
    try:
        _model(memoryview(data), facts)
    except WireError as error:
        raise BundleError(Code.BUNDLE_INVALID, f"{name} is not an ONNX file: {error}") from None
    except _ExternalDataError as error:
        raise BundleError(Code.BUNDLE_EXTERNAL_DATA, f"{name}: {error}") from None
    for problem in _problems(facts, input_size, outputs):
        raise BundleError(Code.BUNDLE_INVALID, f"{name}: {problem}")


class _ExternalDataError(Exception):
    pass


def _problems(facts: _Facts, size: tuple[int, int], outputs: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    if facts.graphs != 1:
        yield f"it holds {facts.graphs} graphs, not one"
    foreign = facts.domains - _STANDARD - facts.functions
    if foreign:
        yield f"it uses operators of {', '.join(sorted(repr(domain) for domain in foreign))}"
    inputs = [value for value in facts.inputs if value.name not in facts.initializers]
    if [value.name for value in inputs] != ["image"]:
        yield "its input is not `image` alone"
    for value in inputs:
        yield from _value_problems(value, (1, *size))
    if sorted(value.name for value in facts.outputs) != sorted(outputs):
        yield f"its outputs are not {', '.join(sorted(outputs))}"
    for value in facts.outputs:
        yield from _value_problems(value, outputs[value.name], may_be_unknown=True)


def _value_problems(value: _Value, shape: tuple[int, ...], *, may_be_unknown: bool = False) -> Iterator[str]:
    if value.element != _FLOAT:
        yield f"`{value.name}` is not float32"
    if value.axes is None:
        if not may_be_unknown:
            yield f"`{value.name}` has no shape"
        return
    if len(value.axes) != len(shape) + 1:
        yield f"`{value.name}` has {len(value.axes)} axes"
        return
    if value.axes[0] is not None:
        yield f"the batch axis of `{value.name}` is fixed"
    for axis, wanted in zip(value.axes[1:], shape, strict=True):
        if axis != wanted and not (axis is None and may_be_unknown):
            yield f"`{value.name}` has a shape other than the manifest's"


def _model(data: memoryview, facts: _Facts) -> None:
    for number, value in fields(data):
        if number == 7:  # graph
            facts.graphs += 1
            _graph(message(value), facts, 0)
        elif number == 20:  # training_info: initialization, algorithm
            for inner, graph in fields(message(value)):
                if inner in (1, 2):
                    _graph(message(graph), facts, 1)
        elif number == 25:  # functions
            _function(message(value), facts)


def _graph(data: memoryview, facts: _Facts, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise WireError("its subgraphs are nested too deep")
    for number, value in fields(data):
        if number == 1:
            _node(message(value), facts, depth)
        elif number == 5:
            name = _tensor(message(value))
            if depth == 0:
                facts.initializers.add(name)
        elif number == 15:
            _sparse(message(value))
        elif number == 11 and depth == 0:
            facts.inputs.append(_value_info(message(value)))
        elif number == 12 and depth == 0:
            facts.outputs.append(_value_info(message(value)))


def _function(data: memoryview, facts: _Facts) -> None:
    for number, value in fields(data):
        if number == 7:
            _node(message(value), facts, 1)
        elif number == 11:  # attribute_proto: defaults
            _attribute(message(value), facts, 1)
        elif number == 10:
            facts.functions.add(text(value))


def _node(data: memoryview, facts: _Facts, depth: int) -> None:
    for number, value in fields(data):
        if number == 5:
            _attribute(message(value), facts, depth)
        elif number == 7:
            facts.domains.add(text(value))


def _attribute(data: memoryview, facts: _Facts, depth: int) -> None:
    for number, value in fields(data):
        if number in (5, 10):  # t, tensors
            _tensor(message(value))
        elif number in (22, 23):  # sparse_tensor, sparse_tensors
            _sparse(message(value))
        elif number in (6, 11):  # g, graphs
            _graph(message(value), facts, depth + 1)


def _sparse(data: memoryview) -> None:
    for number, value in fields(data):
        if number in (1, 2):  # values, indices
            _tensor(message(value))


def _tensor(data: memoryview) -> str:
    name, outside = "", False
    for number, value in fields(data):
        if number == 8:
            name = text(value)
        elif number == 13 or (number == 14 and integer(value) == _EXTERNAL):
            outside = True
    if outside:
        raise _ExternalDataError(f"the tensor {name[:60]!r}")
    return name


def _value_info(data: memoryview) -> _Value:
    found = _Value()
    for number, value in fields(data):
        if number == 1:
            found.name = text(value)
        elif number == 2:  # type
            for kind, inner in fields(message(value)):
                if kind == 1:  # tensor_type
                    _tensor_type(message(inner), found)
    return found


def _tensor_type(data: memoryview, found: _Value) -> None:
    for number, value in fields(data):
        if number == 1:
            found.element = integer(value)
        elif number == 2:
            found.axes = [_axis(message(axis)) for inner, axis in fields(message(value)) if inner == 1]


def _axis(data: memoryview) -> int | None:
    for number, value in fields(data):
        if number == 1:
            return integer(value)
    return None
