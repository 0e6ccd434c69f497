"""`python -m training data`: what a data set holds, and its cache."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from training.data import Collection, Split

__all__ = ["data"]

# Named here so that help needs no table of openers; a test compares them with `training.data.KINDS`.
KIND_NAMES = ("chestxray14", "chexpert", "jsrt", "montgomery", "shenzhen", "nih", "csv")


@click.command()
@click.argument("kind", type=click.Choice(KIND_NAMES))
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--split",
    type=click.Choice(["official", "random", "test", "none"]),
    help="official: the folds that came with the set; random: 70/10/20 by patient, unofficial; test: all cases judge."
    "  [default: official where the set has folds]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the split.")
@click.option(
    "--validation", type=click.FloatRange(0, 0.5), default=0.1, show_default=True, help="Share cut from training."
)
@click.option("--uncertain", type=click.Choice(["ones", "zeros", "mixed", "ignore"]), help="chexpert: what -1 becomes.")
@click.option("--blank", type=click.Choice(["zero", "unknown"]), help="chexpert: what an empty label becomes.")
@click.option("--partial", is_flag=True, help="chestxray14: go on with the images that are here.")
@click.option("--table", help="csv: the table's name.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="csv: a further column; may be repeated.")
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), help="Build the cache of planes in this folder."
)
@click.option("--size", type=click.IntRange(8), default=256, show_default=True, help="Side of the cached planes.")
@click.option("--fit", type=click.Choice(["stretch", "pad", "crop"]), default="pad", show_default=True)
@click.option("--workers", type=click.IntRange(0), help="Processes that build the cache.  [default: one a processor]")
@click.option(
    "--write-cases",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a fold as the table that `cxredge site` and `python -m calibration` read.",
)
@click.option("--fold", type=click.Choice(["train", "val", "test"]), default="val", show_default=True)
@click.option("--verify", is_flag=True, help="Compare every cached plane with its check sum.")
def data(
    kind: str,
    folder: Path,
    as_json: bool,
    split: Literal["official", "random", "test", "none"] | None,
    seed: int,
    validation: float,
    cache: Path | None,
    write_cases: Path | None,
    fold: str,
    **options: Any,
) -> None:
    """Summarise the data set of KIND in FOLDER, as its makers ship it: cases, patients, positives, folds, split.

    What is wrong with it is told with the file and the line, and ends in exit code 2.
    """
    from training.data import open_collection, split_of, summarise
    from training.data.summary import lines

    chosen = {name: options.pop(name) for name in ("uncertain", "blank", "partial", "table", "ignore")}
    collection = open_collection(kind, folder, **{name: value for name, value in chosen.items() if value})
    wanted = split or ("official" if collection.folds else "none")
    made = None if wanted == "none" else split_of(collection, seed=seed, validation=validation, kind=wanted)
    facts = {"kind": kind, **summarise(collection, made)}
    if cache is not None:
        facts["cache"] = _cached(collection, cache, **options)
    if write_cases is not None:
        facts["written"] = _written(collection, made, fold, write_cases)
    text = json.dumps(facts, indent=2) if as_json else lines(facts)
    click.echo(text + (f"\n  cache: {facts['cache']['folder']}" if cache is not None and not as_json else ""))


def _written(collection: Collection, made: Split | None, fold: str, path: Path) -> dict[str, Any]:
    from training.data.write_cases import write_cases

    if made is None:
        raise click.UsageError("--write-cases takes a fold: give --split")
    count = write_cases((collection.cases[index] for index in made.fold(fold)), path)
    click.echo(f"{path}: {count} cases of the fold {fold}", err=True)
    return {"file": str(path), "fold": fold, "cases": count}


def _cached(
    collection: Collection, folder: Path, *, size: int, fit: Any, workers: int | None, verify: bool
) -> dict[str, Any]:
    from cxredge.pixels import Geometry
    from training.data import PlaneCache

    with _progress(len(collection.cases)) as progress:
        cache = PlaneCache.build(
            collection, folder, geometry=Geometry(size, size, fit), workers=workers, verify=verify, progress=progress
        )
    return {"folder": str(cache.folder), "planes": len(cache), "rows": size, "columns": size, "fit": fit}


@contextmanager
def _progress(count: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, where somebody looks at it."""
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=count, label="planes", file=sys.stderr, hidden=hidden) as bar:
        yield lambda done, _: bar.update(done - bar.pos)
