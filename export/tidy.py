"""Rewrites of a traced graph that change no answer: what is dead goes, what can be folded is folded.

The exporter itself folds constants and each batch norm that follows a convolution. A DenseNet's other batch norms
stand before a ReLU and behind a concatenation; no convolution can take those in, so they stay.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

__all__ = ["constants", "consumers", "drop_outputs", "fold_division", "fold_views", "prune", "replace_input", "strip"]


def constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The graph's weights by name."""
    return {tensor.name: tensor for tensor in graph.initializer}


def consumers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that read each value."""
    found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            found[name].append(node)
    return found


def replace_input(node: onnx.NodeProto, old: str, new: str) -> None:
    """Let a node read another value."""
    for index, name in enumerate(node.input):
        if name == old:
            node.input[index] = new


def strip(model: onnx.ModelProto) -> None:
    """Take out what tells of the machine that exported (paths, stack traces), and name nodes by their place."""
    graph = model.graph
    del graph.value_info[:]
    del graph.metadata_props[:]
    graph.doc_string = model.doc_string = ""
    for index, node in enumerate(graph.node):
        node.name, node.doc_string = f"{node.op_type}_{index}", ""
        del node.metadata_props[:]
    for value in (*graph.input, *graph.output):
        value.doc_string = ""
        del value.metadata_props[:]
    for tensor in graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]


def fold_division(model: onnx.ModelProto) -> int:
    """Where a value is divided by a constant a channel and then only convolved, divide the weights instead.

    Exact but for rounding, because a padded border is zero before and after. The mean that is subtracted before
    stays: a padded zero is zero after the subtraction, so it cannot move into the convolution's bias.

    Returns:
        How many divisions went.
    """
    graph = model.graph
    known, readers = constants(graph), consumers(graph)
    outputs = {value.name for value in graph.output}
    done = [node for node in graph.node if _foldable(node, known, readers, outputs)]
    for node in done:
        divisor = numpy_helper.to_array(known[node.input[1]]).reshape(1, -1, 1, 1)
        for reader in readers[node.output[0]]:
            weight = numpy_helper.to_array(known[reader.input[1]])
            folded = (weight.astype(np.float64) / divisor).astype(weight.dtype)
            known[reader.input[1]].CopyFrom(numpy_helper.from_array(folded, reader.input[1]))
            replace_input(reader, node.output[0], node.input[0])
        graph.node.remove(node)
    return len(done)


_VIEWS = ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


def fold_views(model: onnx.ModelProto) -> int:
    """Weights that are read in another shape are stored in that shape.

    The exporter folds small ones only, and NNCF takes no convolution whose weight comes out of a node.

    Returns:
        How many nodes went.
    """
    graph = model.graph
    known, outputs = constants(graph), {value.name for value in graph.output}
    done = []
    for node in graph.node:
        if node.op_type in _VIEWS and all(name in known for name in node.input) and node.output[0] not in outputs:
            values = {name: numpy_helper.to_array(known[name]) for name in node.input}
            (viewed,) = ReferenceEvaluator(node).run(None, values)
            graph.initializer.append(numpy_helper.from_array(viewed, node.output[0]))
            known[node.output[0]] = graph.initializer[-1]
            done.append(node)
    for node in done:
        graph.node.remove(node)
    return len(done)


def _foldable(
    node: onnx.NodeProto,
    known: dict[str, onnx.TensorProto],
    readers: dict[str, list[onnx.NodeProto]],
    outputs: set[str],
) -> bool:
    if node.op_type != "Div" or node.input[1] not in known or node.output[0] in outputs:
        return False
    following = readers[node.output[0]]
    by_channel = int(np.prod(known[node.input[1]].dims)) == max([1, *known[node.input[1]].dims[1:2]])
    return by_channel and all(
        reader.op_type == "Conv"
        and reader.input[0] == node.output[0]
        and reader.input[1] in known
        and len(readers[reader.input[1]]) == 1
        and _group(reader) == 1
        for reader in following
    )


def _group(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def drop_outputs(model: onnx.ModelProto, names: set[str]) -> onnx.ModelProto:
    """A copy without these outputs and without what only they needed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = [value for value in copy.graph.output if value.name not in names]
    del copy.graph.output[:]
    copy.graph.output.extend(kept)
    prune(copy)
    return copy


def prune(model: onnx.ModelProto) -> None:
    """Take out nodes and weights that reach no output."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(name for name in node.input if name)
    nodes, weights = kept[::-1], [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.initializer[:]
    graph.initializer.extend(weights)
