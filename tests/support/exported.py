"""Narrow random networks and their graphs, made once a test run: tracing takes seconds each."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnx

from export.graph import Graph, build_graph, trace
from export.images import Images, gather
from export.inner import inner_of
from export.parity import Plan
from export.subject import Subject, random_subject
from export.thresholds import thresholds_of
from tests.support.narrow import NARROW


class Shelf:
    """What is made is kept: a subject, its trace and its graphs by method and precision."""

    def __init__(self) -> None:
        self.subject = cache(self._subject)
        self.graph = cache(self._graph)
        self._trace = cache(self._traced)

    def _subject(self, name: str) -> Subject:
        return random_subject(name, NARROW)

    def _traced(self, name: str) -> onnx.ModelProto:
        method = self.subject(name).method
        return trace(method, inner_of(method))

    def _graph(self, name: str, precision: str = "fp32") -> Graph:
        return build_graph(self.subject(name), precision, self._trace(name))

    def file(self, name: str, folder: Path, precision: str = "fp32") -> Path:
        """The graph as a file."""
        path = folder / f"{name}-{precision}.onnx"
        path.write_bytes(self.graph(name, precision).data)
        return path


def plan(images: Images | None = None, **changes: object) -> Plan:
    """Eight drawn chests: a batch of seven is followed by a smaller one."""
    return Plan(images or gather(NARROW["field"], phantoms=8), thresholds_of(None, None), **changes)  # type: ignore[arg-type]
