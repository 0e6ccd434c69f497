"""`python -m calibration`: INT8, the gate, scores, thresholds, sealing, signing. Heavy imports happen inside."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from cxredge.cli.lazy import LazyGroup, answer
from cxredge.errors import CxredgeError

__all__ = ["main"]

# Name -> (module:command, one line of help): the module is imported when the command runs.
LATER: dict[str, tuple[str, str]] = {
    "quantize": ("calibration.commands.quantize:quantize", "Make an INT8 graph that passes the gate."),
    "gate": ("calibration.commands.gate:gate", "Compare an INT8 graph with its fp32 graph on held-out cases."),
    "score": ("calibration.commands.score:score", "Run a graph on labelled cases and keep its logits."),
    "thresholds": ("calibration.commands.thresholds:thresholds", "Calibration and thresholds from scores."),
    "seal": ("calibration.commands.seal:seal", "Seal graphs, thresholds and reports as a bundle."),
    "default": ("calibration.commands.default:default", "Make the bundle that comes with cxredge, from data on."),
    "keys": ("calibration.commands.keys:keys", "Make a pair of keys that bundles are signed with."),
    "sign": ("calibration.commands.sign:sign", "Check a sealed bundle and sign it."),
}


@click.group(cls=LazyGroup, later=LATER, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """A graph becomes an INT8 graph that proves itself, gets its thresholds, and is sealed as a bundle."""


def _code(error: CxredgeError) -> int:
    return 1 if str(getattr(error, "problem", "")) == "gate" else 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process: 0 done, 1 refused by the gate, 2 wrong usage or input."""
    # The workbench's packages are extras of pyproject.toml; a checkout may lack them.
    sys.exit(answer(group, arguments, "calibration", code_of=_code, install="pip install -e '.[calibrate]'"))
