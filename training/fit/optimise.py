"""Optimisers and schedules of recipes, and their losses with what is not labelled left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel

from training import losses
from training.recipes import Loss, Optimiser, Schedule

__all__ = ["averaging", "global_mean", "known_loss", "make_loss", "make_optimiser", "make_schedule", "mixed"]


MIXING = 20171025
"""Keeps the draw of `mixed` apart from all else that is drawn from a step."""


def make_optimiser(wanted: Optimiser, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """The optimiser of a recipe, over the parameters that learn."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    if wanted.name == "sgd":
        return optim.SGD(learning, wanted.rate, momentum=wanted.momentum, weight_decay=wanted.weight_decay)
    kind = optim.Adam if wanted.name == "adam" else optim.AdamW
    return kind(learning, wanted.rate, betas=wanted.betas, weight_decay=wanted.weight_decay)


def make_schedule(wanted: Schedule, optimiser: optim.Optimizer, steps: int) -> dict[str, Any] | None:
    """The schedule as Lightning wants it; None where the rate stays.

    Args:
        wanted: the recipe's.
        optimiser: whose rate falls.
        steps: of the whole stage, for one cycle.
    """
    rate = float(optimiser.param_groups[0]["lr"])
    if wanted.name == "every":
        return {"scheduler": optim.lr_scheduler.StepLR(optimiser, wanted.every, wanted.factor)}
    if wanted.name == "at":
        return {"scheduler": optim.lr_scheduler.MultiStepLR(optimiser, list(wanted.at), wanted.factor)}
    if wanted.name == "plateau":
        # "patience" is how many epochs without a better loss are borne: the rate falls at the one after.
        plateau = optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=wanted.factor, patience=wanted.patience)
        return {"scheduler": plateau, "monitor": "val_loss"}
    if wanted.name == "one_cycle":
        cycle = optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=wanted.warm)
        return {"scheduler": cycle, "interval": "step"}
    return None


def make_loss(wanted: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """A classifier's loss: logits and targets to one number."""
    if wanted.name == "focal":
        return lambda logits, targets: losses.focal(logits, targets, alpha=wanted.alpha, gamma=wanted.beta)
    if wanted.name == "biased_focal":
        return lambda logits, targets: losses.biased_focal(
            logits, targets, alpha=wanted.alpha, beta=wanted.beta, shift=wanted.shift
        )
    return losses.bce


def known_loss(
    loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, targets: Tensor, known: Tensor
) -> tuple[Tensor, Tensor]:
    """The mean loss over the labels that are known, and how many those are.

    A batch without a known label costs 0, with a gradient of 0.
    """
    count = known.sum()
    if not bool(count):
        return logits.sum() * 0.0, count
    return loss(logits[known].float(), targets[known].float()), count


def global_mean(mean: Tensor, count: Tensor, world: int) -> Tensor:
    """A process's mean, scaled so that the average over all processes is the mean over all their elements."""
    if world == 1:
        return mean
    total = count.detach().clone().float()
    torch.distributed.all_reduce(total)
    return mean * (count.float() * world / total.clamp_min(1.0))


def mixed(view: Tensor, targets: Tensor, known: Tensor, concentration: float, step: int) -> tuple[Tensor, ...]:
    """Each image laid over another one of its batch, and the labels weighed alike (Zhang et al., ICLR 2018).

    A label counts where both images tell it. What is drawn depends on the step alone, so that a run that was killed
    goes on as it would have.
    """
    rng = np.random.default_rng([MIXING, step])
    share = float(rng.beta(concentration, concentration))
    other = torch.from_numpy(rng.permutation(len(view))).to(view.device)
    blend = [share * each + (1 - share) * each[other] for each in (view, targets.to(view.dtype))]
    return blend[0], blend[1], known & known[other]


def averaging(model: nn.Module, decay: float) -> AveragedModel:
    """A running average of a model's weights and statistics. It forgets its start sooner than `decay` alone would."""

    def average(kept: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
        stays = min(decay, (1 + float(count)) / (10 + float(count)))
        return kept + (now - kept) * (1 - stays)  # what is frozen stays the same to the bit

    made = AveragedModel(model, avg_fn=average, use_buffers=True)
    made.requires_grad_(False)
    return made
