"""OpenVINO: usually the fastest on Intel and AMD processors, and the one for Intel's graphics and NPUs.

What is cached is OpenVINO's own export of the compiled graph, weights inside. The precision is always set and read
back, because OpenVINO picks bf16 by itself where the processor has it.
"""

from __future__ import annotations

import functools
import importlib
import io
import sys
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
    "machine",
    "open",
    "precisions",
]

NAME = "openvino"
PACKAGE = "openvino"
MINIMUM = "2025.0"
SUFFIX = ".blob"

# The type that everything but quantised operators runs in.
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
_TYPE_NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16", "int8": "INT8"}


def availability() -> Availability:
    """Whether openvino is installed and new enough."""
    version, install = package_version(PACKAGE), f"pip install -U 'openvino>={MINIMUM}'"
    if version is None:
        return Availability(False, None, "openvino is not installed", install)
    if not at_least(version, MINIMUM):
        return Availability(False, version, f"openvino {version} is older than {MINIMUM}", install)
    return Availability(True, version)


def devices() -> tuple[str, ...]:
    """OpenVINO's devices in lower case: `cpu`, `gpu`, `gpu.1`, `npu`."""
    return tuple(name.lower() for name in _core().available_devices)


def precisions(device: str) -> tuple[str, ...]:
    """What the device computes natively, as it says itself."""
    core = _core()
    if device != "cpu" and device not in devices():
        return ()
    can = set(core.get_property(device.upper(), "OPTIMIZATION_CAPABILITIES"))
    return tuple(name for name, capability in _CAPABILITIES.items() if capability in can)


def machine(device: str) -> str:
    """The processor; for anything else the device's own name and architecture too."""
    if device == "cpu":
        return f"cpu|{cpu_identity()}"
    core = _core()
    names = (core.get_property(device.upper(), key) for key in ("FULL_DEVICE_NAME", "DEVICE_ARCHITECTURE"))
    return "|".join([device, *map(str, names), cpu_identity()])


def compile(graph: bytes, job: Job, artefact: Path) -> None:  # noqa: A001 - the engines' common name
    """Compile and export."""
    core = _core()
    _check_job(job)
    compiled = core.compile_model(core.read_model(graph), job.device.upper(), _settings(job))
    _read_back(compiled, job)
    buffer = io.BytesIO()  # given, because what the call returns without it differs between releases
    compiled.export_model(buffer)
    artefact.write_bytes(buffer.getbuffer())


def open(artefact: Path, job: Job) -> OpenVinoSession:  # noqa: A001 - the engines' common name
    """Import what was exported."""
    core = _core()
    _check_job(job)
    return OpenVinoSession(core.import_model(artefact.read_bytes(), job.device.upper(), _settings(job)), job)


class OpenVinoSession:
    """A compiled graph with as many infer requests as there were runs at once: a request is not safe to share."""

    def __init__(self, compiled: Any, job: Job) -> None:
        self._compiled = compiled
        self._names = tuple(job.outputs)
        # Not in the threads' own storage: in a forked child that of the others is freed before anybody is asked.
        self._idle: list[Any] = []
        self.info = _read_back(compiled, job)

    def run(self, image: Array) -> Outputs:
        """All outputs by name, copied out of the engine's memory."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        # `infer` would copy every output into a dictionary first; it does no more than these two calls besides.
        tensor = _tensor(image)  # held until the run is over: it may own the memory that the request reads
        request.set_tensor("image", tensor)
        request.start_async()
        request.wait()
        outputs = {name: np.array(request.get_tensor(name).data) for name in self._names}
        self._idle.append(request)  # one that failed is dropped
        return outputs

    def bound(self, image: Array) -> Callable[[], None]:
        """A run on tensors that stay where they are."""
        request = self._compiled.create_infer_request()
        tensor = _tensor(image)
        request.set_tensor("image", tensor)
        return functools.partial(_run_in_place, request, (image, tensor))

    def close(self) -> None:
        """Drop the graph and the requests."""
        self._idle.clear()
        self._compiled = None


def _tensor(image: Array) -> Any:
    """A tensor on the array's own memory; OpenVINO takes none that is read-only, so such an array is copied."""
    return _module().Tensor(image if image.flags.writeable else image.copy(), shared_memory=True)


def _run_in_place(request: Any, _alive: tuple[Any, ...]) -> None:
    """One run; the second argument only keeps the memory that the request reads."""
    request.start_async()
    request.wait()


@functools.cache
def _core() -> Any:
    forks.at_work(NAME)  # from its first instant
    core = _module().Core()
    forks.at_work(NAME, core)
    return core


def _module() -> Any:
    """The package, imported without `openvino_telemetry`, which its conversion tools would load to report to Intel.

    Its own code takes a stub in place of a telemetry package that cannot be imported.
    """
    if "openvino" in sys.modules or "openvino_telemetry" in sys.modules:
        return importlib.import_module("openvino")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # "cannot be imported"
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules["openvino_telemetry"]


def _check_job(job: Job) -> None:
    if job.precision not in precisions(job.device):
        raise EngineError(Code.PRECISION_UNSUPPORTED, f"{NAME} has no {job.precision} on {job.device}")


def _settings(job: Job) -> dict[str, Any]:
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[job.precision], "PERFORMANCE_HINT": "LATENCY"}
    if job.threads and job.device == "cpu":
        settings["INFERENCE_NUM_THREADS"] = job.threads * job.streams
    if job.streams > 1:
        settings["NUM_STREAMS"] = str(job.streams)
    return settings


def _read_back(compiled: Any, job: Job) -> EngineInfo:
    """What the compiled graph says of itself; an error where it is not what was asked."""
    hint = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if _TYPE_NAMES.get(hint, hint) != _TYPE_NAMES[_HINTS[job.precision]]:
        raise EngineError(Code.PRECISION_UNSUPPORTED, f"{NAME} runs {hint} when asked for {job.precision}")
    where = [str(device).lower() for device in compiled.get_property("EXECUTION_DEVICES")]
    if job.device not in where:
        raise EngineError(Code.DEVICE_MISSING, f"{NAME} runs on {', '.join(where)} when asked for {job.device}")
    threads = int(compiled.get_property("INFERENCE_NUM_THREADS")) if job.device == "cpu" else None
    asked = (job.threads or 0) * job.streams
    if asked and threads is not None and threads > asked:  # fewer is its cap at the cores there are
        raise EngineError(Code.ENGINE_FAILED, f"{NAME} took {threads} threads when asked for {asked}")
    each = None if threads is None else max(1, threads // job.streams)
    return EngineInfo(NAME, _module().get_version().split("-")[0], job.device, job.precision, each)
