"""That each method learns: the METHOD-phantoms recipes to the end, or a few steps of the full networks on real images.

    python benchmarks/learning.py [--method NAME ...] [--jobs 2] [--out DIR] [--cache DIR] [--json FILE] [--smoke]
    python benchmarks/learning.py --full --data DIR [--method NAME ...] [--images 4] [--steps 10] [--json FILE]

The first draws the phantoms, then runs `python -m training fit` and `evaluate` for every recipe, one thread each,
--jobs at a time, and fails where the mean AUROC of the test fold is not above 0.9. --smoke trains one method for one
epoch on a handful of phantoms and asks nothing of it.

The second builds each METHOD-chestxray14 recipe at its full size, with its own optimiser and loss, from nothing, and
repeats one batch of real images (`nih` under --data). It fails where the loss did not fall. The U-Net learns too,
where the method uses its masks (from `lungs/montgomery`); all else of the paper that a few steps cannot show
(augmentation, the schedule, its batch) is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _machine import machine
from _runs import ROOT, command, interval, markdown, report_of

sys.path.insert(0, str(ROOT))  # before a checkout that is installed

from training.methods import METHODS

LEAST = 0.9
"""The mean AUROC that each method must exceed."""

FEW = {"train": 64, "validation": 64, "test": 64, "least_severity": 1.0}


def main() -> None:
    """Run what was asked for, print its table, and fail where a method did not learn."""
    told = _arguments()
    rows = full(told) if told.full else narrow(told)
    print(markdown(rows, hidden=("learnt",)))
    failed = [row["method"] for row in rows if not row["learnt"]]
    if told.json:
        told.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n", encoding="utf-8")
    if failed:
        sys.exit(f"did not learn: {', '.join(dict.fromkeys(failed))}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", action="append", choices=list(METHODS), help="may be repeated; all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="recipes at a time")
    parser.add_argument("--out", type=Path, help="where runs and reports go; a temporary folder by default")
    parser.add_argument("--cache", type=Path, help="where phantoms and planes are kept; in the runs' folder by default")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--data", type=Path, help="of --full: the folder that holds nih and lungs/montgomery")
    parser.add_argument("--images", type=int, default=4, help="of --full: in the batch")
    parser.add_argument("--steps", type=int, default=10, help="of --full: of the optimiser")
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    if told.full and told.data is None:
        parser.error("--full needs --data")
    told.method = told.method or (["chexnet"] if told.smoke else list(METHODS))
    if told.out is None:
        told.kept = tempfile.TemporaryDirectory(prefix="learning-")  # goes when the process ends
        told.out = Path(told.kept.name)
    told.cache = told.cache or told.out / "cache"
    return told


# Narrow variants on phantoms.


def narrow(told: argparse.Namespace) -> list[dict[str, Any]]:
    """Fit and evaluate the recipes on phantoms."""
    recipes = {name: _shortened(name, told.out) if told.smoke else f"{name}-phantoms" for name in told.method}
    began = time.perf_counter()
    for recipe in recipes.values():
        _draw(recipe, told.cache)
    print(f"phantoms drawn in {time.perf_counter() - began:.0f} s", flush=True)

    def one(name: str) -> dict[str, Any]:
        row = _learnt(name, recipes[name], told)
        print(f"{name}: {row['test AUROC']} in {row['seconds']} s", flush=True)
        return row

    with ThreadPoolExecutor(told.jobs) as pool:
        return list(pool.map(one, told.method))


def _shortened(name: str, out: Path) -> str:
    """A recipe file of one epoch on a few phantoms."""
    import msgspec

    from training.recipes import find

    content = msgspec.to_builtins(find(f"{name}-phantoms"))
    content["data"] = [{"kind": "phantoms", "options": FEW}]
    content["stages"] = [{**stage, "epochs": 1, "data": []} for stage in content["stages"]]
    file = out / f"{name}-smoke.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_toml(content), encoding="utf-8")
    return str(file)


def _toml(content: dict[str, Any]) -> str:
    """Plain data as TOML: JSON's values are TOML's but for objects and null."""

    def value(x: Any) -> str:
        if isinstance(x, dict):
            return "{ " + ", ".join(f"{key} = {value(y)}" for key, y in x.items() if y is not None) + " }"
        if isinstance(x, list | tuple):
            return "[" + ", ".join(map(value, x)) + "]"
        return json.dumps(x)

    return "".join(f"{key} = {value(x)}\n" for key, x in content.items() if x is not None)


def _draw(recipe: str, cache: Path) -> None:
    """Draw a recipe's phantoms, so that several runs find them."""
    from training.fit.run import options_of
    from training.fit.sources import Places, open_source_of
    from training.recipes import find

    found = find(recipe)
    places = Places(None, {}, cache, say=lambda line: print(line, flush=True))
    for source in [source for stage in found.stages for source in found.sources(stage)]:
        opened = open_source_of(source, places, options_of(found))
        for fold in ("train", "val", "test"):
            opened.samples(fold)


