"""What a courier and its ways of sending say to each other."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID

from cxredge.errors import CxredgeError
from cxredge.node.config import Tls
from cxredge.node.deliveries import Delivery
from cxredge.node.tls import client_context

__all__ = [
    "DUPLICATE",
    "Channel",
    "Outcome",
    "Parcel",
    "Refused",
    "ResultFile",
    "Told",
    "Unreachable",
    "keep_little_in_flight",
    "pace_limit",
    "tls_context",
]

DUPLICATE = 0x0111
"""Duplicate SOP instance (PS3.7 C): it has the object already."""
_SLOWEST = 2000.0
_BUFFER = 1 << 17
_HEAD = 144
"""Bytes of a file's preamble, of "DICM", and of the element that says how long the file meta information is."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """An object in the spool, and what must be known of it to send it."""

    path: Path
    bytes: int
    data_set_bytes: int
    sop_class: UID
    sop_instance: UID
    syntax: UID

    @staticmethod
    def of(path: Path) -> ResultFile:
        """Read its file meta information.

        Raises:
            OSError, or an error of pydicom's: it cannot be read.
        """
        meta = read_file_meta_info(path)
        size = path.stat().st_size
        return ResultFile(
            path,
            size,
            size - _HEAD - int(meta.FileMetaInformationGroupLength),
            meta.MediaStorageSOPClassUID,
            meta.MediaStorageSOPInstanceUID,
            meta.TransferSyntaxUID,
        )

    @property
    def kind(self) -> str:
        """As a destination's `objects` name it."""
        return self.path.stem


@dataclass(frozen=True, slots=True)
class Parcel:
    """The results of one image for one destination: all of them arrive, or all are sent again."""

    delivery: Delivery
    files: tuple[ResultFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)


class Refused(Exception):  # noqa: N818 - an answer
    """The destination answered, and will not have this parcel. Others may follow.

    `code` is a word for logs and metrics, `reason` a sentence of ours: what a peer writes may quote the object.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Unreachable(Exception):  # noqa: N818 - an answer
    """The destination takes nothing now; `parcel` is the one that was on its way, and may be why."""

    def __init__(self, code: str, reason: str, parcel: Parcel | None = None) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.parcel = parcel


Outcome = Refused | None
Told = Callable[[Parcel, Outcome], None]
"""Called for each parcel as soon as its outcome is known; None is success."""


class Channel(Protocol):
    """A way to one destination."""

    def send(self, parcels: Sequence[Parcel], told: Told) -> None:
        """Send parcels in their order, in one association or request where that can be.

        Parcels that `told` was not called for were not sent, as far as anyone knows.

        Raises:
            Unreachable: the rest must wait.
        """

    def stop(self) -> None:
        """Begin no further parcel."""

    def abort(self) -> None:
        """End what is under way at once."""


def pace_limit(timeout_s: float, count: int) -> float:
    """The most seconds for so many bytes: a slow line has its time, one that drips does not hold us for ever."""
    return 2 * timeout_s + count / _SLOWEST


def keep_little_in_flight(connection: socket.socket, timeout_s: float) -> None:
    """Make the system tell soon that a peer takes nothing: by a small buffer, and a time limit on each piece.

    The system's own buffers hold megabytes: all of an object would seem sent while a slow line has just begun.
    """
    connection.settimeout(timeout_s)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """A client's TLS, from the files as they are now: certificates are replaced while the node runs.

    Raises:
        Unreachable: a file cannot be used.
    """
    try:
        return client_context(tls)
    except CxredgeError as error:
        raise Unreachable("tls", error.message) from None
