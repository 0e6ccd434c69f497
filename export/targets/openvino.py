"""OpenVINO's IR: model.xml and model.bin, for OpenVINO on any of its devices.

Weights are compressed to float16 unless told otherwise: half the size, and each weight right to 11 bits. The type
that is computed in is chosen when the IR is loaded, not here; it is loaded once, to see that it can be.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from cxredge.engines import openvino as engine
from cxredge.engines.base import Job, RawSession
from export.targets.common import limit_memory, options_beside, reasons

__all__ = ["compile", "open"]

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}


def compile(graph: bytes, job: Job, artefact: Path) -> None:  # noqa: A001, ARG001 - the engines' common names
    """Convert and save."""
    options = options_beside(artefact)
    openvino = _module()
    limit_memory(options.memory)
    with reasons(engine.NAME):
        model = openvino.Core().read_model(graph)
        openvino.save_model(model, str(artefact), compress_to_fp16=not options.full_weights)


def open(artefact: Path, job: Job) -> RawSession:  # noqa: A001 - the engines' common name
    """Load the IR on the device."""
    with reasons(engine.NAME):
        core = _module().Core()
        settings = {"INFERENCE_PRECISION_HINT": _HINTS[job.precision], "PERFORMANCE_HINT": "LATENCY"}
        compiled = core.compile_model(core.read_model(str(artefact)), job.device.upper(), settings)
        return engine.OpenVinoSession(compiled, job)


def _module() -> Any:
    # This process exists for one compilation. OpenVINO takes a stub for a telemetry package that cannot be imported.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
