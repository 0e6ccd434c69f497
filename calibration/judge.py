"""A gate report from two graphs and held-out cases: all engines, latencies, the verdict for each."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

from calibration.gate import BOUNDS, SCHEMA, Bounds, Held, Thresholds, compare, points_of
from calibration.input_gate import HALF
from calibration.planes import Planes
from calibration.running import ENGINES, Answers, answer, session
from calibration.seen import list_sha256
from cxredge.engines.machine import cpu_identity
from cxredge.errors import EngineError
from export.graphfile import GraphFile

__all__ = ["Judge", "in_bfloat16", "latency"]

ROUNDS = 30


def in_bfloat16(fp32: GraphFile) -> GraphFile:
    """The same graph, to be run in bfloat16."""
    return dataclasses.replace(fp32, precision="bf16")


@dataclass(slots=True)
class Judge:
    """Compares variants with one fp32 graph, whose answers are kept from variant to variant.

    Attributes:
        fp32: the graph.
        planes: held-out cases.
        engines: by name.
        thresholds: logits by operating point; None chooses the standard points on the cases.
        gate_limits: probabilities from which the input gate refuses.
        bounds: of the gate.
        resamples: of the bootstrap.
        limit_seconds: of one compilation.
        say: told what takes long.
    """

    fp32: GraphFile
    planes: Planes
    engines: tuple[str, ...] = ENGINES
    thresholds: Thresholds | None = None
    gate_limits: tuple[float, ...] = HALF
    bounds: Bounds = BOUNDS
    resamples: int = 1000
    limit_seconds: float = 300.0
    say: Callable[[str], None] = lambda _: None
    _answers: dict[str, Answers] = field(default_factory=dict, repr=False)

    def reference(self, engine: str) -> Answers:
        """What the fp32 graph answers on an engine.

        Raises:
            EngineError: that engine cannot run it.
        """
        if engine not in self._answers:
            self.say(f"fp32 on {engine}, {len(self.planes)} images")
            self._answers[engine] = answer(self.fp32, engine, self.planes, limit_seconds=self.limit_seconds)
        return self._answers[engine]

    def judge(
        self, variant: GraphFile, *, rounds: int = ROUNDS, intervals: bool = True, bounds: Bounds | None = None
    ) -> dict[str, Any]:
        """The report `cxredge.gate/1`: `passed` is true where all engines pass, `engines_passed` names those that do.

        Args:
            variant: an INT8 graph, or the fp32 graph as `in_bfloat16` gives it.
            rounds: of the latency measurement; 0 leaves it out.
            intervals: whether drops get theirs; the verdict needs none.
            bounds: in place of the judge's own.

        Raises:
            EngineError: an engine cannot run the fp32 graph.
        """
        first = self.reference(self.engines[0])
        told, without = self.thresholds, {}
        if told is None:
            told, without = points_of(self.planes, first)
        bounds = bounds or self.bounds
        held = Held(self.planes, told, self.resamples if intervals else 0, 0, bounds, self.gate_limits)
        rows = [self._row(variant, engine, held, rounds) for engine in self.engines]
        passed = [row["engine"] for row in rows if row["passed"]]
        return {
            "schema": SCHEMA,
            "method": self.fp32.metadata.get("method"),
            "fp32_sha256": self.fp32.sha256,
            "precision": variant.precision,
            f"{variant.precision}_sha256": variant.sha256,
            "float_layers": variant.metadata.get("float_layers", []),
            "bytes": {"fp32": len(self.fp32.data), variant.precision: len(variant.data)},
            "cases": self._cases(),
            "points": {name: list(values) for name, values in told.items()},
            "without_points": without,
            "bounds": dataclasses.asdict(bounds),
            "bootstrap": {"resamples": self.resamples, "seed": 0, "level": 0.95, "over": "patients"},
            "machine": {"processor": cpu_identity(), "system": platform.system()},
            "engines": rows,
            "engines_passed": passed,
            "passed": len(passed) == len(rows),
        }

    def _cases(self) -> dict[str, Any]:
        table = self.planes.table
        return {
            "table_sha256": table.sha256,
            "images": len(self.planes),
            "images_sha256": list_sha256(self.planes.hashes),
            "refused": self.planes.refused,
            "patients": len(set(table.tags)),
        }

    def _row(self, variant: GraphFile, engine: str, held: Held, rounds: int) -> dict[str, Any]:
        fp32 = self.reference(engine)
        self.say(f"{variant.precision} on {engine}")
        try:
            given = answer(variant, engine, self.planes, limit_seconds=self.limit_seconds)
        except EngineError as error:
            return {
                "engine": engine,
                "version": fp32.info.version,
                "reasons": [f"{error.code}: {error.detail}"],
                "outputs_at_fault": [],
                "passed": False,
            }
        row = compare(held, fp32, given)
        if rounds:
            row["latency"] = latency(self.fp32, variant, engine, self.planes, rounds, self.limit_seconds)
        return row


def latency(
    fp32: GraphFile, variant: GraphFile, engine: str, planes: Planes, rounds: int, limit_seconds: float
) -> dict[str, Any]:
    """Milliseconds of one image, both graphs open at once and run in turn (A B A B); medians, and their ratio."""
    image = planes.batch(0)
    with session(fp32, engine, image, limit_seconds) as one, session(variant, engine, image, limit_seconds) as other:
        kind = variant.precision
        spent: Mapping[str, list[float]] = {"fp32": [], kind: []}
        for _ in range(rounds):
            for name, found in (("fp32", one), (kind, other)):
                began = perf_counter()
                found.session.run(image)
                spent[name].append((perf_counter() - began) * 1e3)
        threads = other.session.info.threads
    medians = {name: _median(values) for name, values in spent.items()}
    return {
        "fp32_ms": medians["fp32"],
        f"{kind}_ms": medians[kind],
        "ratio": medians["fp32"] / medians[kind],
        "rounds": rounds,
        "threads": threads,
    }


def _median(values: Sequence[float]) -> float:
    """Without the first tenth, which warms caches."""
    return float(median(values[len(values) // 10 :]))
