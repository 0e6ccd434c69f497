"""A whole run: the stages of a recipe one after another, each from the best weights of those before."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import lightning
import msgspec
import torch
from torch import Tensor

from cxredge.errors import Code
from cxredge.files import write_atomically
from training.checkpoint import DataUse, Facts, load, read, save, versions
from training.errors import RecipeError, bad
from training.fit.folds import Folds, loader
from training.fit.keeper import BEST, STATE, FactsOf, Keeper
from training.fit.modules import make_stage
from training.fit.teachers import Teacher, fingerprint, hire, opinions
from training.methods import build, method_class
from training.methods.base import Method, Options
from training.recipes import Augment, Recipe, Stage, digest

__all__ = ["Fit", "Outcome", "fit", "options_of"]

T = TypeVar("T")

RUN = "run.json"
DONE = "done.json"


@dataclass(frozen=True)
class Outcome:
    """What a run left: the checkpoint to evaluate, the scores of its epoch, and the history of each stage that ran."""

    checkpoint: Path
    scores: Mapping[str, float | None]
    history: Mapping[str, list[dict[str, Any]]]


@dataclass
class Fit:
    """How to run.

    Attributes:
        recipe: as it shall run.
        folds: makes the data of a stage; called when its turn comes.
        out: the run's folder.
        departures: how the recipe differs from its file, in words.
        resume: go on with what is in `out`.
        weights: published weights of the backbone.
        unet: a checkpoint whose U-Net is taken instead of training one, and its gate where both have one.
        start: a checkpoint of the same network, whose weights are taken; the stages behind it are not run again.
        teachers: checkpoints whose opinion a stage "distil" learns beside the labels.
        workers: processes that load images.
        precision: as Lightning names it; "auto" is mixed precision where there is an accelerator.
        accelerator: as Lightning names it.
        say: told a line now and then.
    """

    recipe: Recipe
    folds: Callable[[Stage], Folds]
    out: Path
    departures: tuple[str, ...] = ()
    resume: bool = False
    weights: Path | None = None
    unet: Path | None = None
    start: Path | None = None
    teachers: tuple[Path, ...] = ()
    workers: int = 0
    precision: str = "auto"
    accelerator: str = "auto"
    say: Callable[[str], None] = print
    use: list[DataUse] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    taught: set[str] = field(default_factory=set)
    hired: list[Teacher] = field(default_factory=list)


def fit(run: Fit) -> Outcome:
    """Train all stages, or what is left of them.

    Raises:
        RecipeError: the folder holds another run, or one that `resume` was not asked to go on with.
        DivergedError: a loss is not a number; the checkpoints of the epoch before are kept.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    _join()
    _hire(run)
    _claim(run)
    lightning.seed_everything(run.recipe.seed, verbose=False)
    # Channels last is what convolutions are fastest on: 1.4 to 1.6 times on a CPU.
    model = build(run.recipe.method, run.recipe.options).to(memory_format=torch.channels_last)
    borrowed = _start(run, model)
    stages = [stage for stage in run.recipe.stages if stage.name not in borrowed]
    if not stages:
        has = run.unet or run.start
        raise RecipeError(Code.BAD_ARGUMENT, f"{has} has all that {run.recipe.name} would train: nothing is left to do")
    history: dict[str, list[dict[str, Any]]] = {}
    best = run.out / BEST
    for stage in stages:
        best = run.out / stage.name / BEST
        if not (run.out / stage.name / DONE).is_file():
            history[stage.name] = _train(run, stage, model)
        _take(run, model, best)
    facts, state = read(best)
    if _rank() == 0:
        save(run.out / BEST, state, facts)
    return Outcome(run.out / BEST, facts.scores, history)


