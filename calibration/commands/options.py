"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["ENGINE_NAMES", "FILE", "judging"]

ENGINE_NAMES = ("onnxruntime", "openvino")
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def judging(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of everything that runs the gate."""
    options = (
        click.option(
            "--engine", "engines", multiple=True, type=click.Choice(ENGINE_NAMES), default=ENGINE_NAMES,
            help="Must pass; may be repeated.  [default: both]",
        ),
        click.option("--thresholds", type=FILE, help="thresholds.json: count flips there."),
        click.option("--input-gate", type=FILE, help="input_gate.json: count its flips there."),
        click.option("--rounds", default=30, show_default=True, type=click.IntRange(0), help="Of the latencies."),
        click.option("--resamples", default=1000, show_default=True, type=click.IntRange(1), help="Of the bootstrap."),
        click.option("--time-limit", default=300.0, show_default=True, help="Seconds that an engine may compile."),
        click.option("--explain", is_flag=True, help="Also print which layer costs what."),
        click.option("--json", "as_json", is_flag=True, help="Print the gate report as JSON."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command
