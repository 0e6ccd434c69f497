"""Results of a benchmark as they would come out, with the figures that a test chooses."""

from __future__ import annotations

from cxredge.benchmark.advice import advise
from cxredge.benchmark.record import (
    STAGES,
    Accuracy,
    Bare,
    BundleMeasured,
    Combination,
    InputMeasured,
    Machine,
    NotRun,
    Protocol,
    Report,
    Result,
    Spread,
    Throughput,
)


def _spread(value: float) -> Spread:
    return Spread(p50=value, p95=value * 1.2, p99=value * 1.4, lowest=value * 0.9, highest=value * 1.5, runs=50)


def accuracy(mean_auroc: float) -> Accuracy:
    return Accuracy(mean_auroc=mean_auroc, mean_auroc_drop=0.001, cases=200)


def result(
    engine: str, precision: str, latency: float, *, batch: int = 1, rate: float = 10.0, accuracy: Accuracy | None = None
) -> Result:
    """A result whose batches take `latency` milliseconds, nine tenths of it in the engine."""
    asked = Combination(engine=engine, device="cpu", precision=precision, batch=batch, threads=None)
    stages = dict.fromkeys(STAGES, 0.02 * latency / batch) | {"engine": 0.9 * latency / batch}
    return Result(
        asked=asked,
        ran=asked,
        engine_version="1",
        statuses=("ok",),
        latency_ms=_spread(latency),
        stages_ms=stages,
        engine_ms=Bare(with_copies=_spread(0.9 * latency), without_copies=_spread(0.85 * latency)),
        overhead=0.1 if batch == 1 else None,
        throughput=Throughput(images=100, seconds=100 / rate, images_a_second=rate, threads=1),
        peak_mb=100.0,
        cold_warm_cache=None,
        cold_empty_cache=None,
        energy_reason="no counter",
        accuracy=accuracy,
        accuracy_reason="" if accuracy else "the bundle has no gate report",
    )


def report_of(*results: Result) -> Report:
    """A report that holds them."""
    machine = Machine(
        processor="a processor",
        flags=("avx2",),
        cores=2,
        affinity=2,
        governor="performance",
        memory_mb=8000,
        system="a system",
        gpus=(),
        load=0.0,
        core_variant="avx2",
    )
    missing = NotRun(engine="tensorrt", code="engine_missing", reason="tensorrt is not installed")
    return Report(
        date="2026-01-01T00:00:00+00:00",
        complete=True,
        machine=machine,
        versions={"python": "3.11"},
        protocol=Protocol(seconds=9.0, warm_up=3, cold_runs=3, words=("how",)),
        bundle=BundleMeasured(name="b", version="1", sha256="0" * 64, method="m"),
        inputs=(InputMeasured(rows=3000, columns=2500, bytes=15_000_000, made=True),),
        results=results,
        not_run=(missing,),
        advice=advise(results),
    )
