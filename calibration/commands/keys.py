"""`python -m calibration keys`."""

from __future__ import annotations

from pathlib import Path

import click

from calibration.commands.passphrase import VARIABLE, new_passphrase

__all__ = ["keys"]


@click.command()
@click.argument("name", type=click.Path(path_type=Path))
@click.option("--passphrase", is_flag=True, help=f"Encrypt the private key; typed, or taken from {VARIABLE}.")
def keys(name: Path, passphrase: bool) -> None:
    """Make NAME.private.pem, which signs and stays secret, and NAME.public.pem, which checks and is given away.

    Files that exist are never overwritten.
    """
    from calibration.signing import make_keys

    private, public, identity = make_keys(name, new_passphrase() if passphrase else None)
    click.echo(f"{private}: keep it secret and safe\n{public}: give it away\nkey {identity}")
