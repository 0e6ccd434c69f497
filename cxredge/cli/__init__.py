"""The `cxredge` command. Discovery is instant: a command's module is imported when the command runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from cxredge.cli.lazy import LazyGroup, answer

__all__ = ["main"]

# Name -> (module, one line of help): the line is kept here so that `cxredge --help` imports none of the modules.
COMMANDS: dict[str, tuple[str, str]] = {
    "predict": ("cxredge.cli.predict", "Segment, score and decide on radiographs."),
    "info": ("cxredge.cli.inspect", "Say what this installation, or a bundle, is."),
    "verify": ("cxredge.cli.inspect", "Check a bundle: every file, every hash."),
    "node": ("cxredge.cli.node", "Run a DICOM node: receive, analyse, send."),
    "queue": ("cxredge.cli.queue", "See and change what waits in a node."),
    "site": ("cxredge.cli.site", "Give a bundle your own thresholds, from labelled cases."),
    "drift": ("cxredge.cli.drift", "Say whether results still look as they should."),
    "doctor": ("cxredge.cli.doctor", "Say what this machine has, and measure its engines."),
    "benchmark": ("cxredge.cli.benchmark", "Measure how fast a bundle runs here, and say what to use."),
    "schema": ("cxredge.cli.inspect", "Print the JSON Schema of results, manifests or benchmarks."),
}


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"cxredge {version('cxredge')}")
        ctx.exit()


# "\b" keeps the lines below it as they are.
_HELP = """Chest radiographs on this machine: lungs and heart outlined, fourteen findings with their thresholds.

\b
cxredge predict scan.dcm --bundle chest.cxr
cxredge predict folder --bundle chest.cxr --format json > results.jsonl

Exit codes: 0 all inputs were answered, 1 some could not be read or written, 2 wrong usage or no model, 3 drift.
"""


@click.group(cls=LazyGroup, later=COMMANDS, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
)
def group() -> None:
    """The `cxredge` command."""


def _silence_libraries() -> None:
    """What pydicom and Pillow warn of may quote the file; all that matters of it comes as a code of ours."""
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process: never with a traceback, unless CXREDGE_DEBUG is set."""
    _silence_libraries()
    try:
        code = answer(group, arguments, "cxredge")
    except BrokenPipeError:
        # The reader of our output went away (`| head`): there is nobody left to tell, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if os.environ.get("CXREDGE_DEBUG"):
            raise
        # The text of a foreign exception may quote a file's content, so only its type is shown.
        click.echo(
            f"cxredge: unexpected {type(error).__name__}; CXREDGE_DEBUG=1 shows where. Please report it.", err=True
        )
        code = 1
    sys.exit(code)
