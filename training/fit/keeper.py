"""What is kept of a run, at the end of each epoch: best and last checkpoint, the history, and where to go on from."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import msgspec

from cxredge.files import write_atomically
from training.checkpoint import Facts, save
from training.fit.modules import StageModule

__all__ = ["BEST", "HISTORY", "LAST", "STATE", "FactsOf", "Keeper"]

BEST, LAST, STATE, HISTORY = "best.pt", "last.pt", "state.ckpt", "history.json"

FactsOf = Callable[[int, dict[str, float | None]], Facts]
"""The facts of a checkpoint, given complete epochs and scores."""


class Keeper(lightning.Callback):
    """Writes after every epoch, each file atomically, the state last.

    A kill between two of the writes leaves the state of the epoch before: that epoch is trained again, from the same
    order of images, and writes the same files. So a kill costs at most one epoch.

    Args:
        folder: of the stage.
        facts: makes the facts of a checkpoint.
        say: told one line an epoch.
    """

    def __init__(self, folder: Path, facts: FactsOf, say: Callable[[str], None]) -> None:
        self.folder, self.facts, self.say = folder, facts, say
        self.best: float | None = None
        self.best_epoch = 0
        self.history: list[dict[str, Any]] = []
        self._began = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What must survive a kill."""
        return {"best": self.best, "best_epoch": self.best_epoch, "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a kill."""
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.history = list(state_dict["history"])

    @property
    def stale(self) -> int:
        """Epochs since the best one."""
        return len(self.history) - self.best_epoch

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Seed the augmentation, and look at the clock."""
        assert isinstance(pl_module, StageModule)  # noqa: S101 - Lightning's signature is wider
        pl_module.folds.train.set_epoch(trainer.current_epoch)
        self._began = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep the epoch, and stop where it has not become better for long enough."""
        assert isinstance(pl_module, StageModule)  # noqa: S101
        epoch, value = trainer.current_epoch + 1, pl_module.watched()
        better = self.best is None or value > self.best
        if better:
            self.best, self.best_epoch = value, epoch
        self.history.append(self._line(trainer, pl_module, epoch))
        if trainer.is_global_zero:
            self._write(pl_module, epoch, better)
        # Every process takes part in this one, and only the first writes.
        part = self.folder / f".{STATE}.part"
        trainer.save_checkpoint(part, weights_only=False)
        if trainer.is_global_zero:
            part.replace(self.folder / STATE)
            self.say(self._said(pl_module, better))
        if pl_module.stage.stop_after and self.stale >= pl_module.stage.stop_after:
            trainer.should_stop = True

    def _line(self, trainer: lightning.Trainer, module: StageModule, epoch: int) -> dict[str, Any]:
        return {
            "epoch": epoch,
            "rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "train_loss": module.train_loss,
            **module.scores,
            "seconds": round(time.perf_counter() - self._began, 2),
        }

    def _write(self, module: StageModule, epoch: int, better: bool) -> None:
        facts = self.facts(epoch, module.scores)
        state = module.judged.state_dict()
        for name in (BEST, LAST) if better else (LAST,):
            save(self.folder / name, state, facts)
        write_atomically(self.folder / HISTORY, msgspec.json.format(msgspec.json.encode(self.history)))

    def _said(self, module: StageModule, better: bool) -> str:
        line = self.history[-1]
        scores = ", ".join(f"{name} {value:.4f}" for name, value in module.scores.items() if value is not None)
        mark = " (best)" if better else ""
        return (
            f"{module.stage.name} {line['epoch']}/{module.stage.epochs}: train loss {line['train_loss']:.4f}, "
            f"validation {scores}, {line['seconds']:.0f} s{mark}"
        )
