"""The embedded bundle's graphs as files, for engines that are run by their own API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["embedded_graphs"]


def embedded_graphs(folder: Path, wanted: Sequence[str] | None = None) -> tuple[dict[str, Path], int]:
    """Precision -> ONNX file, of those wanted or of all; and the side of the image that they take."""
    from cxredge.bundle import open_bundle
    from cxredge.pipeline import EMBEDDED

    with open_bundle(EMBEDDED) as bundle:
        graphs = {name: folder / f"{name}.onnx" for name in wanted or sorted(bundle.manifest.graphs)}
        for precision, path in graphs.items():
            path.write_bytes(bundle.graph(precision).read())
        return graphs, bundle.manifest.input.rows
