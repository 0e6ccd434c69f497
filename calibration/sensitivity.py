"""What each layer costs when it alone is quantised: measured, so that no list of names decides what stays float."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from calibration.layers import SWITCHES, Layer, switchboard
from calibration.planes import Planes
from cxredge.engines.onnxruntime import library

__all__ = ["IMAGES", "LEAST_DB", "OUTPUTS", "Damage", "measure", "ranked"]

OUTPUTS = ("logits", "masks", "heatmaps", "gate")
"""Those of them that the graph has are measured."""
IMAGES = 16
"""As many images as the noise is measured on; its size hardly differs from image to image."""
LEAST_DB = 20.0
"""A layer below this stays float from the start: alone it adds noise of a hundredth of the output's own variance."""
_MOST_DB = 120.0


@dataclass(frozen=True, slots=True)
class Damage:
    """One layer quantised alone.

    Attributes:
        layer: which.
        decibels: signal to quantisation noise of each output, at most 120; the signal is how far the output of
            images differs from their mean.
    """

    layer: Layer
    decibels: dict[str, float]

    @property
    def worst(self) -> float:
        """Of the outputs."""
        return min(self.decibels.values())


def measure(
    quantised: onnx.ModelProto,
    fp32: onnx.ModelProto,
    layers: Sequence[Layer],
    planes: Planes,
    chosen: Sequence[int],
    step: Callable[[], None] = lambda: None,
) -> list[Damage]:
    """The damage of every layer, in their order.

    ONNX Runtime computes in float between Q/DQ pairs, so what is measured is the rounding and no engine's arithmetic.
    """
    there = {value.name for value in fp32.graph.output}
    names = [name for name in OUTPUTS if name in there]
    run = _runner(switchboard(quantised, fp32, list(layers)), names)
    images = [planes.batch(index) for index in chosen]
    off = np.zeros(len(layers), bool)
    wanted = _together(names, [run(image, off) for image in images])
    found = []
    for index, layer in enumerate(layers):
        on = off.copy()
        on[index] = True
        given = _together(names, [run(image, on) for image in images])
        found.append(Damage(layer, {name: _decibels(wanted[name], given[name]) for name in names}))
        step()
    return found


def ranked(damages: Sequence[Damage], outputs: Collection[str] = OUTPUTS) -> list[Damage]:
    """The most harmful to these outputs first; before them, those below `LEAST_DB` in any."""

    def harm(damage: Damage) -> tuple[bool, float]:
        concerned = [value for name, value in damage.decibels.items() if name in outputs]
        return damage.worst >= LEAST_DB, min(concerned, default=damage.worst)

    return sorted(damages, key=harm)


def _runner(
    model: onnx.ModelProto, names: list[str]
) -> Callable[[npt.NDArray[np.float32], npt.NDArray[np.bool_]], list[Any]]:
    onnxruntime = library()

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda image, switches: session.run(names, {"image": image, SWITCHES: switches})


def _together(names: list[str], answers: list[list[Any]]) -> dict[str, npt.NDArray[np.float64]]:
    return {name: np.concatenate([answer[k] for answer in answers]).astype(np.float64) for k, name in enumerate(names)}


def _decibels(wanted: npt.NDArray[np.float64], given: npt.NDArray[np.float64]) -> float:
    noise = float(((given - wanted) ** 2).mean())
    signal = float(wanted.var(axis=0).mean())
    if noise == 0:
        return _MOST_DB
    return max(-_MOST_DB, min(_MOST_DB, 10 * math.log10(signal / noise))) if signal > 0 else -_MOST_DB
