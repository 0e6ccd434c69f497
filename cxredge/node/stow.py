"""Sends by DICOMweb (STOW-RS, PS3.18 10.5): one request for several images' results, and its answer is read."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cxredge.node.config import Destination, Tls
from cxredge.node.sending import (
    DUPLICATE,
    Parcel,
    Refused,
    ResultFile,
    Told,
    Unreachable,
    keep_little_in_flight,
    pace_limit,
    tls_context,
)

__all__ = ["StowChannel", "headers_for", "new_connection", "studies_of"]

_LONGEST_ANSWER = 4 << 20
_BLOCK = 1 << 16
_REFERENCED, _FAILED = "00081199", "00081198"
_INSTANCE, _REASON = "00081155", "00081197"
_ABOUT_THE_OBJECTS = frozenset({400, 409, 411, 413, 415, 422})
"""Answers that speak of what was sent; all other failures speak of the destination, or of this node's rights."""


class StowChannel:
    """A STOW-RS client for one destination."""

    def __init__(self, destination: Destination) -> None:
        """Nothing is opened yet; `destination` has a `url`, the root of its DICOMweb services."""
        self._to = destination
        self._path = studies_of(destination)
        self._stopping = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._cut = False

    def send(self, parcels: Sequence[Parcel], told: Told) -> None:
        """See `Channel.send`."""
        answer = self._post(parcels)
        if answer is None:
            return
        if not answer.readable and len(parcels) > 1:
            # It speaks of all at once: ask one by one, so that one cannot hold up the others.
            for parcel in parcels:
                self.send([parcel], told)
            return
        for parcel in parcels:
            told(parcel, answer.outcome(parcel))

    def stop(self) -> None:
        """See `Channel.stop`."""
        self._stopping.set()

    def abort(self) -> None:
        """See `Channel.abort`."""
        self._stopping.set()
        self._cut = True
        self._shut()

    def _shut(self) -> None:
        connection = self._connection
        with suppress(AttributeError, OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]

    def _post(self, parcels: Sequence[Parcel]) -> _Answer | None:
        """The answer to one request; None where the node stops before it.

        Raises:
            Unreachable: there is none, or it speaks of the destination.
        """
        if self._stopping.is_set():
            return None
        suspect = parcels[0] if len(parcels) == 1 else None
        body = _Body([file for parcel in parcels for file in parcel.files])
        headers = self._headers(body)
        connection = self._connection = self._connected()
        patience = threading.Timer(pace_limit(self._to.timeout_s, body.length), self._shut)
        patience.daemon = True
        patience.start()
        try:
            status, data = _exchange(connection, self._path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error, suspect) from None
        finally:
            patience.cancel()
            self._connection = None
            connection.close()
        if status in (200, 202) or status in _ABOUT_THE_OBJECTS:
            return _Answer.of(status, data)
        raise Unreachable(f"http_{status}", f"it answered HTTP {status}", suspect)

    def _connected(self) -> http.client.HTTPConnection:
        connection = new_connection(self._to)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise Unreachable("unreachable", f"no connection: {_why(error)}") from None
        keep_little_in_flight(connection.sock, self._to.timeout_s)
        return connection

    def _headers(self, body: _Body) -> dict[str, str]:
        return headers_for(self._to) | {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={body.boundary}',
            "Content-Length": str(body.length),
        }

    def _broken(self, error: Exception, suspect: Parcel | None) -> Unreachable:
        if self._cut:
            return Unreachable("stopped", "the node stops", suspect)
        if isinstance(error, TimeoutError):
            return Unreachable("timeout", f"it took or answered nothing for {self._to.timeout_s:g} s", suspect)
        return Unreachable("aborted", f"it ended the connection: {_why(error)}", suspect)


def studies_of(destination: Destination) -> str:
    """The path of its studies: what is stored goes there, and what is asked for."""
    return f"{urlsplit(destination.url or '').path.rstrip('/')}/studies"


def new_connection(destination: Destination) -> http.client.HTTPConnection:
    """One that is not open yet.

    Raises:
        Unreachable: a file of its TLS cannot be used.
    """
    url = urlsplit(destination.url or "")
    host, port, seconds = url.hostname or "", url.port, destination.timeout_s
    if url.scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=seconds)
    return http.client.HTTPSConnection(host, port, timeout=seconds, context=tls_context(destination.tls or Tls()))


