"""`python -m calibration score`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from calibration.commands.options import ENGINE_NAMES, FILE

__all__ = ["score"]


@click.command()
@click.argument("graph", type=FILE)
@click.option("--data", required=True, type=FILE, help="Table of cases.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file of scores (.npz)."
)
@click.option("--engine", type=click.Choice(ENGINE_NAMES), default="onnxruntime", show_default=True)
@click.option("--time-limit", default=300.0, show_default=True, help="Seconds that the engine may compile.")
@click.option(
    "--validation-too",
    is_flag=True,
    help="Also cases that chose the epoch and taught nothing: figures are a little too good, and say so.",
)
def score(graph: Path, data: Path, out: Path, engine: str, time_limit: float, validation_too: bool) -> None:
    """Run GRAPH on labelled cases and keep its logits, their truth and tags of their patients.

    Cases whose patients trained or calibrated the graph are refused.
    """
    from calibration.cases import read_table
    from calibration.planes import geometry_of, prepare
    from calibration.running import answer
    from calibration.scores import write_scores
    from calibration.seen import chosen_by, refuse_seen
    from export.graphfile import open_graph

    opened, table = open_graph(graph), read_table(data)
    refuse_seen(opened, table.tags, chosen_too=validation_too)
    with tempfile.TemporaryDirectory(prefix="cxredge-score-") as folder:
        planes = prepare(table, geometry_of(opened), Path(folder))
        given = answer(opened, engine, planes, limit_seconds=time_limit)
        write_scores(out, opened, planes, given, chosen_on=len(chosen_by(opened) & set(table.tags)))
    click.echo(f"{out}: {len(planes)} images, {planes.refused} refused")
