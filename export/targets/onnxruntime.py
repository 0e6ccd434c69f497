"""ONNX Runtime's optimised model: fused operators and layouts made for this processor; not for another one."""

from __future__ import annotations

from pathlib import Path

from cxredge.engines import onnxruntime as engine
from cxredge.engines.base import Job, RawSession
from export.targets.common import limit_memory, options_beside, reasons

__all__ = ["compile", "open"]


def compile(graph: bytes, job: Job, artefact: Path) -> None:  # noqa: A001 - the engines' common name
    """Optimise as the runtime does."""
    engine.devices()  # imports the package, before memory is limited
    limit_memory(options_beside(artefact).memory)
    with reasons(engine.NAME):
        engine.compile(graph, job, artefact)


def open(artefact: Path, job: Job) -> RawSession:  # noqa: A001 - the engines' common name
    """Load it as it is."""
    with reasons(engine.NAME):
        return engine.open(artefact, job)
