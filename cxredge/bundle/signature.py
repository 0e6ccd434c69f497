"""Signatures beside a bundle, `cxredge.signature/1`: checked over raw bytes, before anything of the bundle is parsed.

A signature file is five lines of ASCII. What is signed with Ed25519 (RFC 8032) is its first three: they name the
schema, which form of the bundle was signed and its SHA-256, so that a signature of one thing is never good for another.
`cryptography` is imported where a key is used, and nowhere else.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cxredge.errors import BundleError, Code

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = [
    "SCHEMA",
    "Form",
    "Signature",
    "check_signature",
    "decode",
    "encode",
    "key_id",
    "message",
    "read_key_file",
    "read_public_key",
    "signature_path",
]

SCHEMA = "cxredge.signature/1"
MOST_BYTES = 4096
"""A signature is about 300 bytes and a key 200; what is larger is neither, and is not read."""

Form = Literal["archive", "manifest"]
"""What the SHA-256 is of: all bytes of a `.cxr` file, or those of a folder's manifest.json, which binds the rest."""

_LINES = re.compile(
    rb"schema: cxredge\.signature/1\nform: (archive|manifest)\nsha256: ([0-9a-f]{64})\n"
    rb"key: ([0-9a-f]{64})\ned25519: ([0-9a-f]{128})\n"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature file holds.

    Attributes:
        form: of the bundle.
        sha256: of the signed bytes, in hexadecimal.
        key: which key made it: the SHA-256 of its public key, see :func:`key_id`. A hint for messages only.
        value: the 64 bytes.
    """

    form: Form
    sha256: str
    key: str
    value: bytes


def message(form: Form, sha256: str) -> bytes:
    """The bytes that are signed."""
    return f"schema: {SCHEMA}\nform: {form}\nsha256: {sha256}\n".encode("ascii")


def encode(signature: Signature) -> bytes:
    """The signature as a file."""
    tail = f"key: {signature.key}\ned25519: {signature.value.hex()}\n"
    return message(signature.form, signature.sha256) + tail.encode("ascii")


def decode(data: bytes) -> Signature:
    """The signature in a file's bytes: these five lines in this order and nothing else.

    Raises:
        BundleError: SIGNATURE_BROKEN.
    """
    found = _LINES.fullmatch(data)
    if found is None:
        raise BundleError(Code.SIGNATURE_BROKEN, f"it does not hold the five lines of {SCHEMA} and nothing else")
    form, sha256, key, value = (group.decode("ascii") for group in found.groups())
    return Signature("archive" if form == "archive" else "manifest", sha256, key, bytes.fromhex(value))


def signature_path(bundle: str | os.PathLike[str]) -> Path:
    """Where a bundle's signature lies: beside it, with `.sig` behind its name."""
    # Not Path.absolute: of "." and "chest/.." the name must be known.
    where = Path(os.path.abspath(bundle))  # noqa: PTH100
    return where.with_name(f"{where.name}.sig")


def check_signature(form: Form, sha256: str, signature: str | os.PathLike[str], key: str | os.PathLike[str]) -> str:
    """Check that the holder of a key signed these bytes.

    Args:
        form: of the bundle.
        sha256: worked out from the bundle's bytes.
        signature: a signature file.
        key: a public key in a PEM file.

    Returns:
        The key's id.

    Raises:
        BundleError: SIGNATURE_MISSING, SIGNATURE_BROKEN, SIGNATURE_KEY, SIGNATURE_WRONG, KEY_UNREADABLE or
            SIGNING_MISSING.
    """
    public = read_public_key(key)
    found = decode(_read_signature(Path(signature)))
    identity = key_id(public)
    if found.key != identity:
        raise BundleError(Code.SIGNATURE_KEY, f"by {found.key[:16]}, the key given is {identity[:16]}")
    if found.form != form:
        raise BundleError(Code.SIGNATURE_WRONG, f"it is of the {_FORMS[found.form]}, this is the {_FORMS[form]}")
    if found.sha256 != sha256:
        raise BundleError(Code.SIGNATURE_WRONG, f"signed was {found.sha256[:16]}, this is {sha256[:16]}")
    _verify(public, found.value, message(form, sha256))
    return identity


_FORMS: dict[Form, str] = {"archive": ".cxr file", "manifest": "folder"}


def _verify(public: Ed25519PublicKey, value: bytes, signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(value, signed)
    except InvalidSignature:
        raise BundleError(Code.SIGNATURE_WRONG, "the key did not make it") from None


def read_public_key(path: str | os.PathLike[str]) -> Ed25519PublicKey:
    """The Ed25519 key in a PEM file, as `python -m calibration keys` and `openssl pkey -pubout` write it.

    Raises:
        BundleError: KEY_UNREADABLE, SIGNING_MISSING.
    """
    data = read_key_file(path)
    if b"PRIVATE KEY" in data:
        raise BundleError(Code.KEY_UNREADABLE, "it is a private key: give the public one, and keep this one secret")
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise BundleError(Code.SIGNING_MISSING) from None
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise BundleError(Code.KEY_UNREADABLE, "it is no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(Code.KEY_UNREADABLE, "it is a key of another kind than Ed25519")
    return key


def key_id(public: Ed25519PublicKey) -> str:
    """The SHA-256 of the public key in DER; `openssl pkey -pubin -outform DER` gives the same bytes."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def read_key_file(path: str | os.PathLike[str]) -> bytes:
    """A PEM file with one key in it.

    Raises:
        BundleError: KEY_UNREADABLE.
    """
    if not os.fspath(path):  # an unset variable of a script: not the same as asking for no check
        raise BundleError(Code.KEY_UNREADABLE, "the path is empty")
    try:
        data = _read_small(Path(path))
    except OSError as error:
        raise BundleError(Code.KEY_UNREADABLE, f"{path}: {error.strerror}") from None
    if data is None or data.count(b"-----BEGIN ") != 1:
        raise BundleError(Code.KEY_UNREADABLE, f"{path} does not hold one key in PEM")
    return data


def _read_signature(path: Path) -> bytes:
    try:
        data = _read_small(path)
    except OSError as error:
        raise BundleError(Code.SIGNATURE_MISSING, f"{path}: {error.strerror}") from None
    if data is None:
        raise BundleError(Code.SIGNATURE_BROKEN, f"{path} is no file of at most {MOST_BYTES} bytes")
    return data


def _read_small(path: Path) -> bytes | None:
    """A file's bytes; None where it is too large, or no plain file (a pipe would be waited for)."""
    path.stat()  # what is not there is said so, as an OSError
    if not path.is_file():
        return None
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    return data if len(data) <= MOST_BYTES else None
