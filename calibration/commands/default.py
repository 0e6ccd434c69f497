"""`python -m calibration default`."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["default"]

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--data", required=True, type=FOLDER, help="The folder that holds nih/ and lungs/.")
@click.option("--out", required=True, type=FOLDER, help="Where everything is made; a stopped run goes on there.")
def default(data: Path, out: Path) -> None:
    """Make the bundle that comes with cxredge: train, measure, export, quantise, choose thresholds, seal.

    A night on two processor cores; less with an accelerator.
    """
    from calibration.default_bundle import make_bundle

    made = make_bundle(data, out, lambda line: click.echo(line, err=True))
    click.echo(str(made))
