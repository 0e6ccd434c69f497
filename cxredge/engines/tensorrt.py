"""TensorRT 11 on NVIDIA GPUs. docs/engines.md says what of this file has been run and what has not.

Networks of TensorRT 11 are strongly typed: the graph's own types are what runs. int8 comes as Q/DQ pairs in the
graph, fp16 as a graph of that type; there is no flag and no calibrator for either. TF32 is switched off, so fp32 means
float32. What is cached is the plan, bound to the GPU's compute capability, the driver and TensorRT's version, and
beside it the builder's timing cache, which makes later builds faster.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cxredge.engines.base import Array, Availability, EngineInfo, Job, Outputs
from cxredge.engines.cuda import Driver, driver
from cxredge.engines.machine import at_least, package_version
from cxredge.errors import Code, EngineError

__all__ = ["BINDINGS", "MINIMUM", "NAME", "PACKAGE", "SUFFIX"]
__all__ += ["availability", "compile", "devices", "machine", "open", "precisions"]

NAME = "tensorrt"
PACKAGE = "tensorrt"
MINIMUM = "11.0"
SUFFIX = ".plan"
MAX_BATCH = 16
"""Larger batches are run in parts."""

BINDINGS: tuple[str, ...] = (
    "Builder",
    "Builder.build_serialized_network",
    "Builder.create_builder_config",
    "Builder.create_network",
    "Builder.create_optimization_profile",
    "BuilderFlag.TF32",
    "IBuilderConfig.add_optimization_profile",
    "IBuilderConfig.clear_flag",
    "IBuilderConfig.create_timing_cache",
    "IBuilderConfig.get_timing_cache",
    "IBuilderConfig.set_timing_cache",
    "ICudaEngine.create_execution_context",
    "ICudaEngine.get_tensor_dtype",
    "IExecutionContext.execute_async_v3",
    "IExecutionContext.set_input_shape",
    "IExecutionContext.set_tensor_address",
    "IOptimizationProfile.set_shape",
    "ITimingCache.serialize",
    "Logger",
    "Logger.WARNING",
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
    "OnnxParser",
    "OnnxParser.get_error",
    "OnnxParser.num_errors",
    "OnnxParser.parse",
    "Runtime",
    "Runtime.deserialize_cuda_engine",
    "float32",
)
"""Everything this file takes from TensorRT: checked when it is imported, and by a test against its bindings."""


def availability() -> Availability:
    """Whether TensorRT's Python package is installed and new enough. Whether a GPU is there, `devices` tells."""
    version, install = package_version("tensorrt", "tensorrt_cu13"), f"pip install 'tensorrt>={MINIMUM}'"
    if version is None:
        return Availability(False, None, "tensorrt is not installed", install)
    if not at_least(version, MINIMUM):
        return Availability(False, version, f"tensorrt {version} is older than {MINIMUM}", install)
    return Availability(True, version)


def devices() -> tuple[str, ...]:
    """`cuda` where NVIDIA's driver finds a GPU."""
    return ("cuda",) if driver() else ()


def precisions(device: str) -> tuple[str, ...]:
    """Whatever types the bundle's graphs have."""
    return ("fp32", "fp16", "int8") if device == "cuda" else ()


def machine(device: str) -> str:
    """The GPU, its compute capability and the driver."""
    return f"{device}|{_driver().identity()}"


