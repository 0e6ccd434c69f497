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
def score(graph: Path, data: Path, out: Path, engine: str, time_limit: float) -> None:
    """Run GRAPH on labelled cases and keep its logits, their truth and tags of their patients.

    Cases whose patients trained or calibrated the graph are refused.
    """
    from calibration.cases import read_table
    from calibration.planes import geometry_of, prepare
    from calibration.running import answer
    from calibration.scores import write_scores
    from calibration.seen import refuse_seen
    from export.graphfile import open_graph

    opened, table = open_graph(graph), read_table(data)
    refuse_seen(opened, table.tags)
    with tempfile.TemporaryDirectory(prefix="cxredge-score-") as folder:
        planes = prepare(table, geometry_of(opened), Path(folder))
        given = answer(opened, engine, planes, limit_seconds=time_limit)
        write_scores(out, opened, planes, given)
    click.echo(f"{out}: {len(planes)} images, {planes.refused} refused")
