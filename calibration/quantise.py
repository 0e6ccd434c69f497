"""From a float32 graph to one with explicit Q/DQ pairs, by NNCF's ONNX backend.

Weights: int8 a channel, symmetric. Activations: int8 a tensor, symmetric. Weights take half of their range, -64 to 63:
on processors with AVX2 or AVX-512 but without VNNI, engines add pairs of products in 16 bits, which full-range weights
overflow. A bundle is run on processors that nobody has seen, so this is the default.
"""

from __future__ import annotations

import importlib
import io
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
import onnx

from calibration.errors import CalibrationError, Problem
from calibration.layers import signed
from calibration.planes import Planes
from export.tidy import strip

__all__ = ["exposures", "finish", "quantise"]


def quantise(
    fp32: onnx.ModelProto, planes: Planes, chosen: Sequence[int], *, full_range: bool = False, unsigned: bool = False
) -> onnx.ModelProto:
    """Quantise everything that NNCF can.

    Args:
        fp32: the graph.
        planes: images.
        chosen: those that calibrate.
        full_range: of weights; see above.
        unsigned: leave values that are never negative unsigned: one bit more for them, and no TensorRT.

    Raises:
        CalibrationError: NNCF cannot, with its reason.
    """
    nncf = _nncf()
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    fix = OverflowFix.DISABLE if full_range else OverflowFix.ENABLE
    model = onnx.ModelProto()
    model.CopyFrom(fp32)
    with _quiet():
        try:
            made = nncf.quantize(
                model,
                nncf.Dataset([int(index) for index in chosen], lambda index: {"image": planes.batch(index)}),
                preset=nncf.QuantizationPreset.PERFORMANCE,
                subset_size=len(chosen),
                # With few images the other, faster estimate of the bias is as good; batch norms are folded already.
                fast_bias_correction=True,
                advanced_parameters=AdvancedQuantizationParameters(overflow_fix=fix),
            )
        except Exception as error:  # nncf raises types of its own, of onnx, and of onnxruntime
            first = " ".join(str(error).split())[:300]
            raise CalibrationError(
                Problem.QUANTISE, f"NNCF cannot quantise it: {type(error).__name__}: {first}"
            ) from error
    if not unsigned:
        signed(made)
    return made


def finish(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without the names that the quantiser gave."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    strip(copy)
    return copy


def _nncf() -> Any:
    """The package, imported without `openvino_telemetry`, through which it would report its use to its makers.

    Its own code takes a stub in place of a telemetry package that cannot be imported.
    """
    if "nncf" in sys.modules or "openvino_telemetry" in sys.modules:
        return importlib.import_module("nncf")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # "cannot be imported"
    try:
        return importlib.import_module("nncf")
    finally:
        del sys.modules["openvino_telemetry"]


@contextmanager
def _quiet() -> Iterator[None]:
    """NNCF tells on standard output how far it is, and on standard error which of its packages are missing."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def exposures(planes: Planes) -> Any:
    """Each image's mean grey."""
    return np.array([float(planes.planes[index].mean()) for index in range(len(planes))])
