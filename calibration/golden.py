"""The golden pair of a bundle: drawn chests, what the fp32 graph gives for them, and how far others may be."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from calibration.running import ENGINES, session
from export.bounds import BOUNDS
from export.graphfile import GraphFile
from export.images import gather

__all__ = ["golden"]

IMAGES = 2
MARGIN = 2.0
"""Another processor may round INT8 and bfloat16 otherwise, by as much again as what was measured here."""
SLACK = 10.0
"""Of fp32's bound at export: it was kept on one kind of processor."""

Array = npt.NDArray[np.float32]


def golden(
    fp32: GraphFile, variants: Sequence[tuple[GraphFile, Sequence[str]]]
) -> tuple[dict[str, bytes], dict[str, dict[str, float]]]:
    """The files `golden_*.npy`, and the tolerance by precision and output.

    A variant may be off by twice what was measured over its engines, never by less than fp32.

    Args:
        fp32: the graph.
        variants: what else was judged to be run, each with the engines that passed.

    Raises:
        EngineError: an engine cannot run a graph.
    """
    image = gather(fp32.input_size[0], phantoms=IMAGES).batch
    wanted = _run(fp32, ENGINES[0], image)
    bounds = BOUNDS["fp32"].outputs
    tolerance = {"fp32": {name: SLACK * bounds.get(name, bounds["heatmaps"]) for name in fp32.outputs}}
    for variant, engines in variants:
        off = dict.fromkeys(fp32.outputs, 0.0)
        for engine in engines:
            given = _run(variant, engine, image)
            off = {name: max(off[name], float(np.abs(given[name] - wanted[name]).max())) for name in off}
        bounds_of = tolerance["fp32"]
        tolerance[variant.precision] = {name: max(_up(MARGIN * off[name]), bounds_of[name]) for name in off}
    files = {"golden_image.npy": _npy(image)} | {f"golden_{name}.npy": _npy(value) for name, value in wanted.items()}
    return files, tolerance


def _run(graph: GraphFile, engine: str, image: Array) -> dict[str, Array]:
    """With one thread: the order of additions, and so the bytes, are then the same every time."""
    with session(graph, engine, image[:1], threads=1) as found:
        return found.session.run(image)


def _up(value: float) -> float:
    """Rounded up to two digits."""
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / step) * step:.6g}")


def _npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array, np.float32), allow_pickle=False)
    return file.getvalue()
