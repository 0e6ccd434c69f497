"""The gate's stage: its head learns to tell upright chests from all else, on a U-Net that stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from training import losses
from training.evaluate.scores import auroc
from training.fit.folds import Batch
from training.fit.modules import StageModule, choose_branch
from training.fit.optimise import known_loss
from training.gate import QUESTIONS

__all__ = ["GateStage", "score_answers"]


class GateStage(StageModule):
    """The head alone; whatever is not known of a picture costs nothing."""

    def _freeze(self) -> None:
        assert self.model.gate is not None  # noqa: S101 - a recipe with this stage has the option
        choose_branch(self.model, None)
        self.model.requires_grad_(False)
        self.model.gate.requires_grad_(True)

    def train(self, mode: bool = True) -> GateStage:
        """As torch's, but nothing else may move, running statistics included."""
        super().train(mode)
        self.model.eval()
        return self

    def _answers(self, batch: Batch) -> Tensor:
        model = self.model if self.training else self.judged
        with torch.no_grad():
            stages = model.unet.encode(batch["image"])
        logits = model.gated(stages)
        assert logits is not None  # noqa: S101 - as above
        return logits

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return known_loss(losses.bce, self._answers(batch), batch["gate"], batch["gate_known"].bool())

    def _examine(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Any]]:
        logits = self._answers(batch)
        mean, count = known_loss(losses.bce, logits, batch["gate"], batch["gate_known"].bool())
        return mean, count, {"logits": logits.float(), "gate": batch["gate"], "known": batch["gate_known"]}

    def _score(self, found: list[dict[str, Any]]) -> dict[str, float | None]:
        return score_answers(*(torch.cat([part[name] for part in found]) for name in ("logits", "gate", "known")))


def score_answers(logits: Tensor, wanted: Tensor, known: Tensor) -> dict[str, float | None]:
    """AUROC of each question, `auc_not_chest` and so on, over the pictures of which the answer is known; their mean."""
    each: dict[str, float | None] = {}
    for column, name in enumerate(QUESTIONS):
        told = known[:, column].bool().numpy()
        truth = wanted[:, column].double().numpy()[told]
        both = 0 < truth.sum() < len(truth)
        each[f"auc_{name}"] = auroc(truth, logits[:, column].double().numpy()[told]) if both else None
    values = [value for value in each.values() if value is not None]
    return {"auroc": float(np.mean(values)) if len(values) == len(QUESTIONS) else None, **each}
