"""What is exported: the network of a checkpoint, or a random one for timing and tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from training.checkpoint import Facts, load
from training.methods import build
from training.methods.base import Method
from training.phantoms import generate

__all__ = ["Subject", "from_checkpoint", "random_subject"]

# Phantoms whose statistics fill the batch norms of a random network. Parity is never measured on these.
FILLING = range(900_000, 900_006)


@dataclass(frozen=True)
class Subject:
    """A network in evaluation, and where it comes from.

    Attributes:
        method: the network, on the CPU.
        facts: of its checkpoint; None for random weights.
        sha256: of the checkpoint's file; None for random weights.
        seed: of random weights; None for a checkpoint.
    """

    method: Method[Any]
    facts: Facts | None
    sha256: str | None
    seed: int | None

    @property
    def origin(self) -> str:
        """One phrase for people."""
        if self.facts is None:
            return f"random weights (seed {self.seed}): its answers mean nothing"
        return f"checkpoint {(self.sha256 or '')[:12]}, {self.facts.stage}, epoch {self.facts.epoch}"


def from_checkpoint(path: Path) -> Subject:
    """The network of a checkpoint.

    Raises:
        CheckpointError: there is no such file, it is no checkpoint, or one of a newer schema.
        UsageError: its method is unknown here.
    """
    method, facts = load(path)
    return Subject(method, facts, hashlib.sha256(path.read_bytes()).hexdigest(), None)


def random_subject(name: str, options: Mapping[str, Any] | None = None, *, seed: int = 0) -> Subject:
    """A method with seeded random weights whose batch norms have seen a few drawn chests.

    Without that, activations of a deep random network vanish or explode, and every comparison of outputs would be
    one of zeros.

    Raises:
        UsageError: there is no such method or option.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        method = build(name, options)
    fill_norms(method)
    return Subject(method.eval(), None, None, seed)


def fill_norms(method: Method[Any]) -> None:
    """Running means and variances from one training pass over drawn chests."""
    field = method.options.field
    drawn = np.stack([generate(seed, size=field).image for seed in FILLING])
    norms = [module for module in method.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain mean over what was seen
    method.train()
    with torch.no_grad():
        method(torch.from_numpy(drawn)[:, None])
    method.eval()
    for norm in norms:
        norm.momentum = 0.1
