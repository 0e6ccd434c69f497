"""The passphrase of a private key: from the environment or typed, never an argument, which every process can read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["VARIABLE", "new_passphrase", "unlocked"]

VARIABLE = "CALIBRATION_PASSPHRASE"
"""Not CXREDGE_...: `cxredge doctor` prints the variables of that name."""


def new_passphrase() -> bytes:
    """For a key that is made: typed twice."""
    from calibration.signing import passphrase_from

    return passphrase_from(VARIABLE, lambda: _ask("New passphrase", confirm=True))


def unlocked(path: Path) -> Ed25519PrivateKey:
    """The private key in a file; its passphrase is asked for where it has one."""
    from calibration.signing import passphrase_from, read_private_key

    return read_private_key(path, lambda: passphrase_from(VARIABLE, lambda: _ask(f"Passphrase of {path}")))


def _ask(words: str, *, confirm: bool = False) -> str:
    if not sys.stdin.isatty():  # a script: nobody is there to type, and nothing may be echoed into a log
        return ""
    return str(
        click.prompt(words, hide_input=True, confirmation_prompt=confirm, default="", show_default=False, err=True)
    )
