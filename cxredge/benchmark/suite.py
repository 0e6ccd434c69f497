"""Runs a plan: every combination in processes of its own, one after another; Ctrl-C keeps what was measured."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from cxredge.benchmark.accuracy import Reports, accuracy_of, read_gate_reports
from cxredge.benchmark.advice import advise, name_of
from cxredge.benchmark.cold import spend
from cxredge.benchmark.figures import spread
from cxredge.benchmark.machine import describe_machine, versions
from cxredge.benchmark.plan import Asked, make_plan
from cxredge.benchmark.record import (
    BundleMeasured,
    Cold,
    Combination,
    InputMeasured,
    NotRun,
    Protocol,
    Report,
    Result,
)
from cxredge.benchmark.sample import write_sample
from cxredge.bundle import Bundle, open_bundle
from cxredge.engines.isolation import compile_limit, run_child
from cxredge.errors import CxredgeError
from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import open_source, read_plane

__all__ = ["Settings", "run"]

_MARGIN = 120.0
"""Seconds that starting, loading and warming up may take besides compiling and measuring."""
_WORDS = (
    "Each combination runs in a process of its own, one after another; files are in the page cache.",
    (
        "Latency: one batch from its files to its written JSON, one batch after another. It takes turns with the "
        "engine alone: latency, engine with copies, engine without copies, again."
    ),
    "Throughput: a list of files; without --threads one thread an image and an image a core.",
    (
        "Cold: a new process, `cxredge predict FILE --format json`, from start to end. Cache empty: the compiled graph "
        "is made first; cache warm: it is there."
    ),
    "On a GPU every figure ends when the device is done.",
    "Left out: reading from the disk itself, other programs' load (see machine.load).",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured.

    Attributes:
        seconds: for each combination, after warming up.
        warm_up: batches that do not count.
        cold_runs: new processes for each of the two cold figures; 0 leaves them out.
        key: the public key that must have signed the bundle.
        size: rows and columns of the film that is drawn where no input is given.
    """

    seconds: float = 9.0
    warm_up: int = 3
    cold_runs: int = 3
    key: str | None = None
    size: tuple[int, int] = (3000, 2500)


@dataclass(slots=True)
class _Found:
    results: list[Result] = field(default_factory=list)
    not_run: list[NotRun] = field(default_factory=list)
    complete: bool = True


