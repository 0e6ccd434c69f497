"""The engines there are, by name."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import cast

from cxredge.engines import forks
from cxredge.engines.base import Availability, Engine
from cxredge.errors import Code, EngineError

__all__ = ["ENGINES", "availability", "engine", "module_name", "require"]

ENGINES: dict[str, str] = {
    "onnxruntime": "cxredge.engines.onnxruntime",
    "openvino": "cxredge.engines.openvino",
    "tensorrt": "cxredge.engines.tensorrt",
}
"""Each engine's module. The order settles ties of a measurement."""


def module_name(name: str) -> str:
    """The module of an engine.

    Raises:
        EngineError: ENGINE_UNKNOWN.
    """
    if name not in ENGINES:
        raise EngineError(Code.ENGINE_UNKNOWN, f"{name!r}; there are {', '.join(ENGINES)}")
    return ENGINES[name]


def engine(name: str) -> Engine:
    """An engine's module, which imports its vendor's package only when it has to.

    Raises:
        EngineError: ENGINE_UNKNOWN.
    """
    return cast("Engine", importlib.import_module(module_name(name)))


def require(name: str) -> Engine:
    """An engine that is installed, new enough, and not lost in a fork.

    Raises:
        EngineError: ENGINE_UNKNOWN, ENGINE_FORKED, or ENGINE_MISSING with what to install.
    """
    found, state = engine(name), _state(name)
    if not state.ok:
        code = Code.ENGINE_FORKED if forks.lost(name) else Code.ENGINE_MISSING
        raise EngineError(code, f"{state.reason}; {state.install}")
    return found


def availability() -> dict[str, Availability]:
    """The state of every engine, without importing any vendor's package."""
    return {name: _state(name) for name in ENGINES}


def _state(name: str) -> Availability:
    state = engine(name).availability()
    if not (state.ok and forks.lost(name)):
        return state
    reason = f"{name} was at work before this process was forked"
    return replace(state, ok=False, reason=reason, install="load it in a process that was started by 'spawn'")
