"""A TensorRT 11 plan. **Not run**: no TensorRT library was at hand where this was written; docs/export.md says so.

Strongly typed: the graph's own types are what runs, so float16 needs the fp16 graph, int8 its Q/DQ pairs. One
optimisation profile for batches of 1 to N, tuned for 1. Beside the plan lies the builder's timing cache.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from cxredge.engines import tensorrt as engine
from cxredge.engines.base import Job, RawSession
from cxredge.engines.cuda import Driver, driver
from cxredge.errors import Code, EngineError
from export.targets.common import Options, limit_memory, options_beside, reasons

__all__ = ["BINDINGS", "TIMING", "build", "compile", "open"]

TIMING = "tensorrt.timing"

BINDINGS: tuple[str, ...] = (
    "Builder",
    "Builder.build_serialized_network",
    "Builder.create_builder_config",
    "Builder.create_network",
    "Builder.create_optimization_profile",
    "BuilderFlag.TF32",
    "BuilderFlag.VERSION_COMPATIBLE",
    "IBuilderConfig.add_optimization_profile",
    "IBuilderConfig.clear_flag",
    "IBuilderConfig.create_timing_cache",
    "IBuilderConfig.get_timing_cache",
    "IBuilderConfig.set_flag",
    "IBuilderConfig.set_timing_cache",
    "IOptimizationProfile.set_shape",
    "ITimingCache.serialize",
    "Logger",
    "Logger.INFO",
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
    "OnnxParser",
    "OnnxParser.get_error",
    "OnnxParser.num_errors",
    "OnnxParser.parse",
    "Runtime",
    "Runtime.deserialize_cuda_engine",
    "Runtime.engine_host_code_allowed",
)
"""Everything this file takes from TensorRT: a test holds it against the stand-in, and against the real bindings."""


def compile(graph: bytes, job: Job, artefact: Path) -> None:  # noqa: A001 - the engines' common name
    """Build the plan."""
    import tensorrt

    options = options_beside(artefact)
    limit_memory(options.memory)
    with reasons(engine.NAME):
        _gpu().use()
        timing = Path(job.keep) / TIMING
        plan, cache = build(tensorrt, graph, job.input_size, options, _read(timing))
        artefact.write_bytes(plan)
        artefact.with_name(TIMING).write_bytes(cache)


def build(trt: Any, graph: bytes, size: tuple[int, int], options: Options, timing: bytes) -> tuple[bytes, bytes]:
    """The plan, and the timing cache for the next build.

    Args:
        trt: TensorRT's module.
        graph: the ONNX file.
        size: rows and columns of `image`.
        options: the largest batch, and whether later releases shall load the plan.
        timing: an earlier timing cache; empty for none.

    Raises:
        EngineError: TensorRT cannot read the graph, or builds nothing.
    """
    logger = trt.Logger(trt.Logger.INFO)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        why = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise ValueError(why)  # `reasons` finds the operator's name in it
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # TF32 keeps 10 bits of 23: fp32 means float32
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    profile = builder.create_optimization_profile()
    one, most = ((count, 1, *size) for count in (1, options.most))
    profile.set_shape("image", one, one, most)
    config.add_optimization_profile(profile)
    config.set_timing_cache(config.create_timing_cache(timing), False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(Code.ENGINE_FAILED, f"{engine.NAME} built nothing; its log says why")
    return bytes(plan), bytes(config.get_timing_cache().serialize())


def open(artefact: Path, job: Job) -> RawSession:  # noqa: A001 - the engines' common name
    """Load the plan, to see that it runs."""
    with reasons(engine.NAME):
        import tensorrt

        gpu = _gpu()
        gpu.use()
        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.INFO))
        # A version-compatible plan brings a small runtime of its own; this plan was built here a moment ago.
        runtime.engine_host_code_allowed = options_beside(artefact).version_compatible
        plan = runtime.deserialize_cuda_engine(artefact.read_bytes())
        if plan is None:
            raise EngineError(Code.ENGINE_FAILED, f"{engine.NAME} cannot load its plan")
        return engine.TensorRtSession(gpu, runtime, plan, job)


def _gpu() -> Driver:
    found = driver()
    if found is None:
        raise EngineError(Code.DEVICE_MISSING, f"{engine.NAME} needs an NVIDIA GPU with its driver; none was found")
    return found


def _read(path: Path) -> bytes:
    with suppress(OSError):
        return path.read_bytes()
    return b""
