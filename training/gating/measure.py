"""What a gate says of a fold: of its chests in all poses, and of pictures that are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from training.evaluate.bootstrap import auroc_intervals
from training.gate import QUESTIONS
from training.gating.samples import GateSamples
from training.methods.base import Method

__all__ = ["ALLOWED", "LEAST", "Seen", "chosen", "logits_of", "look", "probabilities", "rates"]

Floats = npt.NDArray[np.float64]

ALLOWED = 0.005
"""The share of upright validation chests that one question may refuse."""
LEAST = 0.5
"""No threshold lies below: a gate that is undecided refuses nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a gate said of the samples of a fold.

    Attributes:
        logits: [N, 3].
        truth: [N, 3]: 1, 0, or not-a-number where there is no answer.
        kinds: what each shows.
        owners: each one's patient; drawn pictures are their own.
    """

    logits: Floats
    truth: Floats
    kinds: tuple[str, ...]
    owners: tuple[str, ...]

    def of(self, *kinds: str) -> Floats:
        """The probabilities [n, 3] of the samples of these kinds."""
        return probabilities(self.logits[[kind in kinds for kind in self.kinds]])


def probabilities(logits: Floats) -> Floats:
    """As the runtime has them: no temperature, no Platt."""
    found: Floats = 1 / (1 + np.exp(-logits))
    return found


def logits_of(model: Method[Any], batches: Iterable[Tensor], device: str = "cpu") -> Floats:
    """The gate's logits [N, 3] of images [n, 1, H, W]; the rest of the network is not run."""
    model = model.to(device).eval()
    rows = []
    with torch.inference_mode():
        for batch in batches:
            logits = model.gated(model.unet.encode(batch.to(device)))
            assert logits is not None  # noqa: S101 - the caller has seen that there is a gate
            rows.append(logits.double().cpu().numpy())
    return np.concatenate(rows) if rows else np.zeros((0, len(QUESTIONS)))


def look(
    model: Method[Any], samples: GateSamples, patients: Sequence[str], *, batch: int = 32, device: str = "cpu"
) -> Seen:
    """Show a fold to the gate.

    Args:
        model: with a gate.
        samples: of a fold that is measured on.
        patients: of each chest.
        batch: images at once.
        device: of torch.
    """
    parts: list[tuple[Tensor, Tensor]] = []

    def images() -> Iterable[Tensor]:
        for part in DataLoader(samples, batch_size=batch):  # type: ignore[arg-type]
            parts.append((part["gate"], part["gate_known"]))
            yield part["image"]

    logits = logits_of(model, images(), device)
    wanted, known = (torch.cat(column) for column in zip(*parts, strict=True))
    truth = torch.where(known.bool(), wanted.double(), torch.nan).numpy()
    owners = [patient for patient in patients for _ in range(samples.views)]
    owners += [f"drawn:{index}" for index in range(samples.others)]
    return Seen(logits, truth, tuple(samples.kinds()), tuple(owners))


def chosen(upright: Floats, allowed: float = ALLOWED) -> dict[str, float]:
    """For each question the lowest threshold that refuses at most that share of upright chests; none below one half.

    Args:
        upright: probabilities [N, 3] of real chests as they are.
        allowed: share of them.

    Returns:
        By question, in steps of a thousandth where there is one that does.
    """
    found = {}
    for column, name in enumerate(QUESTIONS):
        falling = np.sort(upright[:, column])[::-1]
        may = int(allowed * len(falling))
        first = float(falling[may]) if may < len(falling) else 0.0  # the highest that must pass
        step = (np.floor(first * 1000) + 1) / 1000
        found[name] = max(LEAST, float(step) if step < 1 else float(np.nextafter(first, 2)))
    return found


def rates(seen: Seen, thresholds: dict[str, float], *, resamples: int = 1000) -> dict[str, Any]:
    """AUROC of each question, and by kind of picture how many are stopped at the thresholds, and by which question."""
    each, _ = auroc_intervals(seen.truth, seen.logits, seen.owners, resamples=resamples, seed=0)
    limits = np.array([thresholds[name] for name in QUESTIONS])
    stopped = probabilities(seen.logits) >= limits
    kinds, other = np.array(seen.kinds), seen.truth[:, 0] == 1
    return {
        "auroc": {
            name: {"value": each[c].value, "low": each[c].low, "high": each[c].high} if c in each else None
            for c, name in enumerate(QUESTIONS)
        },
        "others": {"pictures": int(other.sum()), "stopped": int(stopped[other].any(1).sum())},
        "kinds": {
            str(kind): {
                "pictures": int((kinds == kind).sum()),
                "stopped": int(stopped[kinds == kind].any(1).sum()),
                **{name: int(stopped[kinds == kind, c].sum()) for c, name in enumerate(QUESTIONS)},
            }
            for kind in dict.fromkeys(seen.kinds)
        },
    }
