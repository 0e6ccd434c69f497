"""How fast each engine runs a bundle on this machine. `choose` decides by it, `cxredge doctor` shows it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cxredge.engines import catalog
from cxredge.engines.base import AUTO, PRECISIONS, EngineRequest, Graph, graph_precision
from cxredge.engines.opening import try_out
from cxredge.errors import BundleError, Code, CxredgeError, EngineError

__all__ = ["Candidate", "GraphSource", "Measurement", "best", "candidates", "measure", "measure_all"]

_LOG = logging.getLogger("cxredge.engines")
# A less exact precision must be worth it: within this factor of the fastest, the more exact one wins.
_CLOSE = 1.10
_EXACTNESS = ("fp32", "fp16", "bf16", "int8")


class GraphSource(Protocol):
    """A bundle, as far as engines see it."""

    @property
    def sha256(self) -> str:
        """Identifies the bundle."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that it was sealed for."""

    def engines_for(self, precision: str) -> tuple[str, ...] | None:
        """The engines that may run a precision; None for any."""

    def graph(self, precision: str) -> Graph:
        """The graph exported in a precision."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a bundle here."""

    engine: str
    device: str
    precision: str
    threads: int | None

    @property
    def request(self) -> EngineRequest:
        """The same, as a request."""
        return EngineRequest(self.engine, self.device, self.precision, self.threads)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one way to run a bundle gave: `median_ms` an image, or the code and detail of why not."""

    engine: str
    device: str
    precision: str
    threads: int | None
    median_ms: float | None = None
    compile_ms: float | None = None
    code: str | None = None
    detail: str = ""


def candidates(source: GraphSource, request: EngineRequest) -> list[Candidate]:
    """Every way to run the bundle here that fits the request; imports the engines that are asked about.

    Raises:
        EngineError: ENGINE_UNKNOWN, ENGINE_MISSING, DEVICE_MISSING or PRECISION_UNSUPPORTED when nothing fits.
        BundleError: PRECISION_NOT_IN_BUNDLE.
    """
    precisions = _precisions(source, request.precision)
    found, devices_seen = [], False
    for name in _engine_names(request):
        for device in _devices(name, request.device):
            devices_seen = True
            found += [
                Candidate(name, device, precision, request.threads)
                for precision in _precisions_on(name, device)
                if precision in precisions and name in (source.engines_for(precision) or (name,))
            ]
    if not devices_seen:
        raise EngineError(Code.DEVICE_MISSING, f"{request.device!r} on {request.engine}")
    if not found:
        asked = f"{request.engine} on {request.device}"
        raise EngineError(Code.PRECISION_UNSUPPORTED, f"{asked} cannot run {' or '.join(precisions)} of this bundle")
    return found


def _precisions(source: GraphSource, asked: str) -> tuple[str, ...]:
    if asked == "auto":
        return source.precisions
    if asked not in PRECISIONS:
        raise EngineError(Code.PRECISION_UNSUPPORTED, f"{asked!r}; there are {', '.join(PRECISIONS)}")
    if asked not in source.precisions:
        detail = f"asked for {asked}; it was sealed for {', '.join(source.precisions)}"
        raise BundleError(Code.PRECISION_NOT_IN_BUNDLE, detail)
    return (asked,)


def _engine_names(request: EngineRequest) -> list[str]:
    if request.engine != "auto":
        catalog.require(request.engine)
        return [request.engine]
    names = [name for name, state in catalog.availability().items() if state.ok]
    if not names:
        raise EngineError(Code.ENGINE_MISSING, "no engine is installed")
    return names


def _devices(name: str, asked: str) -> tuple[str, ...]:
    try:
        there = catalog.engine(name).devices()
    except Exception as error:  # a vendor's broken installation must not stop the others
        _LOG.warning("%s cannot tell its devices: %s", name, type(error).__name__)
        return ()
    return there if asked == "auto" else tuple(device for device in there if device == asked.lower())


def _precisions_on(name: str, device: str) -> tuple[str, ...]:
    return catalog.engine(name).precisions(device)


def measure(
    source: GraphSource,
    candidate: Candidate,
    *,
    cache_dir: Path | None = None,
    limit_seconds: float | None = None,
    seconds: float = 1.0,
) -> Measurement:
    """Measure one way in a child process. A failure of the engine is an answer too.

    Raises:
        BundleError: the bundle is not as it was sealed.
    """
    facts = (candidate.engine, candidate.device, candidate.precision, candidate.threads)
    try:
        graph = source.graph(graph_precision(candidate.precision))
        trial = try_out(graph, candidate.request, cache_dir=cache_dir, limit_seconds=limit_seconds, seconds=seconds)
    except EngineError as error:
        return Measurement(*facts, code=str(error.code), detail=error.detail)
    except CxredgeError as error:
        if error.code is not Code.BUNDLE_GOLDEN:
            raise
        return Measurement(*facts, code=str(error.code), detail=error.detail)
    return Measurement(*facts, median_ms=trial.median_ms, compile_ms=trial.compile_ms)


def measure_all(
    source: GraphSource,
    request: EngineRequest = AUTO,
    *,
    cache_dir: Path | None = None,
    limit_seconds: float | None = None,
    seconds: float = 1.0,
) -> Iterator[Measurement]:
    """Measure every candidate, one after the other, as they come."""
    for candidate in candidates(source, request):
        yield measure(source, candidate, cache_dir=cache_dir, limit_seconds=limit_seconds, seconds=seconds)


def best(measurements: list[Measurement]) -> Measurement:
    """The fastest; among those within a tenth of it the most exact.

    Raises:
        EngineError: when none worked, with the code and the details of the failures.
    """
    worked = [m for m in measurements if m.median_ms is not None]
    if not worked:
        details = "; ".join(f"{m.engine} {m.device} {m.precision}: {m.code} {m.detail}".strip() for m in measurements)
        codes = {m.code for m in measurements}
        code = Code(codes.pop() or Code.ENGINE_FAILED) if len(codes) == 1 else Code.ENGINE_FAILED
        raise EngineError(code, details[:1000])
    fastest = min(m.median_ms or 0.0 for m in worked)
    close = [m for m in worked if (m.median_ms or 0.0) <= fastest * _CLOSE]
    return min(close, key=lambda m: (_EXACTNESS.index(m.precision), m.median_ms or 0.0))
