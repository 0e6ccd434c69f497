"""From a graph to a session: the cached artefact where there is a good one, else a new one from a child process."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxredge.engines import catalog, forks
from cxredge.engines.base import (
    PRECISIONS,
    Array,
    CheckedSession,
    Engine,
    EngineRequest,
    Graph,
    Job,
    Outputs,
    graph_precision,
)
from cxredge.engines.cache import Cache
from cxredge.engines.isolation import LOG_NAME, compile_limit, run_child
from cxredge.engines.machine import package_version
from cxredge.errors import Code, CxredgeError, EngineError, UsageError

__all__ = ["Trial", "open_session", "try_out"]

_LOG = logging.getLogger("cxredge.engines")
_FORMAT = 2  # of what is kept; a change makes all older entries stale
_FIRST_RUN_SECONDS = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What a child process found out, in milliseconds. `compile_ms` None: the artefact was cached."""

    compile_ms: float | None
    first_ms: float
    median_ms: float


def open_session(
    graph: Graph, request: EngineRequest, *, cache_dir: Path | None = None, limit_seconds: float | None = None
) -> CheckedSession:
    """Open a graph on one engine.

    With a good cache entry nothing is compiled and no process is started. Otherwise the graph is compiled and run on
    the bundle's golden input in a child process first, and must give the golden output.

    Args:
        graph: the bundle's graph of the precision asked for.
        request: engine and precision by name (see `choose` for "auto"); device "auto" takes the engine's first.
        cache_dir: where compiled graphs are kept; None takes CXREDGE_CACHE or the system's place for caches.
        limit_seconds: how long compiling may take; None takes CXREDGE_COMPILE_SECONDS or 300.

    Raises:
        EngineError: ENGINE_UNKNOWN, ENGINE_MISSING, DEVICE_MISSING, PRECISION_UNSUPPORTED, ENGINE_CRASHED,
            ENGINE_TIMEOUT, ENGINE_FAILED or ENGINE_OUTPUT.
        BundleError: BUNDLE_GOLDEN when the engine's answer is too far off; or the graph is not as it was sealed.
    """
    engine = catalog.require(request.engine)
    cache = Cache(cache_dir)
    job = make_job(engine, graph, request, cache)
    facts = facts_of(engine, graph, job)
    artefact = cache.find(facts)
    if artefact is not None:
        try:
            return _load(engine, artefact, job)
        except CxredgeError as error:
            if error.code in (Code.DEVICE_MISSING, Code.PRECISION_UNSUPPORTED):
                raise
            _LOG.warning("%s could not load its cached graph (%s): it is built again", engine.NAME, error.code)
            cache.drop(facts)
    with cache.workspace() as folder:
        built = _build(engine, graph, job, folder, limit_seconds, cache, _FIRST_RUN_SECONDS)[0]
        return _load(engine, cache.store(facts, built), job)


def try_out(
    graph: Graph,
    request: EngineRequest,
    *,
    cache_dir: Path | None = None,
    limit_seconds: float | None = None,
    seconds: float = 1.0,
) -> Trial:
    """Measure an engine in a child process: compile or take the cached graph, compare with the golden output, time it.

    The compiled graph is kept, so opening the winner of several trials compiles nothing again.
    `seconds` is how long one image is run over and over; arguments and errors otherwise as :func:`open_session`.
    """
    engine = catalog.require(request.engine)
    cache = Cache(cache_dir)
    job = make_job(engine, graph, request, cache)
    facts = facts_of(engine, graph, job)
    with cache.workspace() as folder:
        cached = cache.find(facts)
        built, report = _build(engine, graph, job, folder, limit_seconds, cache, seconds, cached)
        if cached is None:
            cache.store(facts, built)
    return Trial(report["compile_ms"], report["first_ms"], report["median_ms"])


