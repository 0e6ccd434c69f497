"""`python -m training`: the training workbench. Heavy imports happen inside the commands that need them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from cxredge.cli.lazy import LazyGroup, answer

__all__ = ["main"]


# Name -> (module, one line of help): the module is imported when the command runs.
LATER: dict[str, tuple[str, str]] = {
    "data": ("training.data.cli", "Say what a data set holds, and cache its planes."),
    "fit": ("training.fit.cli", "Train what a recipe says."),
    "evaluate": ("training.evaluate.cli", "Score a checkpoint on a fold that it has not seen, beside the paper."),
    "join": ("training.join", "Make one network of several that share a U-Net."),
    "gate": ("training.gating.cli", "Measure a checkpoint's input gate, and choose its thresholds."),
    "phantom": ("training.phantoms.cli", "Write synthetic chest radiographs as DICOM files, with their truth."),
}


@click.group(cls=LazyGroup, later=LATER, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """The training workbench: methods, data sets, and what they cost."""


@group.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: name -> line.")
def list_methods(as_json: bool) -> None:
    """Name the methods."""
    from training.methods import METHODS

    lines = {name: line for name, (_, line) in METHODS.items()}
    width = max(map(len, lines))
    text = "\n".join(f"{name:{width}}  {line}" for name, line in lines.items())
    click.echo(json.dumps(lines, indent=2) if as_json else text)


@group.command()
@click.argument("method")
@click.option("--backbone", help="Another backbone than the paper's.")
@click.option("--width", help="Multiplies the channel counts; below 1 for narrow variants.")
@click.option("--field", help="Side of the whole field in pixels.")
@click.option("--crop", help="Side of the classifier's view in pixels.")
@click.option("--channels", type=click.Choice(["1", "3"]), help="Channels of the first convolution.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any other option of the method.")
@click.option("--without", multiple=True, metavar="SWITCH", help="Turn an ablation switch off; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def describe(
    method: str, settings: tuple[str, ...], without: tuple[str, ...], as_json: bool, **named: str | None
) -> None:
    """Print a method's parameters, multiply-adds, input and outputs.

    gmacs are 1e9 multiply-adds (not operations counted twice) of the classifier on one view; the U-Net and the whole
    graph are told apart.
    """
    from training.describe import describe as measure

    options = {name: value for name, value in named.items() if value is not None} | _settings(settings)
    found = measure(method, options, without=without)
    click.echo(json.dumps(found, indent=2) if as_json else _text(found))


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE pairs; a value that is JSON (a number, a list) is taken as such, anything else as text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--set")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _text(found: dict[str, Any]) -> str:
    rows = [
        (found["method"], found["summary"]),
        ("backbone", found["options"]["backbone"]),
        ("classifier", _cost(found) + f", one view of {' x '.join(map(str, found['view']))}"),
        ("U-Net", _cost(found["unet"])),
        *([("gate", _cost(found["gate"]))] if found["gate"] else []),
        ("graph", _cost(found["graph"])),
        ("input", _shape(found["input"]["name"], found["input"]["shape"]) + ", 0..1"),
        ("outputs", ", ".join(_shape(name, shape) for name, shape in found["outputs"].items())),
        ("heat maps cover", ", ".join(f"{edge:g}" for edge in found["heatmap_box"]) + " of the field"),
        ("switches", ", ".join(found["switches"]) or "none"),
    ]
    return "\n".join(f"{name:16} {value}" for name, value in rows)


def _cost(part: dict[str, Any]) -> str:
    return f"{part['parameters'] / 1e6:.2f} M parameters, {part['gmacs']:.3f} G multiply-adds"


def _shape(name: str, shape: Sequence[object]) -> str:
    return f"{name} [{', '.join(map(str, shape))}]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process: 0 done, 1 failed, 2 wrong usage."""
    # The workbench's packages are extras of pyproject.toml; a checkout may lack them.
    sys.exit(answer(group, arguments, "training", install="pip install -e '.[train]'"))