def _learnt(name: str, recipe: str, told: argparse.Namespace) -> dict[str, Any]:
    """One method: both commands, one thread, and what the report says."""
    run, cache = told.out / name, ("--cache", str(told.cache))
    began = time.perf_counter()
    spent = command("fit", recipe, "--out", str(run), *cache, "--accelerator", "cpu", log=told.out / f"{name}-fit.log")
    words = ("evaluate", str(run / "best.pt"), "--out", str(run / "report"))
    spent += command(*words, *cache, log=told.out / f"{name}-evaluate.log")
    seconds = time.perf_counter() - began
    auroc = report_of(run)["auroc"]
    mean, worst = auroc["mean"], min(auroc["diseases"].items(), key=lambda item: item[1]["auroc"]["value"])
    return {
        "method": name,
        "seconds": round(seconds),
        "CPU seconds": round(spent),
        "test AUROC": interval(mean),
        "worst disease": f"{worst[0]} {worst[1]['auroc']['value']:.2f}",
        "learnt": told.smoke or mean["value"] > LEAST,
    }


# Full networks on real images.


def full(told: argparse.Namespace) -> list[dict[str, Any]]:
    """The stages of each full method: a few steps on one batch."""
    import logging

    import lightning  # noqa: F401 - it sets the level of its own logger

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    rows = []
    for name in told.method:
        for row in _falling(name, told):
            rows.append(row)
            print(f"{row['method']} {row['stage']}: {row['first loss']} to {row['last loss']}", flush=True)
    return rows


def _falling(name: str, told: argparse.Namespace) -> list[dict[str, Any]]:
    import lightning
    import torch

    from training.fit.run import options_of
    from training.methods import build
    from training.recipes import find

    recipe = find(f"{name}-chestxray14")
    lightning.seed_everything(recipe.seed, verbose=False)
    model = build(recipe.method, recipe.options).to(memory_format=torch.channels_last)
    rows = []
    for stage in recipe.stages:
        if stage.name == "unet" and not getattr(model.options, "feature_weighting", False):
            continue
        began = time.perf_counter()
        losses = _steps(model, stage, options_of(recipe), told)
        rows.append(
            {
                "method": name,
                "stage": stage.name,
                "optimiser": f"{stage.optimiser.name} {stage.optimiser.rate:g}",
                "side": model.options.field if stage.name == "unet" else model.options.crop,
                "steps": len(losses),
                "first loss": round(losses[0], 4),
                "last loss": round(losses[-1], 4),
                "seconds": round(time.perf_counter() - began),
                "learnt": losses[-1] < 0.9 * losses[0],
            }
        )
    return rows


def _steps(model: Any, stage: Any, options: Any, told: argparse.Namespace) -> list[float]:
    """The loss of every step of a stage, in training mode, on one batch; before each step's update."""
    import lightning
    import msgspec

    from training.fit.folds import Folds, loader
    from training.fit.modules import make_stage
    from training.recipes import Augment, Schedule

    class Losses(lightning.Callback):
        def __init__(self) -> None:
            self.values: list[float] = []

        def on_train_batch_end(self, _trainer: Any, _module: Any, outputs: Any, *_rest: Any) -> None:
            self.values.append(float(outputs["loss"]))

    plain = msgspec.structs.replace(stage, augment=Augment(), schedule=Schedule(), watch="loss", batch=told.images)
    few, losses = _few(stage.name, options, told), Losses()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=told.steps,  # an epoch is one batch
        callbacks=[losses],
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches = loader(few, batch=told.images, training=True, rank=0, world=1, seed=0, workers=0)
    module = make_stage(model, plain, Folds(few, few, (), frozenset(), frozenset()))
    trainer.fit(module, batches)
    _settle(module.train(), next(iter(batches))["image"])
    return losses.values


def _settle(module: Any, image: Any) -> None:
    """Running statistics as the batch norms that learnt see the batch: few steps leave them near where they started.

    A later stage runs these layers in evaluation, as after thousands of steps.
    """
    import torch

    model = module.model
    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.unet(image) if model.unet.training else model.training_logits(model.view(image))
    for norm in norms:
        norm.momentum = 0.1


def _few(stage: str, options: Any, told: argparse.Namespace) -> Any:
    """The batch: of `nih` the first images that have a disease; for the U-Net, the first of `lungs/montgomery`."""
    from dataclasses import replace

    from cxredge.pixels import Geometry
    from training.data import PlaneCache, open_collection
    from training.fit.sources import FIT, Cases

    kind, folder = ("montgomery", "lungs/montgomery") if stage == "unet" else ("nih", "nih")
    every = open_collection(kind, told.data / folder)
    chosen = [case for case in every.cases if stage == "unet" or 1.0 in case.labels][: told.images]
    few = replace(every, name=f"{every.name}, {len(chosen)} images", cases=tuple(chosen), folds={})
    cache = PlaneCache.build(
        few, told.cache, geometry=Geometry(options.field, options.field, FIT), masks_size=(options.mask, options.mask)
    )
    return Cases(few, range(len(chosen)), cache)


if __name__ == "__main__":
    main()
