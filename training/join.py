"""`python -m training join`: several CXR-IRNets that share a U-Net become one network, which says their average.

Each was trained for itself, so that their errors differ; what is averaged errs less (Lakshminarayanan et al., NeurIPS
2017). The joined checkpoint is like any other: it is evaluated, exported and sealed in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from cxredge.errors import Code
from training.errors import CheckpointError, bad

if TYPE_CHECKING:
    from torch import Tensor

    from training.checkpoint import Facts
    from training.methods.cxr_irnet import Options

__all__ = ["joined"]

METHOD = "cxr_irnet"
OWN = ("attention.", "backbone.", "classifier.")
"""What each member brings; the rest is shared, and the first's."""

Read = tuple[Path, "Facts", dict[str, "Tensor"], "Options"]


def joined(paths: Sequence[Path], out: Path, *, mirrored: bool = False) -> Path:
    """Write the checkpoint of a committee.

    Args:
        paths: of checkpoints, at least two; the first gives the U-Net and the gate.
        out: the file.
        mirrored: the committee looks at the mirror image too.

    Raises:
        CheckpointError: a file is no checkpoint of a CXR-IRNet, sees another field than the first, or was trained
            behind another U-Net: its features were weighed by that one's outlines.
        UsageError: fewer than two, or one that is a committee already.
    """
    from training.checkpoint import save

    if len(paths) < 2:
        raise bad("a committee has at least two members")
    first, *others = [_read(path) for path in paths]
    for other in others:
        _check(first, other)
    state = dict(first[2])
    for place, (_, _, weights, _) in enumerate(others):
        state |= {f"members.{place}.{name}": value for name, value in weights.items() if name.startswith(OWN)}
    return save(out, state, _facts(first, others, mirrored=mirrored))


def _read(path: Path) -> Read:
    from training.checkpoint import load

    network, facts = load(path)
    if facts.method != METHOD:
        raise CheckpointError(Code.BAD_ARGUMENT, f"{path} is of the method {facts.method}: only {METHOD} can be joined")
    if network.options.members:
        raise bad(f"{path} is a committee already: join those that it was made of")
    return path, facts, network.state_dict(), network.options


def _check(first: Read, other: Read) -> None:
    """What is averaged must look at the same view through the same outlines."""
    path = other[0]
    free = {name: getattr(first[3], name) for name in ("backbone", "width", "blocks", "gate", "unet_width")}
    if msgspec.structs.replace(other[3], **free) != first[3]:
        raise CheckpointError(Code.BAD_ARGUMENT, f"{path} sees its images otherwise than {first[0]}: other options")
    own, others = ({n: v for n, v in read[2].items() if n.startswith("unet.")} for read in (first, other))
    if own.keys() != others.keys() or not all(value.equal(others[name]) for name, value in own.items()):
        raise CheckpointError(
            Code.BAD_ARGUMENT,
            f"{path} was trained behind another U-Net than {first[0]}: train it with --unet {first[0]}",
        )


def _facts(first: Read, others: Sequence[Read], *, mirrored: bool) -> Facts:
    """Those of the first, and what the others learned from beside."""
    _, facts, _, options = first
    data = list(facts.data)
    for _, told, _, _ in others:
        data += [use for use in told.data if use not in data]
    everyone = [facts, *(told for _, told, _, _ in others)]
    seen = {tag for told in everyone for tag in told.trained_on}
    taught = {tag for told in everyone for tag in set(told.trained_on) - set(told.chosen_on)}
    config: dict[str, Any] = msgspec.to_builtins(options) | {"mirrored": mirrored}
    config["members"] = [
        {"backbone": o.backbone, "width": o.width, "blocks": list(o.blocks) if o.blocks else None}
        for _, _, _, o in others
    ]
    departures = dict.fromkeys(word for told in everyone for word in told.departures)
    return msgspec.structs.replace(
        facts,
        config=config,
        data=tuple(data),
        trained_on=tuple(sorted(seen)),
        chosen_on=tuple(sorted(seen - taught)),
        departures=(*departures, f"a committee of {len(everyone)}: {'; '.join(_named(told) for told in everyone)}"),
        scores={},
    )


def _named(facts: Facts) -> str:
    return f"{facts.recipe['name']}, seed {facts.recipe['seed']}"


@click.command()
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The committee's checkpoint.")
@click.option("--mirrored", is_flag=True, help="It looks at the mirror image too: twice the time, fewer errors.")
def join(checkpoints: tuple[Path, ...], out: Path, mirrored: bool) -> None:
    """Make one network of several CXR-IRNets that share a U-Net: it says what they say on average.

    The first gives the U-Net and the gate. Train the others with --unet, so that they share it.
    """
    click.echo(str(joined(checkpoints, out, mirrored=mirrored)))