def run(
    bundle_path: Path,
    asked: Asked,
    inputs: Sequence[Path] = (),
    settings: Settings = Settings(),
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure a bundle on this machine.

    Args:
        bundle_path: of the bundle.
        asked: which combinations.
        inputs: files to predict on in turn; none draws a raw DX film of 3000 x 2500.
        settings: how much is measured.
        say: is told what is under way.

    Raises:
        UsageError: something was asked for that there is not.
        BundleError: the bundle is not to be trusted.
        InputError, Abstention: an input would never reach the engine.
    """
    with tempfile.TemporaryDirectory(prefix="cxredge-benchmark-") as scratch:
        folder = Path(scratch)
        with open_bundle(bundle_path, key=settings.key) as bundle:
            files = [path.resolve() for path in inputs]
            files = files or [write_sample(bundle, folder / "film.dcm", *settings.size)]
            described = [_describe(bundle, path, made=not inputs) for path in files]
            # Looked at before anything is started, which would count as load.
            machine = describe_machine()
            plan = make_plan(asked, bundle)
            gates = read_gate_reports(bundle)
            about = BundleMeasured(
                name=bundle.manifest.name,
                version=bundle.manifest.version,
                sha256=bundle.sha256,
                method=bundle.manifest.method,
            )
        runner = _Runner(bundle_path.resolve(), files, settings, folder, gates)
        found = _measure_all(runner, plan.run, say)
    return Report(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        complete=found.complete,
        machine=machine,
        versions=versions(),
        protocol=Protocol(
            seconds=settings.seconds, warm_up=settings.warm_up, cold_runs=settings.cold_runs, words=_WORDS
        ),
        bundle=about,
        inputs=tuple(described),
        results=tuple(found.results),
        not_run=(*plan.not_run, *found.not_run),
        advice=advise(found.results),
    )


def _describe(bundle: Bundle, path: Path, *, made: bool) -> InputMeasured:
    """Read an input once: what cannot reach the engine is refused before anything is measured."""
    spec = bundle.manifest.input
    radiograph = open_source(path)
    read_plane(
        radiograph,
        Geometry(spec.rows, spec.columns, spec.fit),
        Percentiles(spec.percentiles.low, spec.percentiles.high),
    )
    return InputMeasured(rows=radiograph.rows, columns=radiograph.columns, bytes=path.stat().st_size, made=made)


def _measure_all(runner: _Runner, combinations: Sequence[Combination], say: Callable[[str], None]) -> _Found:
    found = _Found()
    left = list(combinations)
    try:
        while left:
            combination = left[0]
            say(f"{len(combinations) - len(left) + 1} of {len(combinations)}: {name_of(combination)}")
            try:
                found.results.append(runner.measure(combination))
            except CxredgeError as error:
                found.not_run.append(_why(combination, str(error.code), error.detail or error.message))
            left.pop(0)
    except KeyboardInterrupt:
        found.complete = False
        found.not_run += [_why(combination, "interrupted", "stopped by Ctrl-C") for combination in left]
    return found


def _why(asked: Combination, code: str, reason: str) -> NotRun:
    return NotRun(
        engine=asked.engine,
        device=asked.device,
        precision=asked.precision,
        batch=asked.batch,
        threads=asked.threads,
        code=code,
        reason=reason,
    )


@dataclass(frozen=True, slots=True)
class _Runner:
    """Measures one combination."""

    bundle: Path
    inputs: list[Path]
    settings: Settings
    folder: Path
    gates: Reports

    def measure(self, asked: Combination) -> Result:
        """All of its figures.

        Raises:
            CxredgeError: it cannot be run here; the code and detail say why.
        """
        empty = self._cold_empty(asked)
        cache = self.folder / "cache"
        told = self._warm(asked, cache)
        warm = self._cold(asked, [cache] * self.settings.cold_runs)
        ran = msgspec.convert(told["ran"], Combination)
        accuracy, no_accuracy = accuracy_of(self.gates, ran)
        return msgspec.convert(
            {
                **{name: value for name, value in told.items() if name not in ("ok", "ran")},
                "asked": asked,
                "ran": ran,
                "cold_warm_cache": warm,
                "cold_empty_cache": empty,
                "accuracy": accuracy,
                "accuracy_reason": no_accuracy,
            },
            Result,
            from_attributes=True,
        )

    def _warm(self, asked: Combination, cache: Path) -> dict[str, Any]:
        order = {
            "asked": msgspec.to_builtins(asked),
            "bundle": str(self.bundle),
            "key": self.settings.key,
            "inputs": [str(path) for path in self.inputs],
            "seconds": self.settings.seconds,
            "warm_up": self.settings.warm_up,
        }
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            return run_child(
                {**order, "folder": place},
                Path(place),
                asked.engine,
                self._limit(),
                module="cxredge.benchmark.worker",
                CXREDGE_CACHE=str(cache),
            )

    def _cold_empty(self, asked: Combination) -> Cold | None:
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            return self._cold(asked, [Path(place) / str(number) for number in range(self.settings.cold_runs)])

    def _cold(self, asked: Combination, caches: Sequence[Path]) -> Cold | None:
        """New processes, each with its cache; a cold start is of one image, so only batch 1 has one."""
        if asked.batch != 1 or not caches:
            return None
        arguments = [str(self.inputs[0]), "--format", "json", "--quiet", "--bundle", str(self.bundle)]
        arguments += ["--engine", asked.engine, "--device", asked.device, "--precision", asked.precision]
        arguments += ["--threads", str(asked.threads)] if asked.threads else []
        arguments += ["--key", self.settings.key] if self.settings.key else []
        spent = [spend(arguments, self.folder, cache, self._limit()) for cache in caches]
        peaks = [peak for _, peak in spent if peak is not None]
        return Cold(seconds=spread([seconds for seconds, _ in spent], 4), peak_mb=max(peaks, default=None))

    def _limit(self) -> float:
        return compile_limit() + 10 * self.settings.seconds + _MARGIN
