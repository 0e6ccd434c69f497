"""An INT8 variant as a file: types checked, metadata that say how it was made, the same face as its fp32 graph."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from calibration.errors import CalibrationError, Problem
from calibration.quantise import finish
from cxredge.bundle.onnx_guard import check_graph
from cxredge.errors import CxredgeError
from export import metadata
from export.graphfile import GraphFile

__all__ = ["variant"]


def variant(model: onnx.ModelProto, fp32: GraphFile, path: Path, facts: dict[str, Any]) -> GraphFile:
    """The graph as it would be written at `path`; nothing is written.

    Args:
        model: with Q/DQ pairs.
        fp32: the graph that it was made of.
        path: where it will be.
        facts: how it was made, for its metadata.

    Raises:
        CalibrationError: it is not valid ONNX, or the runtime would refuse it.
    """
    made = finish(model)
    _same_face(made, fp32.model)
    told = fp32.metadata | {"precision": "int8", "fp32_sha256": fp32.sha256, "quantiser": f"nncf {version('nncf')}"}
    metadata.write(made, told | facts)
    data = bytes(made.SerializeToString(deterministic=True))
    try:
        onnx.checker.check_model(made, full_check=True)
        check_graph(data, path.name, fp32.input_size, fp32.outputs)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise CalibrationError(Problem.QUANTISE, f"the INT8 graph is not valid ONNX: {str(error)[:300]}") from error
    except CxredgeError as error:
        raise CalibrationError(Problem.QUANTISE, f"the runtime would refuse the INT8 graph: {error.detail}") from error
    return GraphFile(path, data, made, fp32.input_size, fp32.outputs, "int8", metadata.read(made))


def _same_face(made: onnx.ModelProto, fp32: onnx.ModelProto) -> None:
    """Inputs and outputs as they were: the quantiser may rewrite their shapes."""
    for ours, theirs in ((made.graph.input, fp32.graph.input), (made.graph.output, fp32.graph.output)):
        del ours[:]
        ours.extend(theirs)
    made.producer_name, made.producer_version = "cxredge", version("cxredge")
    made.graph.name = fp32.graph.name
