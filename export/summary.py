"""A graph's summary as plain data."""

from __future__ import annotations

from typing import Any

from export.cost import multiply_adds, operators, weights
from export.graphfile import GraphFile

__all__ = ["summary"]


def summary(graph: GraphFile) -> dict[str, Any]:
    """Everything that `python -m export show` tells.

    Raises:
        ExportError: shapes do not follow from the graph, so its cost cannot be counted.
    """
    return {
        "file": graph.path.name,
        "bytes": len(graph.data),
        "sha256": graph.sha256,
        "precision": graph.precision,
        "opset": next((entry.version for entry in graph.model.opset_import if entry.domain in ("", "ai.onnx")), None),
        "input": list(graph.input_size),
        "outputs": {name: list(shape) for name, shape in graph.outputs.items()},
        "gmacs": round(multiply_adds(graph.model) / 1e9, 4),
        "weights": weights(graph.model),
        "operators": operators(graph.model),
        "metadata": graph.metadata,
    }
