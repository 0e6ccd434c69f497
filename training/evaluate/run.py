"""An evaluation from checkpoint and data to the files of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cxredge.files import write_atomically
from training.checkpoint import assert_unseen, load, patient_tag
from training.errors import bad
from training.evaluate.plots import plot_auroc, plot_curves
from training.evaluate.predict import examine
from training.evaluate.report import curves, markdown, score
from training.fit.sources import Opened, Places, open_source_of
from training.recipes import Paper, Recipe, Source, parse

__all__ = ["Evaluation", "evaluate"]

DRAWN = Source(kind="phantoms", options={"test": 500, "seed": 2026, "finer": 4})
"""The drawn chests that judge a network whose recipe names none, of seeds that no recipe learns from, and reduced to
the network's input as files are."""


@dataclass(frozen=True)
class Evaluation:
    """How to evaluate.

    Attributes:
        checkpoint: the file.
        places: where data is.
        out: the folder of the report.
        kind: another data set than the recipe's; None is the recipe's.
        split: another division than the recipe's: official, random, or test (all cases).
        threshold: of heat maps.
        resamples: of the bootstrap.
        batch: images at once.
        device: of torch.
        opened: makes the data set of a source; for what no recipe can name.
    """

    checkpoint: Path
    places: Places
    out: Path
    kind: str | None = None
    split: str | None = None
    threshold: float = 0.5
    resamples: int = 1000
    batch: int = 16
    device: str = "cpu"
    opened: Callable[..., Opened] = open_source_of


def evaluate(wanted: Evaluation) -> dict[str, Any]:
    """Score a checkpoint on the test fold, and write report.json, report.md, roc.png and auroc.png.

    Raises:
        LeakError: a patient of the test fold trained the weights.
        CheckpointError: the file is no checkpoint.
        DataError: what is wrong with the data, with the file and the row.
        UsageError: there is no test fold.
    """
    model, facts = load(wanted.checkpoint)
    recipe = parse(facts.recipe, str(wanted.checkpoint))
    source = _source(recipe, wanted)
    data = wanted.opened(source, wanted.places, model.options)
    patients = data.patients("test")
    if not patients:
        raise bad(f"{data.name} has no test fold ({data.split.name}): --split test takes every image")
    assert_unseen(facts, map(patient_tag, patients), f"test of {data.name}")
    how = {"threshold": wanted.threshold, "batch": wanted.batch, "device": wanted.device}
    test = examine(model, data.samples("test"), data.boxes("test"), **how)  # type: ignore[arg-type]
    chosen = examine(model, data.samples("val"), **how) if data.patients("val") else None  # type: ignore[arg-type]
    report = score(
        facts,
        data.name,
        data.split,
        test,
        patients,
        chosen,
        _paper(recipe, source),
        people=data.people("test"),
        threshold=wanted.threshold,
        resamples=wanted.resamples,
    )
    lines = curves(test)
    write_atomically(wanted.out / "report.json", msgspec.json.format(msgspec.json.encode({**report, "curves": lines})))
    write_atomically(wanted.out / "report.md", markdown(report).encode("utf-8"))
    plot_curves(report, lines, wanted.out / "roc.png")
    plot_auroc(report, wanted.out / "auroc.png")
    return report


def _source(recipe: Recipe, wanted: Evaluation) -> Source:
    """The data set to score on: the recipe's, less what only teaches, or another kind."""
    own = {source.kind: source for source in recipe.sources(recipe.judged) if source.validates}
    kind = wanted.kind or next(iter(own))
    source = own.get(kind, DRAWN if kind == DRAWN.kind else Source(kind=kind, split="test"))
    if wanted.split is not None:
        content = {**msgspec.to_builtins(source), "split": wanted.split}
        source = msgspec.convert(content, Source)
    return source


def _paper(recipe: Recipe, source: Source) -> Paper | None:
    """The paper's figures, where they are on this kind of data."""
    return recipe.paper if source.kind in {own.kind for own in recipe.data} else None
