"""The Lightning modules: what one step of a stage is, and what its validation measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from cxredge.errors import Code
from cxredge.result import LABELS, STRUCTURES
from training import losses
from training.errors import DivergedError, RecipeError
from training.evaluate.scores import mean_auroc, measurable
from training.fit.folds import Batch, Folds
from training.fit.optimise import averaging, global_mean, known_loss, make_loss, make_optimiser, make_schedule, mixed
from training.methods.base import Method
from training.recipes import Stage

__all__ = ["ClassifierStage", "StageModule", "UNetStage", "choose_branch", "make_stage"]

_WHOLE = frozenset({"pretrain", "classifier", "distil", "refine"})
"""Stages of a classifier that learns as a whole."""


class StageModule(lightning.LightningModule):
    """What all stages share: the optimiser, the epoch's seed, a loss that must stay a number, and the scores.

    Attributes:
        scores: of the last validation: "loss", and "auroc" or the Dice scores; None where nothing could be measured.
    """

    def __init__(self, model: Method[Any], stage: Stage, folds: Folds) -> None:
        super().__init__()
        self.model, self.stage, self.folds = model, stage, folds
        self.averaged = averaging(model, stage.average) if stage.average else None
        self.scores: dict[str, float | None] = {}
        self.train_loss = math.nan
        self._sums = [0.0, 0.0]
        self._validation: list[dict[str, Any]] = []
        self._freeze()

    @property
    def judged(self) -> Method[Any]:
        """The network that is validated and kept: the one that learns, or the running average of its weights."""
        judged: Method[Any] = self.model if self.averaged is None else self.averaged.module
        return judged

    # What differs by stage.

    def _freeze(self) -> None:
        """Choose what learns."""
        raise NotImplementedError

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """A training batch's mean loss, and over how many labels or structures it is the mean."""
        raise NotImplementedError

    def _examine(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """A validation batch's mean loss, its count, and what the scores are made of."""
        raise NotImplementedError

    def _score(self, found: list[dict[str, Any]]) -> dict[str, float | None]:
        """The scores of a whole validation fold."""
        raise NotImplementedError

    # Lightning's hooks.

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser over what learns, and its schedule."""
        optimiser = make_optimiser(self.stage.optimiser, self.model.parameters())
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = make_schedule(self.stage.schedule, optimiser, steps)
        return optimiser if schedule is None else {"optimizer": optimiser, "lr_scheduler": schedule}

    def on_train_epoch_start(self) -> None:
        """Nothing is measured yet; what is frozen stays in evaluation.

        Lightning puts back the mode that each part had before, and does not ask `train` for it.
        """
        self.train()
        self._sums = [0.0, 0.0]

    def on_train_batch_end(self, *_rest: object) -> None:
        """The step is done: the average follows."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step. A loss that is not a number stops the run, with the images that it came from."""
        mean, count = self._loss(batch)
        value = float(mean.detach())
        if not math.isfinite(value):
            raise self._diverged(batch, batch_idx, value)
        self._sums[0] += value * float(count)
        self._sums[1] += float(count)
        return global_mean(mean, count, self.trainer.world_size)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's signature
        """Keep what the scores are made of, on the CPU."""
        mean, count, found = self._examine(batch)
        kept = {name: value.detach().cpu() for name, value in found.items()}
        self._validation.append({**kept, "loss": float(mean), "count": float(count), "index": batch["index"].cpu()})

    def on_validation_epoch_end(self) -> None:
        """The scores over all images, whichever process saw them."""
        found = self._gathered(self._validation)
        self._validation = []
        total = sum(part["count"] for part in found)
        loss = sum(part["loss"] * part["count"] for part in found if part["count"]) / max(total, 1.0)
        if not math.isfinite(loss):
            raise DivergedError(
                Code.BAD_ARGUMENT,
                f"stage {self.stage.name!r}, epoch {self.current_epoch + 1}: the validation loss is {loss}; "
                "the checkpoints of the epoch before are kept",
            )
        self.scores = {"loss": loss, **self._score(found)}
        sums = np.sum([part["sums"] for part in self._gathered([{"sums": self._sums}])], axis=0)
        self.train_loss = float(sums[0] / max(sums[1], 1.0))
        self.log_dict({f"val_{name}": value for name, value in self.scores.items() if value is not None})

    def watched(self) -> float:
        """The score that chooses the best epoch: higher is better.

        Raises:
            RecipeError: nothing of it can be measured on this validation fold.
        """
        value = self.scores.get(self.stage.watch)
        if value is None:
            raise RecipeError(
                Code.BAD_ARGUMENT,
                f"stage {self.stage.name!r} watches {self.stage.watch!r}, which cannot be measured on its validation "
                "fold; watch = 'loss' always can",
            )
        return -value if self.stage.watch == "loss" else value

    def _gathered(self, mine: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if self.trainer.world_size == 1:
            return mine
        everyone: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(everyone, mine)
        return [part for process in everyone for part in process]

    def _diverged(self, batch: Batch, step: int, value: float) -> DivergedError:
        some = [self.folds.train.describe(int(index)) for index in batch["index"][:4]]
        return DivergedError(
            Code.BAD_ARGUMENT,
            f"stage {self.stage.name!r}, epoch {self.current_epoch + 1}, step {step + 1}: the loss is {value}; the "
            f"checkpoints of the epoch before are kept. Images of the step: {', '.join(some)}, ...",
        )


class ClassifierStage(StageModule):
    """A classifier, or one branch of AG-CNN; the U-Net stays as it is.

    Args:
        model, stage, folds: as of every stage.
        opinions: what teachers think of each training image, [len(folds.train), 14]; mixed into the targets.
    """

    def __init__(self, model: Method[Any], stage: Stage, folds: Folds, opinions: Tensor | None = None) -> None:
        super().__init__(model, stage, folds)
        self._opinions = opinions
        self._criterion: Callable[[Tensor, Tensor], Tensor] = make_loss(stage.loss)

    def _freeze(self) -> None:
        self.model.requires_grad_(True)
        choose_branch(self.model, None if self.stage.name in _WHOLE else self.stage.name)
        self.model.unet.requires_grad_(False)
        if self.model.gate is not None:
            self.model.gate.requires_grad_(False)

    def train(self, mode: bool = True) -> ClassifierStage:
        """As torch's, but the U-Net's running statistics must not move."""
        super().train(mode)
        self.model.unet.eval()
        return self

    def _targets(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Labels and which are known; with AG-CNN's fifteenth, "No Finding", where all fourteen tell."""
        labels, known = batch["labels"], batch["labels_known"]
        if len(self.model.trained) == len(LABELS):
            return labels, known
        positive = ((labels > 0.5) & known).any(1, keepdim=True)
        told = known.all(1, keepdim=True) | positive
        return torch.cat([labels, (~positive).to(labels.dtype)], 1), torch.cat([known, told], 1)

    def _view(self, image: Tensor) -> Tensor:
        """The classifier's view: the image where augmentation has cropped it already, else its centre."""
        return image if image.shape[-1] == self.model.options.crop else self.model.view(image)

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        targets, known = self._targets(batch)
        if self._opinions is not None:
            told = self._opinions[batch["index"].cpu()].to(targets)
            targets = torch.lerp(targets, told, self.stage.soft)
        view = self._view(batch["image"])
        if self.stage.evidence:
            return self._located(view, batch, targets, known)
        if self.stage.mixup:
            view, targets, known = mixed(view, targets, known, self.stage.mixup, self.global_step)
        return known_loss(self._criterion, self.model.training_logits(view), targets, known)

    def _located(self, view: Tensor, batch: Batch, targets: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of the logits, and beside it what the heat maps owe the boxes."""
        scores, covered = self.model.score(view), batch["evidence"]
        if batch["image"].shape[-1] != view.shape[-1]:  # boxes of the field, of which the view is the centre
            edge = round(covered.shape[-1] * self.model.options.margin / self.model.options.field)
            covered = covered[:, :, edge : covered.shape[2] - edge, edge : covered.shape[3] - edge]
        mean, count = known_loss(self._criterion, scores.logits, targets, known)
        return mean + self.stage.evidence * losses.evidence(scores.maps, covered), count

    def _examine(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Any]]:
        logits = self.judged.training_logits(self.judged.view(batch["image"]))
        mean, count = known_loss(self._criterion, logits, *self._targets(batch))
        found = {"logits": logits[:, : len(LABELS)].float(), "labels": batch["labels"], "known": batch["labels_known"]}
        return mean, count, found

    def _score(self, found: list[dict[str, Any]]) -> dict[str, float | None]:
        logits, labels, known = (torch.cat([part[name] for part in found]) for name in ("logits", "labels", "known"))
        truth = torch.where(known.bool(), labels.double(), torch.nan).numpy()
        return {"auroc": mean_auroc(truth, logits.double().numpy())}


class UNetStage(StageModule):
    """The U-Net, over the whole field; structures that an image's annotator did not draw cost nothing."""

    def _freeze(self) -> None:
        choose_branch(self.model, None)
        self.model.requires_grad_(False)
        self.model.unet.requires_grad_(True)

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        known = batch["masks_known"].bool()
        masks = self.model.unet(batch["image"]).masks
        return losses.dice(masks.float(), batch["masks"].float(), known), known.sum()

    def _examine(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Any]]:
        known = batch["masks_known"].bool()
        masks = self.judged.unet(batch["image"]).masks.float()
        mean = losses.dice(masks, batch["masks"].float(), known)
        drawn, truth = masks >= 0.5, batch["masks"] >= 0.5
        overlap = (drawn & truth).sum((2, 3)).double()
        total = (drawn.sum((2, 3)) + truth.sum((2, 3))).double()
        dice = torch.where(total > 0, 2 * overlap / total.clamp_min(1), 1.0)
        return mean, known.sum(), {"dice": torch.where(known, dice, torch.nan)}

    def _score(self, found: list[dict[str, Any]]) -> dict[str, float | None]:
        dice = torch.cat([part["dice"] for part in found])
        each = {
            f"dice_{name}": float(column[~column.isnan()].mean()) if bool((~column.isnan()).any()) else None
            for name, column in zip(STRUCTURES, dice.unbind(1), strict=True)
        }
        told = [value for value in each.values() if value is not None]
        return {**each, "dice": sum(told) / len(told) if told else None}


def make_stage(model: Method[Any], stage: Stage, folds: Folds, opinions: Tensor | None = None) -> StageModule:
    """The module of a stage; `opinions` as of `ClassifierStage`.

    Raises:
        RecipeError: the data cannot be watched as the recipe asks, or the method has no such branch.
    """
    if stage.name == "unet":
        return UNetStage(model, stage, folds)
    if stage.name == "gate":
        from training.fit.gate import GateStage  # it is built on this file

        return GateStage(model, stage, folds)
    if (stage.name in _WHOLE) == hasattr(model, "set_stage"):
        raise RecipeError(Code.BAD_ARGUMENT, f"the method {model.name!r} has no stage {stage.name!r}")
    if stage.evidence and type(model).training_logits is not Method.training_logits:
        detail = f"stage {stage.name!r}: {model.name} learns other logits than those that its heat maps are of"
        raise RecipeError(Code.BAD_ARGUMENT, f"{detail}, so it cannot learn from boxes")
    if stage.mixup and stage.loss.name != "bce":
        raise RecipeError(Code.BAD_ARGUMENT, f"stage {stage.name!r}: mixup needs the loss bce, not {stage.loss.name}")
    if stage.watch == "auroc" and not measurable(folds.validation.truth()).any():
        raise RecipeError(
            Code.BAD_ARGUMENT,
            f"stage {stage.name!r} watches AUROC, and no disease has both a positive and a negative among the "
            f"{len(folds.validation)} validation images",
        )
    return ClassifierStage(model, stage, folds, opinions)


def choose_branch(model: nn.Module, name: str | None) -> None:
    """Let one branch of AG-CNN learn, or all of them; other methods have none."""
    chooser = getattr(model, "set_stage", None)
    if chooser is not None:
        chooser(name)
