"""`cxredge queue`: what waits in a node, and a person's decisions about it; whether the node runs or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from cxredge.cli.node import config_option

if TYPE_CHECKING:
    from cxredge.node.queue import Queue

__all__ = ["queue"]

_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_CHOICE = (
    click.argument("identifiers", nargs=-1, metavar="[ID]..."),
    click.option("--all-parked", is_flag=True, help="All images that are parked."),
    click.option("--all-given-up", is_flag=True, help="All deliveries that were given up."),
    _json_option,
    click.pass_obj,
)


def _choice(function: Callable[..., None]) -> Callable[..., None]:
    """What a decision is about, and how its outcome is told."""
    for decorate in reversed(_CHOICE):
        function = decorate(function)
    return function


# "\b" keeps the lines below it as they are.
_HELP = """See and change what waits in a node, while it runs or not. Nothing of a patient is shown.

\b
cxredge queue --config node.toml list
cxredge queue --config node.toml retry --all-parked
cxredge queue --config node.toml drop 1f0c9a...
"""


@click.group(help=_HELP)
@config_option
@click.pass_context
def queue(context: click.Context, config_path: str) -> None:
    """The `cxredge queue` command."""
    from cxredge.node.config import read_config
    from cxredge.node.queue import Queue

    context.obj = context.with_resource(Queue(read_config(config_path)))


@queue.command("list")
@click.option("--state", "states", multiple=True, help="Only images in this state; may be given more than once.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Rows of each kind.")
@_json_option
@click.pass_obj
def list_(queue: Queue, states: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Show images that are not analysed and deliveries that are not sent, and how many there are of each."""
    found = queue.found(states, limit)
    click.echo(json.dumps(found, indent=2) if as_json else _text(found, limit))


@queue.command()
@_choice
def retry(queue: Queue, identifiers: tuple[str, ...], all_parked: bool, all_given_up: bool, as_json: bool) -> None:
    """Analyse parked or dropped images again; try their deliveries that are not sent now."""
    chosen = _chosen(queue, identifiers, all_parked, all_given_up)
    _report(chosen, queue.retry, "retried", as_json)


@queue.command()
@_choice
def drop(queue: Queue, identifiers: tuple[str, ...], all_parked: bool, all_given_up: bool, as_json: bool) -> None:
    """Give up images that are queued or parked, and deliveries that wait; their files go by retention."""
    chosen = _chosen(queue, identifiers, all_parked, all_given_up)
    _report(chosen, queue.drop, "dropped", as_json)


def _chosen(queue: Queue, identifiers: Sequence[str], all_parked: bool, all_given_up: bool) -> list[str]:
    if not (identifiers or all_parked or all_given_up):
        raise click.UsageError("give an ID of `list`, --all-parked or --all-given-up")
    more = (queue.parked() if all_parked else []) + (queue.given_up() if all_given_up else [])
    return list(dict.fromkeys((*identifiers, *more)))


def _report(chosen: list[str], act: Callable[[str], bool], done: str, as_json: bool) -> None:
    outcome = {identifier: act(identifier) for identifier in chosen}
    number = sum(outcome.values())
    if as_json:
        click.echo(json.dumps({"schema": "cxredge.queue/1", done: [one for one, did in outcome.items() if did]}))
    else:
        click.echo(f"{number} {done}")
    failed = [identifier for identifier, did in outcome.items() if not did]
    for identifier in failed:
        click.echo(f"{identifier}: nothing of that name can be {done} now", err=True)
    if failed:
        raise click.exceptions.Exit(1)


def _text(found: dict[str, Any], limit: int) -> str:
    lines = ["images: " + (_counted(found["image_counts"]) or "none")]
    for image in found["images"]:
        code = f"  {image['code']}" if image["code"] else ""
        stat = "  stat" if image["stat"] else ""
        age, tries = _age(image["age_s"]), image["attempts"]
        lines.append(f"  {image['id']}  {image['state']:<9}  {age:>6}  tries {tries}{stat}{code}")
    lines += _more(found["images"], limit)
    for place, counts in found["delivery_counts"].items():
        lines.append(f"to {place}: {_counted(counts)}")
        for one in found["deliveries"]:
            if one["destination"] == place:
                tries, age = one["attempts"], _age(one["age_s"])
                lines.append(f"  {one['image']}  {one['state']:<9}  {age:>6}  tries {tries}{_next(one)}")
    return "\n".join(lines + _more(found["deliveries"], limit))


def _more(rows: Sequence[object], limit: int) -> list[str]:
    return [f"  the first {limit}; --limit shows more"] if len(rows) == limit else []


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in counts.items())


def _next(delivery: dict[str, Any]) -> str:
    if delivery["state"] != "waiting":
        return ""
    return f"  next in {_age(delivery['next_s'])}" if delivery["next_s"] > 0 else "  due"


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
