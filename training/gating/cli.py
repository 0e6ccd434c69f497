"""`python -m training gate`: measure a checkpoint's gate and choose its thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from training.fit.cli import places_of

__all__ = ["gate"]


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--data", multiple=True, metavar="[KIND=]DIR", help="Where the data is; one folder, or one a kind.")
@click.option("--kind", help="Test on another data set, such as shenzhen. [default: the recipe's test folds]")
@click.option(
    "--split", type=click.Choice(["official", "random", "test"]), help="Another split; test: every image is tested."
)
@click.option(
    "--files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Show the gate every file of a folder, whatever its tags say; may be repeated.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The report's folder. [default: beside the checkpoint]")
@click.option(
    "--allowed",
    type=click.FloatRange(0, 1),
    default=0.005,
    show_default=True,
    help="Share of upright validation chests that one question may refuse.",
)
@click.option("--resamples", type=click.IntRange(10), default=1000, show_default=True, help="Of the bootstrap.")
@click.option("--device", default="cpu", show_default=True, help="Of torch: cpu, cuda, mps.")
@click.option("--cache", type=click.Path(path_type=Path), help="Where decoded planes and drawn pictures are kept.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON in place of Markdown.")
def gate(
    checkpoint: Path, data: tuple[str, ...], out: Path | None, cache: Path | None, as_json: bool, **rest: Any
) -> None:
    """Choose thresholds for the gate of CHECKPOINT on validation chests, and judge them on test chests.

    Writes input_gate.json, which `python -m calibration seal --input-gate` takes, input_gate.md and, with --files,
    input_gate_files.md.
    """
    import msgspec

    from training.gating.report import files_markdown, markdown
    from training.gating.run import Measuring, measure

    folder = out or checkpoint.parent / "evaluation"
    report = measure(Measuring(checkpoint, places_of(data, cache, quiet=False), folder, **rest))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
        return
    click.echo(markdown(report))
    if report["files"]:
        click.echo(files_markdown(report))