def options_of(recipe: Recipe) -> Options:
    """The options of a recipe's method, checked, without building it.

    Raises:
        UsageError: an unknown method or option.
    """
    kind = method_class(recipe.method).options_type
    try:
        return msgspec.convert(recipe.options, kind)
    except msgspec.ValidationError as error:
        raise bad(f"{recipe.method}: {error}") from None


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _join() -> None:
    """Under torchrun, meet the other processes now: caches are built before Lightning would."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or torch.distributed.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def _in_turn(make: Callable[[], T]) -> T:
    """The first process first: it builds the caches that the others find."""
    if not torch.distributed.is_initialized():
        return make()
    made = make() if _rank() == 0 else None
    torch.distributed.barrier()
    return make() if made is None else made


def _claim(run: Fit) -> None:
    """Make the folder ours, or check that it is: an existing run is never overwritten."""
    note = run.out / RUN
    mine = {"recipe": digest(run.recipe), "name": run.recipe.name, "departures": list(run.departures)}
    if run.teachers:
        mine["teachers"] = fingerprint(run.teachers)
    if note.is_file():
        before = msgspec.json.decode(note.read_bytes())
        if not run.resume and _rank() == 0:
            raise RecipeError(
                Code.BAD_ARGUMENT, f"{run.out} holds a run of {before['name']}: --resume, or another --out"
            )
        if before["recipe"] != mine["recipe"]:
            raise RecipeError(
                Code.BAD_ARGUMENT,
                f"{run.out} holds a run of {before['name']} ({'; '.join(before['departures']) or 'as its file'}), "
                f"which trains otherwise than {run.recipe.name} ({'; '.join(run.departures) or 'as its file'})",
            )
        if before.get("teachers", []) != mine.get("teachers", []):
            raise RecipeError(Code.BAD_ARGUMENT, f"{run.out} holds a run that was taught by other teachers")
    elif _rank() == 0:
        write_atomically(note, msgspec.json.format(msgspec.json.encode(mine)))


def _start(run: Fit, model: Method[Any]) -> tuple[str, ...]:
    """Published weights into the backbones, another run's U-Net or all of it: gives the stages that need not run."""
    if run.start is not None:
        if run.unet is not None or run.weights is not None:
            raise RecipeError(Code.BAD_ARGUMENT, "--start brings all weights: leave --unet and --weights out")
        return _go_on(run, model, run.start)
    if run.weights is not None:
        from training.weights import load_weights

        for network in model.backbones():
            report = load_weights(network, run.weights)
            run.say(f"{run.weights.name}: {len(report.matched)} tensors matched, {len(report.missing)} missing")
    elif run.recipe.start == "imagenet":
        said = "backbone from nothing in place of ImageNet weights (--weights)"
        run.departures = (*run.departures, said)
        run.say(said)
    return () if run.unet is None else _borrow(run, model, run.unet)


def _go_on(run: Fit, model: Method[Any], path: Path) -> tuple[str, ...]:
    """All weights of another run of this network, with what they learned from."""
    network, facts = load(path)
    if facts.method != run.recipe.method or network.options != model.options:
        raise RecipeError(Code.BAD_ARGUMENT, f"{path} is of another network than {run.recipe.name}'s")
    model.load_state_dict(network.state_dict(), strict=True)
    run.use += facts.data
    run.tags |= set(facts.trained_on)
    run.taught |= set(facts.trained_on) - set(facts.chosen_on)
    stages = tuple(stage.name for stage in run.recipe.stages if facts.learned(stage.name))
    said = f"{', '.join(stages)} of a run of {facts.recipe['name']} with seed {facts.recipe.get('seed', 0)}"
    run.departures = (*facts.departures, *run.departures, said)
    return stages


def _borrow(run: Fit, model: Method[Any], path: Path) -> tuple[str, ...]:
    """The U-Net of another run; and its gate, which belongs to that U-Net, where there is one and one is wanted."""
    facts, state = read(path)
    parts = ["unet"]
    if model.gate is not None and facts.learned("gate"):
        parts.append("gate")
    for part in parts:
        own = {name.removeprefix(f"{part}."): value for name, value in state.items() if name.startswith(f"{part}.")}
        try:
            model.get_submodule(part).load_state_dict(own, strict=True)
        except RuntimeError:
            raise RecipeError(
                Code.BAD_ARGUMENT, f"the U-Net of {path} is of another size than {run.recipe.name}'s"
            ) from None
    run.use += [use for use in facts.data if use.stage in parts]
    run.tags |= set(facts.trained_on)
    run.taught |= set(facts.trained_on) - set(facts.chosen_on)
    said = "the U-Net and the gate" if len(parts) > 1 else "the U-Net"
    run.departures = (*run.departures, f"{said} of a run of {facts.recipe['name']}")
    return tuple(parts)


def _hire(run: Fit) -> None:
    """The teachers, before an epoch is spent: that they can teach here, or that there are none."""
    wanted = any(stage.soft for stage in run.recipe.stages)
    if run.teachers and not wanted:
        raise RecipeError(Code.BAD_ARGUMENT, f"{run.recipe.name} has no stage 'distil' that teachers could teach")
    run.hired = hire(run.teachers, options_of(run.recipe))
    if wanted and not run.hired:
        run.departures = (*run.departures, "no teacher but itself (--teacher)")


def _take(run: Fit, model: Method[Any], path: Path) -> None:
    """The best weights of a stage, and whom they were trained on."""
    facts, state = read(path)
    model.load_state_dict(state, strict=True)
    run.use[:] = facts.data
    run.tags |= set(facts.trained_on)
    run.taught |= set(facts.trained_on) - set(facts.chosen_on)


