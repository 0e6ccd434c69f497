"""ONNX Runtime: the engine that runs everywhere, on the processor or, with onnxruntime-gpu, on CUDA.

What is cached is the graph after all of its optimisations; it is loaded again with optimisation off.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cxredge.engines import forks
from cxredge.engines.base import Array, Availability, EngineInfo, Job, Outputs
from cxredge.engines.machine import at_least, cpu_identity, package_version
from cxredge.errors import Code, EngineError

__all__ = [
    "MINIMUM",
    "NAME",
    "PACKAGE",
    "SUFFIX",
    "availability",
    "compile",
    "devices",
    "library",
    "machine",
    "open",
    "precisions",
]

NAME = "onnxruntime"
PACKAGE = "onnxruntime"
MINIMUM = "1.20"
SUFFIX = ".onnx"

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def availability() -> Availability:
    """Whether onnxruntime is installed and new enough."""
    version = package_version("onnxruntime", "onnxruntime-gpu")
    if version is None:
        return Availability(False, None, "onnxruntime is not installed", f"pip install 'onnxruntime>={MINIMUM}'")
    if not at_least(version, MINIMUM):
        reason = f"onnxruntime {version} is older than {MINIMUM}"
        return Availability(False, version, reason, f"pip install -U 'onnxruntime>={MINIMUM}'")
    return Availability(True, version)


def devices() -> tuple[str, ...]:
    """`cuda` where the package has its provider, and `cpu`."""
    there = library().get_available_providers()
    return tuple(name for name in ("cuda", "cpu") if _PROVIDERS[name] in there)


def precisions(device: str) -> tuple[str, ...]:
    """On the processor fp16 would be computed as fp32 between casts, so it is not offered there."""
    return ("fp32", "fp16", "int8") if device == "cuda" else ("fp32", "int8")


def machine(device: str) -> str:
    """Optimised graphs hold layouts made for the processor's features."""
    return f"{device}|{cpu_identity()}"


def compile(graph: bytes, job: Job, artefact: Path) -> None:  # noqa: A001 - the engines' common name
    """Optimise the graph and save it."""
    ort = library()
    options = _options(ort, job)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(artefact)
    _session(ort, graph, options, job)


def open(artefact: Path, job: Job) -> OnnxRuntimeSession:  # noqa: A001 - the engines' common name
    """Load an optimised graph as it is."""
    ort = library()
    options = _options(ort, job)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return OnnxRuntimeSession(ort, _session(ort, str(artefact), options, job), job)


class OnnxRuntimeSession:
    """An open graph; onnxruntime's own `run` is safe from several threads."""

    def __init__(self, ort: Any, session: Any, job: Job) -> None:
        self._ort = ort
        self._session = session
        self._job = job
        self._names = list(job.outputs)
        threads = session.get_session_options().intra_op_num_threads or None
        self.info = EngineInfo(NAME, ort.__version__, job.device, job.precision, threads)

    def run(self, image: Array) -> Outputs:
        """All outputs by name."""
        return dict(zip(self._names, self._session.run(self._names, {"image": image}), strict=True))

    def bound(self, image: Array) -> Callable[[], None]:
        """A run with everything in the device's memory."""
        session, device, values = self._session, self._job.device, self._ort.OrtValue
        binding = session.io_binding()
        binding.bind_ortvalue_input("image", values.ortvalue_from_numpy(image, device, 0))
        for name, shape in self._job.outputs.items():
            out = values.ortvalue_from_shape_and_type((len(image), *shape), np.float32, device, 0)
            binding.bind_ortvalue_output(name, out)
        binding.synchronize_inputs()

        def once() -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        return once

    def close(self) -> None:
        """Drop the session."""
        self._session = None


def library() -> Any:
    """The package onnxruntime, quiet and reporting to nobody; all of cxredge and its workbench load it here."""
    # Builds since 1.31 gather reports for their maker in the user's home from the moment that they are loaded: the
    # switch must be set before. A program that has loaded the package by itself has chosen by itself.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(3)
    return onnxruntime


def _options(ort: Any, job: Job) -> Any:
    if job.precision not in precisions(job.device):
        raise EngineError(Code.PRECISION_UNSUPPORTED, f"{NAME} has no {job.precision} on {job.device}")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = job.threads or 0  # 0: the physical cores
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Idle threads must not burn the processor of a workstation between two images.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _session(ort: Any, graph: bytes | str, options: Any, job: Job) -> Any:
    provider = _PROVIDERS.get(job.device)
    if provider not in ort.get_available_providers():
        raise EngineError(Code.DEVICE_MISSING, f"{NAME} has no {job.device} here")
    # TF32 keeps 10 bits of 23: fp32 means float32.
    settings = [{"use_tf32": "0"}] if job.device == "cuda" else [{}]
    if job.device != "cpu":
        forks.at_work(NAME)
    session = ort.InferenceSession(graph, options, providers=[provider], provider_options=settings)
    session.disable_fallback()
    if session.get_providers()[0] != provider:
        raise EngineError(Code.DEVICE_MISSING, f"{NAME} gave {session.get_providers()[0]} for {job.device}")
    return session
