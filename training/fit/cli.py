"""`python -m training fit`: train what a recipe says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

__all__ = ["default_cache", "fit", "places_of"]


def default_cache() -> Path:
    """Where caches of planes go: CXREDGE_CACHE, else the system's folder for caches."""
    named = os.environ.get("CXREDGE_CACHE")
    return (Path(named) if named else Path(click.get_app_dir("cxredge"))) / "training"


def places_of(data: tuple[str, ...], cache: Path | None, quiet: bool, draw_on: str | None = None) -> Any:
    """--data DIR and --data KIND=DIR as `Places`."""
    from training.fit.sources import Places

    root: Path | None = None
    kinds: dict[str, Path] = {}
    for word in data:
        kind, equals, folder = word.partition("=")
        if equals and "/" not in kind and "\\" not in kind:
            kinds[kind] = Path(folder)
        else:
            root = Path(word)
    for there in (*kinds.values(), *([root] if root else [])):
        if not there.exists():
            raise click.BadParameter(f"there is no folder {there}", param_hint="--data")
    say = (lambda _: None) if quiet else _say
    return Places(root, kinds, cache or default_cache(), say=say, draw_on=draw_on)


def _say(line: str) -> None:
    if os.environ.get("RANK", "0") == "0":
        click.echo(line, err=True)


@click.command()
@click.argument("recipe")
@click.option("--data", multiple=True, metavar="[KIND=]DIR", help="Where the data is; one folder, or one a kind.")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder. [default: runs/RECIPE]")
@click.option("--epochs", type=click.IntRange(1), help="Of every stage, in place of the recipe's.")
@click.option("--width", type=click.FloatRange(0, min_open=True), help="Channels of the networks, times this.")
@click.option("--batch", type=click.IntRange(1), help="Images a step over all processes, in place of the recipe's.")
@click.option("--seed", type=click.IntRange(0), help="In place of the recipe's.")
@click.option("--without", multiple=True, metavar="SWITCH", help="Turn an ablation switch off; may be repeated.")
@click.option("--resume", is_flag=True, help="Go on with what is in --out.")
@click.option("--weights", type=click.Path(path_type=Path), help="Published weights of the backbone.")
@click.option("--unet", type=click.Path(path_type=Path), help="A checkpoint whose U-Net (and gate) is taken.")
@click.option(
    "--start",
    type=click.Path(path_type=Path),
    help="A checkpoint of the same network: its weights are taken, and the stages behind it are not run again.",
)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A checkpoint that a stage `distil` learns from beside the labels; may be repeated.",
)
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that load images.")
@click.option("--precision", default="auto", show_default=True, help="Lightning's; auto is mixed on an accelerator.")
@click.option("--accelerator", default="auto", show_default=True, help="Lightning's: auto, cpu, gpu, ...")
@click.option("--cache", type=click.Path(path_type=Path), help="Where decoded planes are kept.")
@click.option("--draw-on", metavar="DEVICE", help="Of torch, develops drawn chests in batches: auto, cuda, cpu.")
@click.option("--quiet", is_flag=True, help="Say nothing.")
def fit(
    recipe: str,
    data: tuple[str, ...],
    out: Path | None,
    epochs: int | None,
    width: float | None,
    batch: int | None,
    seed: int | None,
    without: tuple[str, ...],
    cache: Path | None,
    draw_on: str | None,
    quiet: bool,
    **rest: Any,
) -> None:
    """Train the method of RECIPE, a name of `training/recipes` or a TOML file.

    Checkpoints go to --out: best.pt at the end, and best.pt and last.pt of each stage after every epoch. Under
    `torchrun`, all processes train together.
    """
    from training import recipes
    from training.fit.run import Fit, options_of
    from training.fit.run import fit as run
    from training.fit.sources import folds_of

    wanted, departures = recipes.adjusted(
        recipes.find(recipe), epochs=epochs, width=width, batch=batch, seed=seed, without=without
    )
    places, options = places_of(data, cache, quiet, draw_on), options_of(wanted)
    outcome = run(
        Fit(
            wanted,
            lambda stage: folds_of(stage, wanted.sources(stage), places, options, wanted.seed),
            out or Path("runs") / wanted.name,
            departures,
            say=places.say,
            **rest,
        )
    )
    if os.environ.get("RANK", "0") == "0":
        click.echo(str(outcome.checkpoint))
