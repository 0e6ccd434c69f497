"""`python -m training evaluate`: score a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from training.fit.cli import places_of

__all__ = ["evaluate"]


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--data", multiple=True, metavar="[KIND=]DIR", help="Where the data is; one folder, or one a kind.")
@click.option("--kind", help="Another data set than the recipe's: shenzhen, phantoms, ... [default: the recipe's]")
@click.option(
    "--split", type=click.Choice(["official", "random", "test"]), help="Another split; test: every image is tested."
)
@click.option("--out", type=click.Path(path_type=Path), help="The report's folder. [default: beside the checkpoint]")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Of heat-map boxes.")
@click.option("--resamples", type=click.IntRange(10), default=1000, show_default=True, help="Of the bootstrap.")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Images at once.")
@click.option("--device", default="cpu", show_default=True, help="Of torch: cpu, cuda, mps.")
@click.option("--cache", type=click.Path(path_type=Path), help="Where decoded planes are kept.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON in place of Markdown.")
def evaluate(
    checkpoint: Path,
    data: tuple[str, ...],
    out: Path | None,
    cache: Path | None,
    as_json: bool,
    **rest: Any,
) -> None:
    """Score CHECKPOINT on a test fold whose patients it has not seen, beside the paper's figures.

    Writes report.json, report.md, roc.png and auroc.png.
    """
    import msgspec

    from training.evaluate.report import markdown
    from training.evaluate.run import Evaluation
    from training.evaluate.run import evaluate as run

    folder = out or checkpoint.parent / "evaluation"
    report = run(Evaluation(checkpoint, places_of(data, cache, quiet=False), folder, **rest))
    click.echo(msgspec.json.format(msgspec.json.encode(report)).decode() if as_json else markdown(report))
