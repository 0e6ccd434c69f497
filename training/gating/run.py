"""How well a checkpoint's gate does, and the thresholds that a bundle takes: `cxredge.input_gate/1`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from cxredge.errors import Code
from cxredge.files import write_atomically
from cxredge.operating_points import exact_interval
from cxredge.pixels import Geometry
from training.checkpoint import assert_unseen, load, patient_tag
from training.errors import CheckpointError, bad
from training.fit.sources import FIT, Opened, Places, open_source_of
from training.gate import QUESTIONS
from training.gating.files import planes_of_folder
from training.gating.measure import ALLOWED, LEAST, Seen, chosen, logits_of, look, probabilities, rates
from training.gating.report import files_markdown, markdown
from training.gating.samples import GateSamples
from training.methods.base import Method
from training.recipes import Recipe, Source, parse

__all__ = ["SCHEMA", "Measuring", "measure"]

SCHEMA = "cxredge.input_gate/1"
AS_IS = "as it is"


@dataclass(frozen=True)
class Measuring:
    """How to measure.

    Attributes:
        checkpoint: the file.
        places: where data is.
        out: the folder of the report.
        kind: a data set to test on, other than the recipe's.
        split: its division: official, random, or test (all cases).
        files: folders whose files are shown to the gate one by one.
        allowed: share of upright validation chests that one question may refuse.
        resamples: of the bootstrap.
        device: of torch.
    """

    checkpoint: Path
    places: Places
    out: Path
    kind: str | None = None
    split: str | None = None
    files: tuple[Path, ...] = ()
    allowed: float = ALLOWED
    resamples: int = 1000
    device: str = "cpu"


def measure(wanted: Measuring) -> dict[str, Any]:
    """Choose thresholds on the validation folds, judge them on test folds, and write the report.

    Files: input_gate.json, input_gate.md and, where files were shown, input_gate_files.md with their names.

    Raises:
        CheckpointError: the file is no checkpoint, or of a network without a trained gate.
        LeakError: a patient of a test fold trained the weights.
        DataError: what is wrong with the data.
    """
    model, facts = load(wanted.checkpoint)
    if model.gate is None or not facts.learned("gate"):
        detail = f"{wanted.checkpoint} has no trained gate: `gate = true` and a stage 'gate' in its recipe make one"
        raise CheckpointError(Code.BAD_ARGUMENT, detail)
    recipe = parse(facts.recipe, str(wanted.checkpoint))
    own = [open_source_of(source, wanted.places, model.options) for source in _sources(recipe)]
    looking = _Looking(model, recipe.seed, wanted)
    validation = {data.name: looking.at(data, "val") for data in own if data.patients("val")}
    if not validation:
        raise bad("none of the recipe's data sets for the gate has a validation fold here: no threshold can be chosen")
    thresholds, upright = _thresholds(validation, wanted.allowed)
    tested = _tested(recipe, own, wanted, model)
    for data in tested:
        assert_unseen(facts, map(patient_tag, data.patients("test")), f"test of {data.name}")
    report = {
        "schema": SCHEMA,
        "checkpoint": {
            "sha256": hashlib.sha256(wanted.checkpoint.read_bytes()).hexdigest(),
            "method": facts.method,
            "recipe": facts.recipe["name"],
            "departures": list(facts.departures),
        },
        "thresholds": thresholds,
        "chosen": upright,
        "validation": [
            looking.told(data, validation[data.name], thresholds) for data in own if data.name in validation
        ],
        "test": [looking.told(data, looking.at(data, "test"), thresholds) for data in tested],
        "files": [looking.folder(folder, thresholds) for folder in wanted.files],
    }
    write_atomically(wanted.out / "input_gate.json", msgspec.json.format(msgspec.json.encode(report)))
    write_atomically(wanted.out / "input_gate.md", markdown(report).encode("utf-8"))
    if report["files"]:
        write_atomically(wanted.out / "input_gate_files.md", files_markdown(report).encode("utf-8"))
    return report


def _sources(recipe: Recipe) -> tuple[Source, ...]:
    """What the gate learned from: that stage's own data sets, else the recipe's."""
    return next(recipe.sources(stage) for stage in recipe.stages if stage.name == "gate")


def _tested(recipe: Recipe, own: list[Opened], wanted: Measuring, model: Method[Any]) -> list[Opened]:
    """The recipe's test folds, or the data set of the command line."""
    if wanted.kind is None:
        return [data for data in own if data.patients("test")]
    known = {source.kind: source for source in _sources(recipe)}
    source = known.get(wanted.kind, Source(kind=wanted.kind, split="test"))
    if wanted.split is not None:
        source = msgspec.convert({**msgspec.to_builtins(source), "split": wanted.split}, Source)
    data = open_source_of(source, wanted.places, model.options)
    if not data.patients("test"):
        raise bad(f"{data.name} has no test fold ({data.split.name}): --split test takes every image")
    return [data]


def _thresholds(validation: dict[str, Seen], allowed: float) -> tuple[dict[str, float], dict[str, Any]]:
    """Chosen on real chests; on drawn ones only where there are no others."""
    real = {name: seen for name, seen in validation.items() if name != "phantoms"} or validation
    upright = np.concatenate([seen.of(AS_IS) for seen in real.values()])
    thresholds = chosen(upright, allowed)
    refused = {name: int((upright[:, c] >= thresholds[name]).sum()) for c, name in enumerate(QUESTIONS)}
    how = f"the lowest, from {LEAST:g} up, that refuses at most {allowed:.1%} of the upright validation chests"
    return thresholds, {"on": sorted(real), "chests": len(upright), "refused": refused, "rule": how}


class _Looking:
    """One gate, shown several things."""

    def __init__(self, model: Method[Any], seed: int, wanted: Measuring) -> None:
        self.model, self.seed, self.wanted = model, seed, wanted

    def at(self, data: Opened, fold: str) -> Seen:
        """A fold of a data set."""
        places = self.wanted.places
        places.say(f"looking at {data.name}, {fold}")
        samples = GateSamples(data.samples(fold), fold, self.seed, places.cache, places.say)
        return look(self.model, samples, data.patients(fold), device=self.wanted.device)

    def told(self, data: Opened, seen: Seen, thresholds: dict[str, float]) -> dict[str, Any]:
        """What was seen of a fold, as plain data."""
        found = rates(seen, thresholds, resamples=self.wanted.resamples)
        plain = found["kinds"][AS_IS]
        low, high = exact_interval(plain["stopped"], plain["pictures"])
        refused = {"value": plain["stopped"] / plain["pictures"], "low": low, "high": high}
        return {"data": data.name, "split": msgspec.to_builtins(data.split), "refused": refused, **found}

    def folder(self, folder: Path, thresholds: dict[str, float]) -> dict[str, Any]:
        """Every file of a folder: the probabilities of what can be read."""
        side = self.model.options.field
        pictures = list(planes_of_folder(folder, Geometry(side, side, FIT)))
        planes = [torch.from_numpy(picture.plane)[None, None] for picture in pictures if picture.plane is not None]
        said = iter(probabilities(logits_of(self.model, planes, self.wanted.device)).tolist())
        rows: list[dict[str, Any]] = []
        for picture in pictures:
            row = {"file": picture.name, "unreadable": picture.refused}
            if picture.plane is not None:
                values = dict(zip(QUESTIONS, next(said), strict=True))
                row |= values | {"stopped": any(values[name] >= thresholds[name] for name in QUESTIONS)}
            rows.append(row)
        return {
            "folder": folder.name,
            "read": len(planes),
            "stopped": sum(r.get("stopped", 0) for r in rows),
            "rows": rows,
        }
