"""`python -m calibration sign`."""

from __future__ import annotations

from pathlib import Path

import click

from calibration.commands.options import FILE
from calibration.commands.passphrase import VARIABLE, unlocked

__all__ = ["sign"]


@click.command(epilog=f"The passphrase of an encrypted key is typed, or taken from {VARIABLE}.")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--key", required=True, type=FILE, help="NAME.private.pem.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The signature.  [default: BUNDLE.sig]")
def sign(bundle: Path, key: Path, out: Path | None) -> None:
    """Check all of BUNDLE, a folder or .cxr file, and write its signature beside it."""
    from calibration.signing import sign_bundle

    click.echo(f"{sign_bundle(bundle, unlocked(key), out)}: the signature of {bundle}")
