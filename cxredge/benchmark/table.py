"""A benchmark for a person: what was measured, what was not and why, and what to use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cxredge.benchmark.machine import disturbed
from cxredge.benchmark.record import STAGES, Cold, NotRun, Report, Result

__all__ = ["table"]


def table(report: Report) -> str:
    """The whole report as text."""
    lines = [*_head(report)]
    if report.results:
        lines += ["", "Warm, milliseconds: a batch from files to written results", *_latencies(report.results)]
        lines += ["", "Where it goes, milliseconds an image (medians)", *_stages(report.results)]
        lines += ["", "Cold start, memory, energy, accuracy", *_rest(report.results)]
        lines += _reasons(report.results)
    if report.not_run:
        lines += ["", "Not run", *(f"  {_asked(one)}: {one.reason} ({one.code})" for one in report.not_run)]
    return "\n".join([*lines, "", report.advice])


def _head(report: Report) -> Iterable[str]:
    machine, bundle = report.machine, report.bundle
    yield f"{bundle.name} {bundle.version} on {machine.processor}, {machine.affinity} of {machine.cores} cores"
    yield f"  {' '.join(machine.flags)}; governor {machine.governor}; {', '.join(machine.gpus) or 'no NVIDIA GPU'}"
    for one in report.inputs:
        drawn = ", drawn" if one.made else ""
        yield f"  input {one.columns} x {one.rows}, {one.bytes / 1e6:.1f} MB{drawn}"
    if said := disturbed(machine):
        yield f"  {said}"


def _latencies(results: Sequence[Result]) -> Iterable[str]:
    head = ["", "p50", "p95", "p99", "images/s", "engine", "no copies", "overhead"]
    rows = [head]
    for result in results:
        spread, bare = result.latency_ms, result.engine_ms.without_copies
        rows.append(
            [
                _name(result),
                *(f"{value:.1f}" for value in (spread.p50, spread.p95, spread.p99)),
                f"{result.throughput.images_a_second:.1f}",
                f"{result.engine_ms.with_copies.p50:.1f}",
                f"{bare.p50:.1f}" if bare else "-",
                "-" if result.overhead is None else f"{result.overhead:.0%}",
            ]
        )
    return _aligned(rows)


def _stages(results: Sequence[Result]) -> Iterable[str]:
    rows = [["", *STAGES]]
    rows += [[_name(result), *(f"{result.stages_ms[name]:.2f}" for name in STAGES)] for result in results]
    return _aligned(rows)


def _rest(results: Sequence[Result]) -> Iterable[str]:
    rows = [["", "cold s", "cache empty s", "cold MB", "warm MB", "J/image", "mean AUROC"]]
    for result in results:
        energy, accuracy = result.energy, result.accuracy
        rows.append(
            [
                _name(result),
                _seconds(result.cold_warm_cache),
                _seconds(result.cold_empty_cache),
                _known(result.cold_warm_cache.peak_mb if result.cold_warm_cache else None, "{:.0f}"),
                _known(result.peak_mb, "{:.0f}"),
                " + ".join(f"{one.joules_an_image:.2f}" for one in energy) or "-",
                _known(accuracy.mean_auroc if accuracy else None, "{:.3f}"),
            ]
        )
    return _aligned(rows)


def _reasons(results: Sequence[Result]) -> Iterable[str]:
    """Each reason for a dash once."""
    said = {
        "energy": {result.energy_reason for result in results},
        "accuracy": {result.accuracy_reason for result in results},
        "engine without copies": {result.engine_ms.reason for result in results},
    }
    return [f"  no {what}: {reason}" for what, reasons in said.items() for reason in sorted(reasons) if reason]


def _seconds(cold: Cold | None) -> str:
    return f"{cold.seconds.p50:.2f}" if cold else "-"


def _known(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _name(result: Result) -> str:
    ran = result.ran
    threads = "" if ran.threads is None else f" {ran.threads} thread{'s' if ran.threads > 1 else ''}"
    return f"  {ran.engine} {ran.device} {ran.precision} batch {ran.batch}{threads}"


def _asked(one: NotRun) -> str:
    words = [one.engine, one.device or "", one.precision or ""]
    words += [f"batch {one.batch}" if one.batch else "", f"{one.threads} threads" if one.threads else ""]
    return " ".join(word for word in words if word)


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
