"""The embedded bundle's graphs as files, and how engines run them by their own API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["embedded_graphs", "openvino_hint", "runs_here"]


def embedded_graphs(folder: Path, wanted: Sequence[str] | None = None) -> tuple[dict[str, Path], int]:
    """Precision -> ONNX file, of those wanted or of all; and the side of the image that they take."""
    from cxredge.bundle import open_bundle
    from cxredge.engines.base import graph_precision
    from cxredge.pipeline import EMBEDDED

    with open_bundle(EMBEDDED) as bundle:
        graphs = {name: folder / f"{graph_precision(name)}.onnx" for name in wanted or bundle.precisions}
        for precision, path in graphs.items():
            path.write_bytes(bundle.graph(graph_precision(precision)).read())
        return graphs, bundle.manifest.input.rows


def runs_here(engine: str, precision: str) -> bool:
    """Whether the engine computes it on this processor."""
    from cxredge.engines import catalog

    return precision in catalog.require(engine).precisions("cpu")


def openvino_hint(precision: str) -> str:
    """What OpenVINO is told: by itself it may take bfloat16."""
    return "bf16" if precision == "bf16" else "f32"