def compile(graph: bytes, job: Job, artefact: Path) -> None:  # noqa: A001 - the engines' common name
    """Build a plan for batches of 1 to MAX_BATCH, tuned for 1."""
    trt = _module()
    _driver().use()
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    # Every network of TensorRT 11 is strongly typed; the flag says so to whoever reads this.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        why = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise EngineError(Code.ENGINE_FAILED, f"{NAME} cannot read the graph: {why[:300]}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    one, most = ((count, 1, *job.input_size) for count in (1, MAX_BATCH))
    profile.set_shape("image", one, one, most)
    config.add_optimization_profile(profile)
    timing = Path(job.keep) / f"tensorrt-{availability().version}.timing" if job.keep else None
    config.set_timing_cache(config.create_timing_cache(_read(timing)), False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(Code.ENGINE_FAILED, f"{NAME} built nothing; its log says why")
    artefact.write_bytes(bytes(plan))
    _write(timing, bytes(config.get_timing_cache().serialize()))


def open(artefact: Path, job: Job) -> TensorRtSession:  # noqa: A001 - the engines' common name
    """Load a plan."""
    trt = _module()
    gpu = _driver()
    gpu.use()
    runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    engine = runtime.deserialize_cuda_engine(artefact.read_bytes())
    if engine is None:
        raise EngineError(Code.ENGINE_FAILED, f"{NAME} cannot load its plan")
    for name in ("image", *job.outputs):
        if engine.get_tensor_dtype(name) != trt.float32:
            raise EngineError(Code.ENGINE_OUTPUT, f"{NAME}: {name} is not float32")
    return TensorRtSession(gpu, runtime, engine, job)


class TensorRtSession:
    """One context and one stream; runs from several threads take turns."""

    def __init__(self, gpu: Driver, runtime: Any, engine: Any, job: Job) -> None:
        self._gpu, self._runtime, self._engine, self._job = gpu, runtime, engine, job
        self._lock = threading.Lock()
        self._context = engine.create_execution_context()
        self._stream = gpu.stream()
        shapes = {"image": (1, *job.input_size), **job.outputs}
        self._memory = {name: gpu.allocate(4 * MAX_BATCH * math.prod(shape)) for name, shape in shapes.items()}
        self.info = EngineInfo(NAME, availability().version or "", job.device, job.precision, None)

    def run(self, image: Array) -> Outputs:
        """All outputs by name."""
        parts = [self._run(image[at : at + MAX_BATCH]) for at in range(0, len(image), MAX_BATCH)]
        return parts[0] if len(parts) == 1 else {n: np.concatenate([p[n] for p in parts]) for n in self._job.outputs}

    def bound(self, image: Array) -> Callable[[], None]:
        """A run on what was uploaded once; only for a batch that is not cut, and while nothing else is run."""
        if len(image) > MAX_BATCH:
            raise EngineError(Code.ENGINE_FAILED, f"{NAME} runs at most {MAX_BATCH} images at once")
        with self._lock:
            self._set(image)
            self._gpu.wait(self._stream)

        def once() -> None:
            with self._lock:
                self._gpu.use()
                self._start()
                self._gpu.wait(self._stream)

        return once

    def _set(self, image: Array) -> None:
        gpu, context = self._gpu, self._context
        gpu.use()
        gpu.upload(self._memory["image"], image, self._stream)
        bound = [context.set_tensor_address(name, address) for name, address in self._memory.items()]
        if not (context.set_input_shape("image", image.shape) and all(bound)):
            raise EngineError(Code.ENGINE_FAILED, f"{NAME} refused the input's shape")

    def _start(self) -> None:
        context = self._context
        if not context.execute_async_v3(self._stream):
            raise EngineError(Code.ENGINE_FAILED, f"{NAME} could not start the run")

    def _run(self, image: Array) -> Outputs:
        with self._lock:
            gpu = self._gpu
            self._set(image)
            self._start()
            shapes = {name: (len(image), *shape) for name, shape in self._job.outputs.items()}
            outputs = {name: gpu.download(self._memory[name], shape, self._stream) for name, shape in shapes.items()}
            gpu.wait(self._stream)
            return outputs

    def close(self) -> None:
        """Free the device's memory."""
        with self._lock:
            self._gpu.use()
            for address in self._memory.values():
                self._gpu.free(address)
            self._memory = {}
            self._gpu.end_stream(self._stream)
            self._context = self._engine = self._runtime = None


@functools.cache
def _module() -> Any:
    """The package, with everything in it that this file uses."""
    import tensorrt

    for dotted in BINDINGS:
        found: Any = tensorrt
        for name in dotted.split("."):
            found = getattr(found, name, None)
        if found is None:
            raise EngineError(Code.ENGINE_MISSING, f"tensorrt {tensorrt.__version__} has no {dotted}")
    return tensorrt


def _driver() -> Driver:
    gpu = driver()
    if gpu is None:
        raise EngineError(Code.DEVICE_MISSING, f"{NAME} needs an NVIDIA GPU with its driver; none was found")
    return gpu


def _read(path: Path | None) -> bytes:
    with suppress(OSError):
        return path.read_bytes() if path else b""
    return b""


def _write(path: Path | None, data: bytes) -> None:
    """Keep the timing cache; losing it costs time, nothing else."""
    if path is not None:
        scratch = path.with_name(f".{path.name}.new")
        with suppress(OSError):
            scratch.write_bytes(data)
            scratch.replace(path)