def make_job(engine: Engine, graph: Graph, request: EngineRequest, cache: Cache) -> Job:
    """Settle the device and refuse what cannot be, before anything is compiled."""
    if request.threads is not None and request.threads < 1:
        raise UsageError(Code.BAD_ARGUMENT, f"threads must be at least 1, not {request.threads}")
    precision = graph.precision if request.precision == "auto" else request.precision
    if precision not in PRECISIONS:
        raise EngineError(Code.PRECISION_UNSUPPORTED, f"{precision!r}; there are {', '.join(PRECISIONS)}")
    if graph_precision(precision) != graph.precision:
        detail = f"{precision} is run from the {graph_precision(precision)} graph, this is {graph.precision}"
        raise EngineError(Code.PRECISION_UNSUPPORTED, detail)
    if graph.engines is not None and engine.NAME not in graph.engines:
        detail = f"the bundle allows its {graph.precision} graph on {', '.join(graph.engines)} only"
        raise EngineError(Code.PRECISION_UNSUPPORTED, detail)
    device = _device(engine, request.device.lower())
    if precision not in engine.precisions(device):
        raise EngineError(Code.PRECISION_UNSUPPORTED, f"{engine.NAME} has no {precision} on {device}")
    face = (graph.input_size, dict(graph.outputs))
    return Job(device, precision, request.threads, *face, str(cache.folder), request.streams)


def _device(engine: Engine, asked: str) -> str:
    if asked == "cpu":  # always there, if the engine has it at all; asking for a list may wake every driver
        return asked
    there = engine.devices()
    if not there or asked not in ("auto", *there):
        raise EngineError(Code.DEVICE_MISSING, f"{engine.NAME} has {', '.join(there) or 'no device'} here, not {asked}")
    return there[0] if asked == "auto" else asked


def facts_of(engine: Engine, graph: Graph, job: Job) -> dict[str, Any]:
    """Everything that a compiled graph depends on: its key in the cache."""
    return {
        "format": _FORMAT,
        "cxredge": package_version("cxredge") or "",
        "graph": graph.sha256,
        "engine": engine.NAME,
        "version": engine.availability().version or "",
        "device": job.device,
        "precision": job.precision,
        "threads": job.threads,
        "streams": job.streams,
        "machine": engine.machine(job.device),
    }


def _load(engine: Engine, artefact: Path, job: Job) -> CheckedSession:
    try:
        with forks.running():
            raw = engine.open(artefact, job)
        return CheckedSession(raw, job)
    except CxredgeError:
        raise
    except Exception as error:  # a vendor's own type
        raise EngineError(Code.ENGINE_FAILED, f"{engine.NAME}: {type(error).__name__} while loading") from None


def _build(
    engine: Engine,
    graph: Graph,
    job: Job,
    folder: Path,
    limit_seconds: float | None,
    cache: Cache,
    seconds: float,
    cached: Path | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Compile in a child process, run there, and compare with the golden output here."""
    golden = graph.golden()
    if job.precision not in golden.tolerance:
        raise EngineError(Code.PRECISION_UNSUPPORTED, f"the bundle was not sealed for {job.precision}")
    artefact = cached or folder / f"artefact{engine.SUFFIX}"
    _lay_out(folder, b"" if cached else graph.read(), golden.input)
    order = {
        "module": catalog.module_name(engine.NAME),
        "job": asdict(job),
        "graph": str(folder / "graph.onnx"),
        "image": str(folder / "image.npy"),
        "artefact": str(artefact),
        "compile": cached is None,
        "seconds": seconds,
    }
    limit = compile_limit() if limit_seconds is None else limit_seconds
    _LOG.info("%s %s for %s", "measuring" if cached else "compiling", engine.NAME, job.precision)
    facts = facts_of(engine, graph, job)
    try:
        report = run_child(order, folder, engine.NAME, limit)
        golden.check(_answers(folder, job), job.precision)
    except CxredgeError as error:
        log = cache.keep_log(facts, folder / LOG_NAME)
        if cached:
            cache.drop(facts)
        if log is not None and error.code is Code.ENGINE_CRASHED:
            raise EngineError(error.code, f"{error.detail}; log: {log}") from None
        raise
    cache.keep_log(facts, folder / LOG_NAME)
    return artefact, report


def _lay_out(folder: Path, graph: bytes, image: Array) -> None:
    """Put down what the child process works on."""
    try:
        (folder / "graph.onnx").write_bytes(graph)
        np.save(folder / "image.npy", image, allow_pickle=False)
    except OSError as error:  # a full disk, a quota
        detail = f"the graph to compile, in the engine cache: {error.strerror or type(error).__name__}"
        raise EngineError(Code.OUTPUT_UNWRITABLE, detail) from None


def _answers(folder: Path, job: Job) -> Outputs:
    return {name: np.load(folder / f"out_{name}.npy", allow_pickle=False) for name in job.outputs}
