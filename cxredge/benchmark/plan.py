"""What is to be measured, and what of that cannot be had here, with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cxredge.benchmark.record import Combination, NotRun
from cxredge.engines.base import PRECISIONS, graph_precision
from cxredge.engines.catalog import ENGINES, availability, engine
from cxredge.engines.cuda import driver
from cxredge.engines.measure import GraphSource
from cxredge.errors import Code, CxredgeError, UsageError

__all__ = ["ALL", "Asked", "Plan", "make_plan"]

ALL = "all"
_KNOWN_DEVICES = {"onnxruntime": ("cpu", "cuda"), "openvino": ("cpu",), "tensorrt": ("cuda",)}
"""What an engine could use on some machine: where it cannot here, the report says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants measured; "all" stands for every engine, device or precision."""

    engines: tuple[str, ...] = (ALL,)
    devices: tuple[str, ...] = (ALL,)
    precisions: tuple[str, ...] = (ALL,)
    batches: tuple[int, ...] = (1,)
    threads: tuple[int | None, ...] = (None,)

    def __post_init__(self) -> None:
        """Refuse names that nothing has.

        Raises:
            UsageError: BAD_ARGUMENT.
        """
        _known("engine", self.engines, tuple(ENGINES))
        _known("precision", self.precisions, PRECISIONS)
        for name, values in (("batch", self.batches), ("threads", self.threads)):
            if not values or any(value is not None and value < 1 for value in values):
                raise UsageError(Code.BAD_ARGUMENT, f"{name} takes numbers from 1 on")


@dataclass(slots=True)
class Plan:
    """What will be run, in order, and what cannot be."""

    run: list[Combination] = field(default_factory=list)
    not_run: list[NotRun] = field(default_factory=list)


def make_plan(asked: Asked, source: GraphSource) -> Plan:
    """Every combination that was asked for: each ends in one of the two lists."""
    plan = Plan()
    for name in _chosen(asked.engines, tuple(ENGINES)):
        state = availability()[name]
        if not state.ok:
            plan.not_run.append(_missing(name, None, None, Code.ENGINE_MISSING, f"{state.reason}; {state.install}"))
            continue
        try:
            here = engine(name).devices()
        except Exception as error:  # a vendor's broken installation must not stop the others
            detail = f"{name} cannot tell its devices: {type(error).__name__}"
            plan.not_run.append(_missing(name, None, None, Code.ENGINE_FAILED, detail))
            continue
        for device in _devices(name, here, asked):
            if device not in here:
                plan.not_run.append(_missing(name, device, None, Code.DEVICE_MISSING, _why_no(name, device)))
            else:
                _plan_device(plan, asked, source, name, device)
    return plan


def _plan_device(plan: Plan, asked: Asked, source: GraphSource, name: str, device: str) -> None:
    for precision in _chosen(asked.precisions, PRECISIONS):
        why = _refusal(source, name, device, precision)
        if why is not None:
            plan.not_run.append(_missing(name, device, precision, *why))
            continue
        plan.run += [
            Combination(engine=name, device=device, precision=precision, batch=batch, threads=threads)
            for threads in (asked.threads if device == "cpu" else (None,))
            for batch in asked.batches
        ]


def _refusal(source: GraphSource, name: str, device: str, precision: str) -> tuple[Code, str] | None:
    """Why a precision cannot be run; None where it can."""
    if precision not in source.precisions:
        sealed = ", ".join(source.precisions)
        return Code.PRECISION_NOT_IN_BUNDLE, f"the bundle was sealed for {sealed}"
    allowed = source.engines_for(precision)
    if allowed is not None and name not in allowed:
        graph = graph_precision(precision)
        return Code.PRECISION_UNSUPPORTED, f"the bundle allows its {graph} graph on {', '.join(allowed)} only"
    try:
        native = engine(name).precisions(device)
    except CxredgeError as error:
        return error.code, error.detail
    except Exception as error:  # a vendor's own type
        return Code.ENGINE_FAILED, f"{name} cannot tell its precisions: {type(error).__name__}"
    if precision not in native:
        return Code.PRECISION_UNSUPPORTED, f"{name} does not compute {precision} on this {device} natively"
    return None


def _devices(name: str, here: Sequence[str], asked: Asked) -> Iterator[str]:
    if ALL in asked.devices:
        yield from dict.fromkeys((*here, *_KNOWN_DEVICES.get(name, ())))
    else:
        yield from dict.fromkeys(device.lower() for device in asked.devices)


def _why_no(name: str, device: str) -> str:
    if device != "cuda":
        return f"{name} has no {device} here"
    if driver() is None:
        return "no NVIDIA GPU with its driver was found"
    return "the onnxruntime that is installed has no CUDA; pip install onnxruntime-gpu in its place"


def _chosen(asked: tuple[str, ...], there: tuple[str, ...]) -> tuple[str, ...]:
    return there if ALL in asked else tuple(dict.fromkeys(asked))


def _known(what: str, asked: tuple[str, ...], there: tuple[str, ...]) -> None:
    for name in asked:
        if name != ALL and name not in there:
            raise UsageError(Code.BAD_ARGUMENT, f"no {what} is called {name!r}; there are {', '.join((*there, ALL))}")


def _missing(name: str, device: str | None, precision: str | None, code: Code, reason: str) -> NotRun:
    return NotRun(engine=name, device=device, precision=precision, code=str(code), reason=reason)
