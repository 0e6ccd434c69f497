"""Measures one combination, in a process of its own: `python -m cxredge.benchmark.worker ORDER`.

One process a combination keeps its memory and threads apart from the others', and a vendor's crash from the report.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cxredge.benchmark.energy import Meter
from cxredge.benchmark.figures import percentile, spread
from cxredge.benchmark.memory import peak_mb
from cxredge.benchmark.record import STAGES
from cxredge.engines.child import answer
from cxredge.errors import Code, CxredgeError, UsageError
from cxredge.files import write_atomically
from cxredge.pipeline import Model, load
from cxredge.prediction import Prediction
from cxredge.streams import FEWEST

__all__ = ["measure"]

_FEWEST = 3
"""So many rounds count, however long they take."""
_MOST = 5000
"""Files in a row; a faster network is measured for less time."""


def main(order_file: str) -> None:
    """Do what the order says and write the report that it names."""
    answer(order_file, measure)


def measure(order: dict[str, Any]) -> dict[str, Any]:
    """Everything about one combination that a running process can tell."""
    asked = order["asked"]
    with load(
        order["bundle"], asked["engine"], asked["device"], asked["precision"], asked["threads"], key=order["key"]
    ) as model:
        rounds = _Rounds(model, [Path(path) for path in order["inputs"]], asked["batch"], Path(order["folder"]))
        statuses = rounds.warm_up(order["warm_up"])
        copied, bare, why = rounds.measure(order["seconds"] * 2 / 3)
        throughput, energy, no_energy = rounds.stream(order["seconds"] / 3)
        ran = model.ran
    return {
        "ok": True,
        "ran": {"engine": ran.engine, "device": ran.device, "precision": ran.precision}
        | {"batch": asked["batch"], "threads": ran.threads},
        "engine_version": ran.engine_version,
        "statuses": statuses,
        "latency_ms": msgspec.to_builtins(spread(rounds.latencies)),
        "stages_ms": {name: round(percentile(values, 50), 3) for name, values in rounds.stages.items()},
        "engine_ms": {
            "with_copies": msgspec.to_builtins(spread(copied)),
            "without_copies": msgspec.to_builtins(spread(bare)) if bare else None,
            "reason": why,
        },
        "overhead": _overhead(rounds.latencies, bare) if asked["batch"] == 1 else None,
        "throughput": throughput,
        "energy": energy,
        "energy_reason": no_energy,
        "peak_mb": peak_mb(),
    }


def _overhead(latencies: list[float], bare: list[float]) -> float | None:
    """The median of the rounds' ratios: both sides of a ratio were taken within the same moment."""
    return round(percentile([a / b for a, b in zip(latencies, bare, strict=True)], 50) - 1.0, 4) if bare else None


class _Rounds:
    """One batch after another, from files to written results."""

    def __init__(self, model: Model, inputs: list[Path], batch: int, folder: Path) -> None:
        self._model = model
        self._batch = batch
        self._folder = folder
        self._files = itertools.cycle(inputs)
        self._count = len(inputs)
        self.latencies: list[float] = []
        self.stages: dict[str, list[float]] = {name: [] for name in STAGES}

    def warm_up(self, batches: int) -> list[str]:
        """Run what does not count; what became of each input."""
        statuses: list[str] = []
        for _ in range(max(batches, -(-self._count // self._batch))):
            for prediction in self._predict(self._next()):
                if prediction.ran is None:
                    reason = prediction.reason
                    raise UsageError(Code.BAD_ARGUMENT, f"an input never reaches the engine: {reason and reason.code}")
                statuses.append(prediction.status)
        return statuses[: self._count]

    def measure(self, seconds: float) -> tuple[list[float], list[float], str]:
        """Whole predictions and the engine alone, in turns: the engine with its copies, and without them."""
        session = self._model.session
        golden = self._model.golden_input()
        image = np.ascontiguousarray(np.repeat(golden[:1], self._batch, axis=0))
        alone, why = self._bound(image)
        copied: list[float] = []
        bare: list[float] = []
        end = time.perf_counter() + seconds
        while len(self.latencies) < _FEWEST or time.perf_counter() < end:
            self._one_round()
            copied.append(_timed(lambda: session.run(image)))
            if alone is not None:
                bare.append(_timed(alone))
        return copied, bare, why

    def _bound(self, image: Any) -> tuple[Callable[[], None] | None, str]:
        try:
            alone = self._model.session.bound(image)
            alone()
        except CxredgeError as error:
            return None, error.detail
        return alone, ""

    def _one_round(self) -> None:
        files = self._next()
        began = time.perf_counter()
        written = 0.0
        predictions = self._predict(files)
        for prediction in predictions:
            start = time.perf_counter()
            self._write(prediction)
            written += (time.perf_counter() - start) * 1e3
        self.latencies.append((time.perf_counter() - began) * 1e3)
        for prediction in predictions:
            timing = prediction.timing_ms
            for name in STAGES[:-1]:
                self.stages[name].append(getattr(timing, name))
        self.stages["write"].append(written / len(predictions))

    def stream(self, seconds: float) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
        """A list of files, as a folder is predicted on; energy is counted along."""
        self._predict_all(FEWEST)  # the first list of so many may open a session of its own
        count = max(FEWEST, self._batch, min(_MOST, round(seconds * 1e3 * self._batch / self.latencies[-1])))
        meter = Meter()
        meter.start()
        began = time.perf_counter()
        threads = self._predict_all(count)
        spent = time.perf_counter() - began
        energy = meter.stop(count)
        told = {"images": count, "seconds": round(spent, 3), "images_a_second": round(count / spent, 3)}
        return told | {"threads": threads}, [msgspec.to_builtins(one) for one in energy], "" if energy else meter.reason

    def _predict_all(self, count: int) -> int | None:
        """Predict on so many files and write the results; the threads that each took."""
        threads = None
        files = list(itertools.islice(self._files, count))
        for prediction in self._model.predict_many(files, batch_size=self._batch):
            self._write(prediction)
            threads = prediction.ran.threads if prediction.ran else None
        return threads

    def _next(self) -> list[Path]:
        return list(itertools.islice(self._files, self._batch))

    def _predict(self, files: list[Path]) -> list[Prediction]:
        if len(files) == 1:
            return [self._model.predict(files[0])]
        return list(self._model.predict_many(files, batch_size=self._batch))

    def _write(self, prediction: Prediction) -> None:
        write_atomically(self._folder / "result.json", prediction.to_json().encode() + b"\n")


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) * 1e3


if __name__ == "__main__":
    main(sys.argv[1])
