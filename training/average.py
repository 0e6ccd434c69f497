"""`python -m training average`: the weights of several runs from one start become one network's.

Runs that go on from the same weights with other seeds end close enough to each other that the average of their weights
errs less than each does, and costs no more (Wortsman et al., Model soups, ICML 2022). Weights of runs that began
apart have nothing in common: those are joined (training/join.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from cxredge.errors import Code
from training.errors import CheckpointError, bad
from training.join import Read, check_alike, merged_facts, named_all, read_member

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["averaged"]

APART = 0.5
"""Least cosine between the weights of two runs: those from one start have 0.9 or so, strangers 0."""


def averaged(paths: Sequence[Path], out: Path) -> Path:
    """Write a checkpoint whose weights and statistics are the mean of those of several CXR-IRNets.

    Args:
        paths: of checkpoints, at least two, of runs from one start.
        out: the file.

    Raises:
        CheckpointError: a file is no checkpoint of a CXR-IRNet, is of another shape than the first, was trained behind
            another U-Net, or began apart from it.
        UsageError: fewer than two, or one that is a committee.
    """
    import torch

    from training.checkpoint import save

    if len(paths) < 2:
        raise bad("an average is of at least two")
    first, *others = [read_member(path) for path in paths]
    for other in others:
        check_alike(first, other)
        _check_start(first, other)
    states = [weights for _, _, weights, _ in (first, *others)]
    state = {
        name: torch.stack([each[name].double() for each in states]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in first[2].items()
    }
    everyone = [told for _, told, _, _ in (first, *others)]
    departure = f"the average of the weights of {len(everyone)} runs: {named_all(everyone)}"
    return save(out, state, merged_facts(everyone, departure, msgspec.to_builtins(first[3])))


def _check_start(first: Read, other: Read) -> None:
    """Same shapes, and weights that point the same way."""
    path, own, others = other[0], first[2], other[2]
    if own.keys() != others.keys() or any(value.shape != others[name].shape for name, value in own.items()):
        raise CheckpointError(Code.BAD_ARGUMENT, f"{path} is of another shape than {first[0]}")
    alike = _cosine(own, others)
    if alike < APART:
        raise CheckpointError(
            Code.BAD_ARGUMENT,
            f"{path} did not begin where {first[0]} did (cosine of their weights: {alike:.2f}): join them instead",
        )


def _cosine(own: dict[str, Tensor], others: dict[str, Tensor]) -> float:
    """Of all weights that differ at all; 1 where none does."""
    import torch

    pairs = [(value, others[name]) for name, value in own.items() if value.ndim > 1 and not value.equal(others[name])]
    if not pairs:
        return 1.0
    one, two = (torch.cat([pair[side].double().flatten() for pair in pairs]) for side in (0, 1))
    return float(torch.nn.functional.cosine_similarity(one, two, 0))


@click.command()
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The checkpoint of the average.")
def average(checkpoints: tuple[Path, ...], out: Path) -> None:
    """Average the weights of runs that went on from the same checkpoint with other seeds: one network, no slower.

    Train them with `fit --start`.
    """
    click.echo(str(averaged(checkpoints, out)))
