"""TLS as BCP 195 (RFC 9325) asks for it: version 1.2 or newer, forward secrecy, authenticated encryption."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxredge.errors import Code, UsageError
from cxredge.node.config import Receiver, Tls

__all__ = ["client_context", "server_context"]

# RFC 9325 4.2: of TLS 1.2 only ECDHE with AES-GCM (or ChaCha20); those of 1.3 are all good. DICOM's own profile of
# BCP 195 (PS3.15 B.9) asks for the same.
_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(receiver: Receiver) -> ssl.SSLContext | None:
    """What the node listens with; None where it is to listen without TLS. Clients show certificates unless told not to.

    Raises:
        UsageError: NODE_CONFIG, with the file that cannot be used.
    """
    if receiver.tls is None:
        return None
    context = _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), receiver.tls)
    if receiver.clients_need_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """What a destination is reached with.

    Its certificate must name its host and be signed by `ca`, or by one that the system trusts where there is none; the
    node shows its own certificate where it has one.

    Raises:
        UsageError: NODE_CONFIG, with the file that cannot be used.
    """
    context = _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tls)
    if tls.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def _hardened(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.certificate is not None:
        with _names(tls.certificate):
            # A key with a passphrase would be asked for at a terminal where no one sits.
            context.load_cert_chain(tls.certificate, tls.key, password=_no_passphrase)
    if tls.ca is not None:
        with _names(tls.ca):
            context.load_verify_locations(tls.ca)
    return context


def _no_passphrase() -> str:
    raise ValueError("its key has a passphrase")


@contextmanager
def _names(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        raise UsageError(Code.NODE_CONFIG, f"{path}: {reason}") from None
