"""What every engine has in common: what is asked of it, what it tells, and what it must give back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cxredge.engines import forks
from cxredge.errors import Code, CxredgeError, EngineError, UsageError

__all__ = [
    "AUTO",
    "PRECISIONS",
    "Availability",
    "CheckedSession",
    "Engine",
    "EngineInfo",
    "EngineRequest",
    "Golden",
    "Graph",
    "Job",
    "Outputs",
    "RawSession",
    "Session",
    "first_line",
    "graph_precision",
    "usable_cores",
]

Array = npt.NDArray[np.float32]
Outputs = dict[str, Array]

PRECISIONS: tuple[str, ...] = ("fp32", "bf16", "fp16", "int8")
"""What an engine can be asked to run. bf16 runs the fp32 graph; the others have graphs of their own."""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """What the caller asks for. "auto" leaves the choice to what was measured on this machine."""

    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    streams: int = 1
    """How many runs at once it is opened for, each on `threads` threads; on the processor only."""


AUTO = EngineRequest()
"""Everything is left open."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What runs, read back from the engine. `threads` None: the engine chose and does not tell."""

    engine: str
    version: str
    device: str
    precision: str
    threads: int | None


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether an engine can be used here; if not, why, and what to install."""

    ok: bool
    version: str | None = None
    reason: str = ""
    install: str = ""


class Golden(Protocol):
    """A known answer: `input` goes in, and `check` refuses what comes out of a precision if it is too far off."""

    @property
    def input(self) -> Array:
        """A batch for `image`."""

    @property
    def tolerance(self) -> Mapping[str, Mapping[str, float]]:
        """The precisions that the bundle was sealed for."""

    def check(self, outputs: Mapping[str, Array], precision: str) -> dict[str, float]:
        """The largest difference by output, or BundleError."""


class Graph(Protocol):
    """One ONNX graph and the face that it promises."""

    @property
    def sha256(self) -> str:
        """Identifies the graph's bytes."""

    @property
    def precision(self) -> str:
        """The precision that it was exported in."""

    @property
    def engines(self) -> tuple[str, ...] | None:
        """The engines it may run on; None for any."""

    @property
    def input_size(self) -> tuple[int, int]:
        """Rows and columns of `image`."""

    @property
    def outputs(self) -> Mapping[str, tuple[int, ...]]:
        """Each output's shape without the batch axis."""

    def read(self) -> bytes:
        """The ONNX file."""

    def golden(self) -> Golden:
        """The known answer that a newly compiled engine must give."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request with nothing left open, and the graph's face: what an engine module gets."""

    device: str
    precision: str
    threads: int | None
    input_size: tuple[int, int]
    outputs: dict[str, tuple[int, ...]]
    keep: str = ""
    """A folder where an engine may keep what makes later compilations faster; empty for none."""
    streams: int = 1
    """How many runs at once the session is for, each on `threads` threads."""


class RawSession(Protocol):
    """What an engine module opens. `run` is called from several threads at once."""

    @property
    def info(self) -> EngineInfo:
        """What runs."""

    def run(self, image: Array) -> Outputs:
        """All outputs by name, for a float32 batch [N, 1, H, W]."""

    def bound(self, image: Array) -> Callable[[], None]:
        """A run of this very batch with input and outputs in memory that the engine holds: nothing is copied.

        For measuring. Each call returns when the device is done, and overwrites the outputs of the one before.
        """

    def close(self) -> None:
        """Give the memory back."""


Session = RawSession


class Engine(Protocol):
    """An engine module."""

    NAME: str
    SUFFIX: str

    def availability(self) -> Availability:
        """Whether its package is there, without importing it."""

    def devices(self) -> tuple[str, ...]:
        """The devices that it can use here, the first being its own choice."""

    def precisions(self, device: str) -> tuple[str, ...]:
        """What it runs natively on that device."""

    def machine(self, device: str) -> str:
        """What an artefact compiled for that device depends on, beyond the engine's version."""

    def compile(self, graph: bytes, job: Job, artefact: Path) -> None:
        """Write what `open` loads. Runs in a child process."""

    def open(self, artefact: Path, job: Job) -> RawSession:
        """Load what `compile` wrote."""


def graph_precision(precision: str) -> str:
    """Which graph of the bundle a precision is run from."""
    return "fp32" if precision == "bf16" else precision


