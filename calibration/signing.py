"""Keys, and signatures made with them. What checks them is in the runtime: `cxredge.bundle.signature`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from calibration.errors import CalibrationError, Problem
from cxredge.bundle import Bundle
from cxredge.bundle.hashed import hash_bundle
from cxredge.bundle.signature import Form, Signature, encode, key_id, message, read_key_file, signature_path
from cxredge.errors import Code, CxredgeError
from cxredge.files import write_atomically

__all__ = ["make_keys", "passphrase_from", "read_private_key", "sign_bundle", "signature_of"]


def make_keys(stem: Path, passphrase: bytes | None) -> tuple[Path, Path, str]:
    """Write STEM.private.pem, which only its owner may read, and STEM.public.pem.

    Args:
        stem: folder and name.
        passphrase: the private key is encrypted with it; None leaves it plain.

    Returns:
        Both files, and the key's id.

    Raises:
        CalibrationError: KEY where one of the files exists: a key that is lost cannot be made again.
        CxredgeError: OUTPUT_UNWRITABLE.
    """
    secret = Ed25519PrivateKey.generate()
    guard = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    private = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, guard)
    public = secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private_file, public_file = (stem.with_name(f"{stem.name}.{kind}.pem") for kind in ("private", "public"))
    _reserve(private_file, public_file)
    write_atomically(private_file, private, mode=0o600)
    write_atomically(public_file, public)
    return private_file, public_file, key_id(secret.public_key())


def _reserve(*files: Path) -> None:
    """Take the names, empty, or none of them: two runs at once cannot overwrite each other's keys either."""
    taken: list[Path] = []
    try:
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600, exist_ok=False)
            taken.append(file)
    except OSError as error:
        for file in taken:
            file.unlink()
        if isinstance(error, FileExistsError):
            raise CalibrationError(Problem.KEY, f"{file} exists: keys are not overwritten, take another name") from None
        raise CxredgeError(Code.OUTPUT_UNWRITABLE, f"{file}: {error.strerror}") from None


def read_private_key(path: Path, passphrase: Callable[[], bytes]) -> Ed25519PrivateKey:
    """The Ed25519 key in a PEM file, as `make_keys` and `openssl genpkey -algorithm ed25519` write it.

    Args:
        path: of the file.
        passphrase: asked for one where the file is encrypted.

    Raises:
        CalibrationError: KEY.
        BundleError: KEY_UNREADABLE.
    """
    data = read_key_file(path)
    try:
        locked = b"ENCRYPTED" in data
        key = load_pem_private_key(data, passphrase() if locked else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        wrong = "the passphrase is wrong, or " if locked else ""
        raise CalibrationError(Problem.KEY, f"{wrong}{path} is no private key in PEM: give NAME.private.pem") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise CalibrationError(Problem.KEY, f"{path} is a key of another kind than Ed25519: make one with `keys`")
    return key


def sign_bundle(bundle: Path, key: Ed25519PrivateKey, out: Path | None = None) -> Path:
    """Check all of a bundle, and write its signature.

    Args:
        bundle: a folder or a `.cxr` file.
        key: signs.
        out: the signature's file; None takes the bundle's path with `.sig` behind it. An earlier one is replaced.

    Raises:
        BundleError: the bundle is not as it was sealed: it is not signed.
        CxredgeError: OUTPUT_UNWRITABLE.
    """
    hashed = hash_bundle(bundle)
    with Bundle(bundle, hashed.open()) as opened:
        opened.check()
    made = encode(signature_of(hashed.form, hashed.sha256, key))
    return write_atomically(signature_path(bundle) if out is None else out, made)


def signature_of(form: Form, sha256: str, key: Ed25519PrivateKey) -> Signature:
    """The signature of a bundle that has this form and hash."""
    return Signature(form, sha256, key_id(key.public_key()), key.sign(message(form, sha256)))


def passphrase_from(variable: str, ask: Callable[[], str]) -> bytes:
    """A passphrase from the environment, else asked for; never an argument, which every process could read.

    Raises:
        CalibrationError: KEY where it is empty.
    """
    given = os.environ.get(variable) or ask()
    if not given:
        raise CalibrationError(Problem.KEY, f"the passphrase is empty: set {variable} or type one")
    return given.encode()
