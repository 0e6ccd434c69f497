"""`python -m export import-weights`."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["import_weights"]


@click.command(name="import-weights")
@click.argument("weights", type=click.Path(path_type=Path))
@click.option("--layout", required=True, type=click.Choice(["chexnet", "torchxrayvision"]))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The checkpoint.")
@click.option("--unet", type=click.Path(path_type=Path), help="A checkpoint whose U-Net is taken.")
@click.option("--no-unet", is_flag=True, help="Leave the masks empty; the runtime then abstains on every image.")
@click.option("--labels", type=click.Path(path_type=Path), help="The outputs' names: a JSON list, or one a line.")
def import_weights(
    weights: Path, layout: str, out: Path, unet: Path | None, no_unet: bool, labels: Path | None
) -> None:
    """Make a checkpoint of published WEIGHTS: a state dict or safetensors of a DenseNet-121.

    Published weights do not segment, and every graph does: say whose U-Net to take.
    """
    if (unet is None) != no_unet:
        raise click.UsageError("give --unet CHECKPOINT, or --no-unet for empty masks")
    from export.imported import import_weights as run
    from export.imported import names_of

    found = run(weights, layout, out, unet=unet, labels=None if labels is None else names_of(labels))
    width = max(map(len, found.labels))
    rows = [f"{label:{width}}  output {index}" for label, index in found.labels.items()]
    if found.unused:
        rows.append(f"not used: {', '.join(found.unused)}")
    click.echo("\n".join([str(found.checkpoint), *rows, "", *found.departures]))
