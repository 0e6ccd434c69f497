"""`python -m calibration gate`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click

from calibration.commands.options import FILE, judging

__all__ = ["gate"]


@click.command()
@click.argument("fp32", type=FILE)
@click.argument("int8", type=FILE, required=False)
@click.option("--bf16", is_flag=True, help="Judge FP32 itself, run in bfloat16, where this processor computes that.")
@click.option("--data", required=True, type=FILE, help="Table of held-out cases.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Stem of the report: OUT.json, .md, .png.")
@judging
def gate(
    fp32: Path, int8: Path | None, bf16: bool, data: Path, out: Path, explain: bool, as_json: bool,
    engines: tuple[str, ...], thresholds: Path | None, input_gate: Path | None, rounds: int, resamples: int,
    time_limit: float,
) -> None:  # fmt: skip
    """Compare the graphs FP32 and INT8, or FP32 with itself in bfloat16, on held-out cases.

    Exit code 1 where the variant does not pass.
    """
    from calibration.cases import read_table
    from calibration.errors import CalibrationError, Problem
    from calibration.input_gate import limits_for
    from calibration.judge import Judge, in_bfloat16
    from calibration.planes import geometry_of, prepare
    from calibration.reports import gate_report, write_gate
    from calibration.seen import refuse_seen
    from calibration.thresholds import read_points
    from export.graphfile import open_graph

    if (int8 is None) != bf16:
        raise click.UsageError("the gate judges an INT8 graph, or FP32 with --bf16")
    one, table = open_graph(fp32), read_table(data)
    other = in_bfloat16(one) if int8 is None else open_graph(int8)
    if int8 is None:
        engines = _with_bfloat16(engines)
    elif other.precision != "int8" or other.metadata.get("fp32_sha256") not in (None, one.sha256):
        raise CalibrationError(Problem.GATE, f"{int8} is not an INT8 graph made of {fp32}")
    refuse_seen(one, table.tags, chosen_too=True)
    refuse_seen(other, table.tags, chosen_too=True)
    with tempfile.TemporaryDirectory(prefix="cxredge-gate-") as folder:
        judge = Judge(
            one,
            prepare(table, geometry_of(one), Path(folder)),
            engines,
            None if thresholds is None else read_points(thresholds),
            limits_for(input_gate, one),
            resamples=resamples,
            limit_seconds=time_limit,
            say=lambda line: click.echo(line, err=True),
        )
        report = judge.judge(other, rounds=rounds)
    write_gate(report, out)
    if explain and int8 is not None:
        click.echo(_explained(int8))
    click.echo(json.dumps(report, indent=1) if as_json else gate_report(report))
    if not report["passed"]:
        raise CalibrationError(Problem.GATE, _first(report))


def _with_bfloat16(engines: tuple[str, ...]) -> tuple[str, ...]:
    """Those that offer it here."""
    from calibration.errors import CalibrationError, Problem
    from calibration.running import with_bfloat16

    found = with_bfloat16(engines)
    if not found:
        detail = f"none of {', '.join(engines)} computes bfloat16 on this processor (OpenVINO does with AVX-512)"
        raise CalibrationError(Problem.MACHINE, detail)
    return found


def _first(report: dict[str, Any]) -> str:
    return next(f"{row['engine']}: {row['reasons'][0]}" for row in report["engines"] if row["reasons"])


def _explained(int8: Path) -> str:
    told = int8.with_name("quantisation.md")
    return told.read_text(encoding="utf-8") if told.is_file() else f"{told} is not there: quantize writes it"
