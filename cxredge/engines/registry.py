"""Which engine runs a bundle here: the one asked for, or the one that was measured to be the fastest."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxredge.engines import catalog
from cxredge.engines.base import AUTO, PRECISIONS, EngineRequest, graph_precision, usable_cores
from cxredge.engines.cache import Cache, key_of
from cxredge.engines.catalog import ENGINES, availability, engine
from cxredge.engines.machine import cpu_identity
from cxredge.engines.measure import Candidate, GraphSource, Measurement, best, candidates, measure
from cxredge.engines.opening import open_session
from cxredge.errors import Code, CxredgeError, UsageError

__all__ = ["ENGINES", "Choice", "availability", "choose", "engine", "open_session"]

_LOG = logging.getLogger("cxredge.engines")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """A request with every "auto" settled, and what it was settled by.

    `measurements` is empty where there was nothing to choose between; `remembered` tells an earlier measurement.
    """

    request: EngineRequest
    measurements: tuple[Measurement, ...] = ()
    remembered: bool = False

    @property
    def graph_precision(self) -> str:
        """Which of the bundle's graphs runs."""
        return graph_precision(self.request.precision)


def choose(
    source: GraphSource,
    request: EngineRequest = AUTO,
    *,
    cache_dir: Path | None = None,
    limit_seconds: float | None = None,
    refresh: bool = False,
) -> Choice:
    """Settle every "auto" of a request.

    With one way to run the bundle that fits, it is taken. With several, each is measured in a child process, and the
    fastest is remembered for this bundle, machine and set of installed engines; the next call reads that.

    Args:
        source: the open bundle.
        request: what the caller asks for.
        cache_dir: where measurements and compiled graphs are kept; None takes the usual place.
        limit_seconds: how long each engine may take; None takes CXREDGE_COMPILE_SECONDS or 300.
        refresh: measure again.

    Raises:
        EngineError: nothing fits, or nothing that fits works.
        BundleError: PRECISION_NOT_IN_BUNDLE, or the bundle is not as it was sealed.
    """
    if request.threads is not None and request.threads < 1:
        raise UsageError(Code.BAD_ARGUMENT, f"threads must be at least 1, not {request.threads}")
    cache = Cache(cache_dir)
    facts = _facts(source, request)
    if not refresh and (known := _remembered(cache, facts, source)) is not None:
        return known
    ways = candidates(source, request)
    if len(ways) == 1:
        return Choice(ways[0].request)
    _LOG.info("measuring %d ways to run this bundle; the result is remembered", len(ways))
    found = [measure(source, way, cache_dir=cache_dir, limit_seconds=limit_seconds) for way in ways]
    winner = best(found)
    choice = Choice(_request_of(winner), tuple(found))
    _remember(cache, facts, choice, winner)
    return choice


def _request_of(m: Measurement) -> EngineRequest:
    return Candidate(m.engine, m.device, m.precision, m.threads).request


def _facts(source: GraphSource, request: EngineRequest) -> dict[str, Any]:
    """What a remembered choice depends on; found out without importing any engine."""
    return {
        "format": _FORMAT,
        "kind": "choice",
        "bundle": source.sha256,
        "request": [request.engine, request.device.lower(), request.precision, request.threads],
        "engines": {name: state.version if state.ok else None for name, state in availability().items()},
        "machine": cpu_identity(),
        "cores": usable_cores(),
    }


def _remember(cache: Cache, facts: dict[str, Any], choice: Choice, winner: Measurement) -> None:
    value = {
        "facts": facts,
        "chosen": dataclasses.asdict(winner),
        "measurements": [dataclasses.asdict(m) for m in choice.measurements],
    }
    try:
        cache.write_json(key_of(facts), value)
    except OSError as error:
        _LOG.warning("the choice of engine cannot be remembered: %s", error.strerror)


def _remembered(cache: Cache, facts: dict[str, Any], source: GraphSource) -> Choice | None:
    """The earlier choice, if it can be read, fits the facts, and its device is still there."""
    value = cache.read_json(key_of(facts))
    if value is None or value.get("facts") != facts:
        return None
    try:
        chosen = Measurement(**value["chosen"])
        found = tuple(Measurement(**m) for m in value["measurements"])
        usable = chosen.engine in ENGINES and chosen.precision in PRECISIONS and chosen.precision in source.precisions
        # A processor cannot be unplugged, so the usual case asks no engine.
        if not usable or (chosen.device != "cpu" and chosen.device not in catalog.engine(chosen.engine).devices()):
            return None
    except (KeyError, TypeError, ValueError, CxredgeError):
        return None
    return Choice(_request_of(chosen), found, remembered=True)