def usable_cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def first_line(error: BaseException) -> str:
    """A vendor's message, cut to one short line."""
    line = next((part.strip() for part in str(error).splitlines() if part.strip()), "")
    return f"{type(error).__name__}: {line[:200]}" if line else type(error).__name__


class CheckedSession:
    """A session whose inputs and outputs are checked, and whose vendor's exceptions are typed.

    Safe to use from several threads. `info` stays readable after `close`.
    """

    def __init__(self, raw: RawSession, job: Job) -> None:
        self._raw: RawSession | None = raw
        self._job = job
        self._lock = threading.Condition()
        self._running = 0
        self._lost = False
        self.info = raw.info
        forks.watch(self)

    def run(self, image: Array) -> Outputs:
        """All outputs by name, float32.

        Args:
            image: float32 [N, 1, H, W], C-contiguous or not, display values in 0..1.

        Raises:
            UsageError: BAD_ARGUMENT for an image of another type or shape.
            EngineError: ENGINE_FAILED when the engine refuses, ENGINE_OUTPUT when it gives something else than the
                graph promises, or values that are not finite; ENGINE_FORKED in a process that was forked since.
        """
        self._check_image(image)
        with self._entered() as raw:
            outputs = raw.run(np.ascontiguousarray(image))
        self._check(outputs, image.shape[0])
        return outputs

    def bound(self, image: Array) -> Callable[[], None]:
        """A run of this very batch without any copy or check, for measuring; close only after its last call.

        Raises:
            UsageError: as `run`.
            EngineError: ENGINE_FAILED when the engine refuses, here or in the call.
        """
        self._check_image(image)
        with self._entered() as raw:
            return raw.bound(np.ascontiguousarray(image))

    @contextmanager
    def _entered(self) -> Iterator[RawSession]:
        """The engine's own session, which is not closed meanwhile; whatever it raises becomes an error of ours."""
        raw = self._enter()
        try:
            with forks.running():
                yield raw
        except CxredgeError:
            raise
        except Exception as error:  # a vendor's own type
            raise EngineError(Code.ENGINE_FAILED, f"{self.info.engine}: {first_line(error)}") from None
        finally:
            self._leave()

    def _check_image(self, image: Array) -> None:
        if image.dtype != np.float32 or image.ndim != 4 or image.shape[1:] != (1, *self._job.input_size):
            rows, columns = self._job.input_size
            detail = f"the engine takes float32 [N, 1, {rows}, {columns}], not {image.dtype} {list(image.shape)}"
            raise UsageError(Code.BAD_ARGUMENT, detail)
        if image.shape[0] == 0:
            raise UsageError(Code.BAD_ARGUMENT, "the batch is empty")

    def _check(self, outputs: Outputs, count: int) -> None:
        for name, shape in self._job.outputs.items():
            array = outputs.get(name)
            if array is None or array.shape != (count, *shape) or array.dtype != np.float32:
                got = "nothing" if array is None else f"{array.dtype} {list(array.shape)}"
                detail = f"{self.info.engine}: {name} should be float32 {[count, *shape]}, got {got}"
                raise EngineError(Code.ENGINE_OUTPUT, detail)
            if not np.isfinite(array).all():
                raise EngineError(Code.ENGINE_OUTPUT, f"{self.info.engine}: {name} holds values that are not finite")

    def _enter(self) -> RawSession:
        with self._lock:
            if self._lost:
                raise EngineError(Code.ENGINE_FORKED, self.info.engine)
            if self._raw is None:
                raise EngineError(Code.ENGINE_FAILED, "the session is closed")
            self._running += 1
            return self._raw

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1
            self._lock.notify_all()

    def lose(self) -> object:
        """In a forked child: refuse every later call, and do not wait for runs that are the parent's (see forks.py)."""
        raw, self._raw, self._lost = self._raw, None, True
        self._lock, self._running = threading.Condition(), 0  # another thread may have held it when the process forked
        return raw

    def close(self) -> None:
        """Wait for the runs under way, then give the engine's memory back. Closing twice is allowed."""
        with self._lock:
            raw, self._raw = self._raw, None
            self._lock.wait_for(lambda: self._running == 0)
        if raw is not None:
            with forks.running():
                raw.close()

    def __enter__(self) -> CheckedSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
