"""Command groups whose discovery is instant, and how a command line ends: shared with the workbench's commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from cxredge.errors import CxredgeError

__all__ = ["LazyGroup", "answer"]


class LazyGroup(click.Group):
    """A group that knows its later commands by name and line; a command's module is imported when the command runs.

    Args:
        later: name -> (place, line of help). A place is a module that holds a command of that name, or `module:name`.
    """

    def __init__(self, *args: Any, later: Mapping[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.later = later

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands that are here, then the later ones, in the order they were given."""
        return [*super().list_commands(ctx), *self.later]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command; its module is imported now."""
        if cmd_name not in self.later:
            return super().get_command(ctx, cmd_name)
        module, _, name = self.later[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name or cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click
        """The help's list of commands, without importing any."""
        here = [(name, command.get_short_help_str(80)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*here, *((name, line) for name, (_, line) in self.later.items())])


def answer(
    group: click.Group,
    arguments: Sequence[str] | None,
    name: str,
    *,
    code_of: Callable[[CxredgeError], int] = lambda _: 2,
    install: str | None = None,
) -> int:
    """Run a command line and give its exit code: what a user can mend is said in a line, never as a traceback.

    Args:
        group: the commands.
        arguments: None takes the process's own.
        name: stands before each message.
        code_of: the exit code of an error of ours.
        install: what brings a module that is missing; None lets its absence be raised.
    """
    try:
        code = group.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.ClickException as error:
        error.show(file=sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return 130
    except CxredgeError as error:
        if os.environ.get("CXREDGE_DEBUG"):
            raise
        click.echo(f"{name}: {error}", err=True)
        return code_of(error)
    except ModuleNotFoundError as error:
        if install is None:
            raise
        click.echo(f"{name}: {error.name} is not installed: {install}", err=True)
        return 2
    return code if isinstance(code, int) else 0
