"""`python -m export`: from a checkpoint to a checked graph and compiled engines. Heavy imports happen inside."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from cxredge.cli.lazy import LazyGroup, answer

__all__ = ["main"]

# Name -> (module:command, one line of help): the module is imported when the command runs.
LATER: dict[str, tuple[str, str]] = {
    "onnx": ("export.commands.onnx:onnx", "Write a checkpoint as one ONNX graph, if it passes parity."),
    "show": ("export.commands.show:show", "Print a graph's summary for a person."),
    "compile": ("export.commands.compile:compile_graph", "Make an engine's own form of a graph."),
    "import-weights": ("export.commands.weights:import_weights", "Published weights become a checkpoint."),
}


@click.group(cls=LazyGroup, later=LATER, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """A network becomes one static graph, is compared with itself, and is compiled for an engine."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process: 0 done, 1 failed, 2 wrong usage."""
    # The workbench's packages are extras of pyproject.toml; a checkout may lack them.
    sys.exit(answer(group, arguments, "export", install="pip install -e '.[train,export]'"))