def headers_for(destination: Destination) -> dict[str, str]:
    """Of every request. The token is read anew each time: it is replaced while the node runs.

    Raises:
        Unreachable: there is no token in its file.
    """
    headers = {"Accept": "application/dicom+json", "User-Agent": "cxredge"}
    if destination.bearer_token_file is not None:
        headers["Authorization"] = f"Bearer {_token(destination.bearer_token_file)}"
    return headers


def _token(path: Path) -> str:
    try:
        (token,) = path.read_text(encoding="ascii").split()
    except OSError as error:
        raise Unreachable("token", f"the bearer token file cannot be read: {error.strerror}") from None
    except ValueError:
        raise Unreachable("token", "the bearer token file does not hold one token") from None
    return token


def _exchange(
    connection: http.client.HTTPConnection, path: str, body: _Body, headers: dict[str, str]
) -> tuple[int, bytes]:
    """Send the request and read its answer, both within bounds."""
    broken: OSError | None = None
    began = time.monotonic()
    try:
        connection.request("POST", path, body=iter(body), headers=headers)
    except (BrokenPipeError, ConnectionResetError) as error:
        broken = error  # the answer may have come before the request was taken whole (413): then it counts
    try:
        # A line that was slow has its time again: as much may lie before the other side as has been taken from here.
        connection.sock.settimeout((connection.timeout or 0.0) + time.monotonic() - began)
        with connection.getresponse() as response:
            return response.status, response.read(_LONGEST_ANSWER)
    except (OSError, http.client.HTTPException):
        if broken is not None:
            raise broken from None
        raise


class _Body:
    """The files as one multipart body, read while it is sent."""

    def __init__(self, files: Sequence[ResultFile]) -> None:
        self._files = files
        self.boundary = secrets.token_hex(16)
        self._head = f"--{self.boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
        self._tail = f"--{self.boundary}--\r\n".encode("ascii")
        parts = (len(self._head) + file.bytes + len(b"\r\n") for file in files)
        self.length = sum(parts) + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        for file in self._files:
            yield self._head
            with file.path.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    yield block
            yield b"\r\n"
        yield self._tail


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a destination says of each instance.

    Attributes:
        status: of the response.
        readable: whether the instances are told apart; a plain 200 needs no more.
        stored: SOP Instance UIDs that it has.
        failed: SOP Instance UIDs that it has not, with the Failure Reason.
    """

    status: int
    readable: bool
    stored: frozenset[str]
    failed: dict[str, int]

    @staticmethod
    def of(status: int, data: bytes) -> _Answer:
        try:
            said = json.loads(data)
            said = said[0] if isinstance(said, list) else said
            stored = {uid: 0 for uid, _ in _instances(said, _REFERENCED)}
            failed = dict(_instances(said, _FAILED))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return _Answer(status, status == 200, frozenset(), {})
        return _Answer(status, bool(stored or failed) or status == 200, frozenset(stored), failed)

    def outcome(self, parcel: Parcel) -> Refused | None:
        """Whether all of an image's objects are there."""
        for file in parcel.files:
            uid = str(file.sop_instance)
            reason = self.failed.get(uid)
            if reason == DUPLICATE or uid in self.stored or (reason is None and self.status == 200):
                continue
            if reason is not None:
                return Refused(f"status_{reason:04x}", f"it answered 0x{reason:04X} for {file.kind}")
            return Refused(f"http_{self.status}", f"it answered HTTP {self.status} for {file.kind}")
        return None


def _instances(said: dict[str, Any], sequence: str) -> Iterator[tuple[str, int]]:
    """The instances of a sequence in the DICOM JSON model (PS3.18 F.2), with their reasons; 0 where there is none."""
    for item in said.get(sequence, {}).get("Value", []):
        reasons = item.get(_REASON, {}).get("Value", [0])
        yield str(item[_INSTANCE]["Value"][0]), int(reasons[0]) & 0xFFFF


def _why(error: Exception) -> str:
    """The system's word, or the type's: a text of a peer is not passed on."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
