"""`python -m calibration`: INT8, the gate, scores, thresholds, sealing, signing. Heavy imports happen inside."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from cxredge.errors import CxredgeError

__all__ = ["main"]

# Name -> (module, its command, one line of help): the module is imported when the command runs.
LATER: dict[str, tuple[str, str, str]] = {
    "quantize": ("calibration.commands.quantize", "quantize", "Make an INT8 graph that passes the gate."),
    "gate": ("calibration.commands.gate", "gate", "Compare an INT8 graph with its fp32 graph on held-out cases."),
    "score": ("calibration.commands.score", "score", "Run a graph on labelled cases and keep its logits."),
    "thresholds": ("calibration.commands.thresholds", "thresholds", "Calibration and thresholds from scores."),
    "seal": ("calibration.commands.seal", "seal", "Seal graphs, thresholds and reports as a bundle."),
    "default": ("calibration.commands.default", "default", "Make the bundle that comes with cxredge, from data on."),
    "keys": ("calibration.commands.keys", "keys", "Make a pair of keys that bundles are signed with."),
    "sign": ("calibration.commands.sign", "sign", "Check a sealed bundle and sign it."),
}


class _Group(click.Group):
    """Commands that are known by name and line without being imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click
        return list(LATER)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as click
        if cmd_name not in LATER:
            return None
        module, name, _ = LATER[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in LATER.items()])


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """A graph becomes an INT8 graph that proves itself, gets its thresholds, and is sealed as a bundle."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process: 0 done, 1 refused by the gate, 2 wrong usage or input."""
    try:
        code = group.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.ClickException as error:
        error.show(file=sys.stderr)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        code = 130
    except CxredgeError as error:
        click.echo(f"calibration: {error}", err=True)
        code = 1 if str(getattr(error, "problem", "")) == "gate" else 2
    except ModuleNotFoundError as error:
        # The workbench's packages are extras of pyproject.toml; a checkout may lack them.
        click.echo(f"calibration: {error.name} is not installed: pip install -e '.[calibrate]'", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
