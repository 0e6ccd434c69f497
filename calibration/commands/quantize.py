"""`python -m calibration quantize`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from calibration.commands.options import FILE, judging

__all__ = ["quantize"]


@click.command()
@click.argument("graph", type=FILE)
@click.option("--data", required=True, type=FILE, help="Table of cases whose images calibrate.")
@click.option(
    "--judge", "judged", type=FILE, help="Table of other patients' cases for the gate.  [default: the rest of --data]"
)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the results.")
@click.option("--images", default=300, show_default=True, type=click.IntRange(1), help="How many images calibrate.")
@click.option("--full-range", is_flag=True, help="Weights of the full range: only for processors with VNNI.")
@click.option("--unsigned", is_flag=True, help="Activations that are never negative stay unsigned: no TensorRT.")
@click.option("--most-float", default=0.5, show_default=True, help="Share of the layers that may stay float.")
@click.option("--seed", default=0, show_default=True, help="Of the choice of images.")
@judging
def quantize(
    graph: Path, data: Path, judged: Path | None, out: Path, explain: bool, as_json: bool, engines: tuple[str, ...],
    thresholds: Path | None, input_gate: Path | None, time_limit: float, **rest: Any,
) -> None:  # fmt: skip
    """Make GRAPH (fp32) an INT8 graph that passes the gate, in the folder --out.

    An interrupted run goes on where it was. A graph that fails the gate is not written, and the exit code is 1.
    """
    from calibration.cases import read_table
    from calibration.input_gate import limits_for
    from calibration.reports import gate_report
    from calibration.thresholds import read_points
    from calibration.workshop import Wishes, make_int8
    from export.graphfile import open_graph

    fp32 = open_graph(graph)
    wishes = Wishes(
        gate_limits=limits_for(input_gate, fp32),
        engines=engines,
        thresholds=None if thresholds is None else read_points(thresholds),
        limit_seconds=time_limit,
        say=lambda line: click.echo(line, err=True),
        **rest,
    )
    table = read_table(data)
    others = None if judged is None else read_table(judged)
    try:
        report = make_int8(fp32, table, others, out, wishes)
    finally:
        if explain and (out / "quantisation.md").is_file():
            click.echo((out / "quantisation.md").read_text(encoding="utf-8"))
    click.echo(json.dumps(report["gate"], indent=1) if as_json else gate_report(report["gate"]))
