"""Bundles signed for tests, by the workbench's own code."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from calibration.signing import make_keys, read_private_key, sign_bundle


@dataclass(frozen=True)
class Signed:
    """A signed bundle, and the files of its keys."""

    bundle: Path
    signature: Path
    private: Path
    public: Path


def no_passphrase() -> bytes:
    raise AssertionError("this key has no passphrase")


def sign_copy(bundle: Path, folder: Path) -> Signed:
    """A copy of the bundle in `folder`, signed with a new key."""
    folder.mkdir()
    copy = folder / bundle.name
    if bundle.is_dir():
        shutil.copytree(bundle, copy)
    else:
        shutil.copy(bundle, copy)
    private, public, _ = make_keys(folder / "maker", None)
    return Signed(copy, sign_bundle(copy, read_private_key(private, no_passphrase)), private, public)