def _train(run: Fit, stage: Stage, model: Method[Any]) -> list[dict[str, Any]]:
    """One stage: Lightning's trainer over its epochs."""
    folds = _in_turn(lambda: run.folds(stage))
    module = make_stage(model, stage, folds, _taught(run, stage, model) if stage.soft else None)
    folder = run.out / stage.name
    folder.mkdir(parents=True, exist_ok=True)
    keeper = Keeper(folder, _facts_of(run, stage, folds, model), run.say)
    # The order of the images, and the start of what is new in this stage, are the same however the run got here.
    lightning.seed_everything(run.recipe.seed, workers=True, verbose=False)
    trainer = _trainer(run, stage, keeper)
    state = folder / STATE
    if state.is_file():
        run.say(f"{stage.name}: going on from {state}")
    with warnings.catch_warnings():
        # What Lightning advises on (workers, logging) is decided here.
        warnings.filterwarnings("ignore", module="lightning")
        loaders = _loaders(run, stage, folds, trainer)
        trainer.fit(module, *loaders, ckpt_path=state if state.is_file() else None, weights_only=True)
    trainer.strategy.barrier()
    if trainer.received_sigterm or trainer.interrupted:
        raise KeyboardInterrupt
    if trainer.is_global_zero:
        write_atomically(folder / DONE, msgspec.json.encode({"epochs": len(keeper.history), "best": keeper.best_epoch}))
    trainer.strategy.barrier()
    return keeper.history


def _taught(run: Fit, stage: Stage, model: Method[Any]) -> Tensor:
    """What the teachers think of the stage's training images, and the network as it is, which counts as much as all.

    Whom a teacher learned from, its student has learned from.
    """
    for teacher in run.hired:
        run.use += [use for use in teacher.uses if use not in run.use]
        run.tags |= set(teacher.facts.trained_on)
        run.taught |= set(teacher.facts.trained_on) - set(teacher.facts.chosen_on)
    run.say(f"{stage.name}: {len(run.hired)} teachers and the network itself look at the training images")
    clean = _in_turn(lambda: run.folds(msgspec.structs.replace(stage, augment=Augment()))).train
    own = opinions([model], clean, stage.batch)
    if not run.hired:
        return own
    return (own + opinions([teacher.network for teacher in run.hired], clean, stage.batch)) / 2


def _facts_of(run: Fit, stage: Stage, folds: Folds, model: Method[Any]) -> FactsOf:
    """What makes the facts of this stage's checkpoints."""
    config: dict[str, Any] = msgspec.to_builtins(model.options)
    data, tags = (*run.use, *folds.use), tuple(sorted(run.tags | folds.tags))
    chosen = tuple(sorted((run.tags | folds.tags) - run.taught - folds.taught))

    def facts(epoch: int, scores: dict[str, float | None]) -> Facts:
        return Facts(
            method=run.recipe.method,
            config=config,
            recipe=msgspec.to_builtins(run.recipe),
            departures=run.departures,
            split=folds.use[0].split,
            data=data,
            trained_on=tags,
            chosen_on=chosen,
            stage=stage.name,
            epoch=epoch,
            scores=dict(scores),
            versions=versions(),
        )

    return facts


def _precision(run: Fit, accelerated: bool) -> Any:
    if run.precision != "auto":
        return run.precision
    if not accelerated:
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "16-mixed"


def _trainer(run: Fit, stage: Stage, keeper: Keeper) -> lightning.Trainer:
    """Lightning's trainer. Under torchrun, one process a device, DDP over all of them."""
    here, world = (int(os.environ.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    accelerated = run.accelerator != "cpu" and (torch.cuda.is_available() or torch.backends.mps.is_available())
    return lightning.Trainer(
        accelerator=run.accelerator,
        devices=here,
        num_nodes=max(1, world // here),
        strategy="ddp" if world > 1 else "auto",
        sync_batchnorm=world > 1 and accelerated,
        precision=_precision(run, accelerated),
        max_epochs=stage.epochs,
        callbacks=[keeper],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=run.out,
    )


def _loaders(run: Fit, stage: Stage, folds: Folds, trainer: lightning.Trainer) -> tuple[Any, Any]:
    shared = {"rank": trainer.global_rank, "world": trainer.world_size, "seed": run.recipe.seed, "workers": run.workers}
    training = loader(folds.train, batch=stage.batch, training=True, **shared)
    validation = loader(folds.validation, batch=stage.batch, training=False, **shared)
    return training, validation
