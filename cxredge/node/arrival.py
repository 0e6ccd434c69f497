"""An instance on its way in: from the first byte of its data set until it may be answered for."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum

from cxredge.errors import Code, InputError
from cxredge.node.classes import RADIOGRAPHS
from cxredge.node.config import Sender
from cxredge.node.identity import HEAD_BYTES, Character, character, identify
from cxredge.node.images import Arrival, Images
from cxredge.node.part10 import file_head
from cxredge.node.spool import Spool
from cxredge.node.wire import Command, is_uid
from cxredge.sources import FileBlob

__all__ = ["Incoming", "Kept", "Refused", "Status", "enter", "why_ignored"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_BINARY = getattr(os, "O_BINARY", 0)


class Status(IntEnum):
    """The answers to a C-STORE (PS3.4 B.2.3, PS3.7 C)."""

    SUCCESS = 0x0000
    INVALID_INSTANCE = 0x0117  # the SOP Instance UID is none
    OTHER_CLASS = 0x0122  # not the SOP class that the context was agreed for
    DISK_FULL = 0xA700
    DISK_ERROR = 0xA701
    RATE = 0xA702
    TOO_LARGE = 0xA703
    UIDS_DIFFER = 0xA900
    NOT_UNDERSTOOD = 0xC000


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """Nothing was kept. `code` is that of STORE_REFUSED."""

    def __init__(self, status: Status, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an instance: its identifier, its size, and whether it had been here before."""

    id: str
    bytes: int
    known: bool


class Incoming:
    """Writes a data set to the spool as it comes, and holds nothing of it but its beginning.

    Every way out but a `keep` that returns leaves no file behind.
    """

    def __init__(self, spool: Spool, command: Command, syntax: str, sender: Sender, most_bytes: int) -> None:
        """Open its file.

        Raises:
            Refused: the UIDs of the command set are none, or the disk fails.
        """
        if not (is_uid(command.sop_class) and is_uid(command.sop_instance)):
            raise Refused(Status.INVALID_INSTANCE, "uid")
        self._spool, self._command, self._syntax, self._sender = spool, command, syntax, sender
        self._most, self._bytes = most_bytes, 0
        self._head: bytearray | None = bytearray()
        self._hash = hashlib.sha256()
        self._id = spool.new_identifier()
        self._file = -1
        start = file_head(command.sop_class, command.sop_instance, syntax, sender.ae_title)
        self._offset = len(start)
        with self._or_nothing():
            self._file = os.open(spool.part(self._id), os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
            _write_all(self._file, memoryview(start))

    def write(self, piece: memoryview) -> None:
        """The next bytes of the data set.

        Raises:
            Refused: it is another instance than the command set says, or too large, or the disk fails.
        """
        with self._or_nothing():
            self._bytes += len(piece)
            if self._bytes > self._most:
                raise Refused(Status.TOO_LARGE, "too_large")
            if self._head is not None:
                self._head += piece[: HEAD_BYTES - len(self._head)]
                if len(self._head) == HEAD_BYTES:
                    self._check()
            self._hash.update(piece)
            _write_all(self._file, piece)

    def keep(self, images: Images) -> Kept:
        """All of it has come: make it durable, file and row. Success may be answered when this returns.

        Raises:
            Refused: it is not what the command set says, or it is not on disk.
        """
        with self._or_nothing():
            if self._head is not None:
                self._check()
            arrival = self._arrival()
            self._sync()
            final = self._spool.keep(self._id, synced=True)
            try:
                known = not enter(arrival, self._spool, images)
            except BaseException:
                # Unanswered for: what is left of it after a crash is found without a row, and adopted.
                with suppress(OSError):
                    final.unlink()
                raise
        return Kept(self._id, self._bytes, known)

    def discard(self) -> None:
        """It will not be kept."""
        if self._file >= 0:
            with suppress(OSError):
                os.close(self._file)
            self._file = -1
        with suppress(OSError):
            self._spool.part(self._id).unlink()

    def _sync(self) -> None:
        """Only the descriptor that wrote is sure to be told of a write that failed later on."""
        os.fsync(self._file)
        file, self._file = self._file, -1
        os.close(file)

    def _check(self) -> None:
        """The data set is the instance that the command set speaks of."""
        head, self._head = bytes(self._head or b""), None
        said = identify(head, self._syntax)
        if said is None:
            raise Refused(Status.NOT_UNDERSTOOD, "not_an_image")
        if said != (self._command.sop_class, self._command.sop_instance):
            raise Refused(Status.UIDS_DIFFER, "uid")

    def _arrival(self) -> Arrival:
        blob = FileBlob.of(self._spool.part(self._id))
        nature = character(blob, self._syntax, self._offset)
        return Arrival(
            id=self._id,
            sop_instance_uid=self._command.sop_instance,
            sop_class_uid=self._command.sop_class,
            sha256=self._hash.hexdigest(),
            bytes=self._bytes,
            sender=self._sender.ae_title,
            stat=nature.stat or self._sender.order == "stat",
            ignored=why_ignored(self._command.sop_class, nature),
        )

    @contextmanager
    def _or_nothing(self) -> Generator[None]:
        """What fails inside leaves nothing behind, and becomes an answer."""
        try:
            yield
        except (OSError, sqlite3.Error, InputError) as error:
            self.discard()
            raise _refusal(error) from error
        except BaseException:
            self.discard()
            raise


def why_ignored(sop_class: str, nature: Character) -> Code | None:
    """Why an instance is kept and not analysed; None where it is a radiograph for all that is known by now."""
    if nature.own:
        return Code.OWN_RESULT
    return None if sop_class in RADIOGRAPHS else Code.WRONG_MODALITY


def enter(arrival: Arrival, spool: Spool, images: Images) -> bool:
    """Give an image that lies in the spool its row; False where it had been received before, and its file goes.

    Raises:
        OSError, sqlite3.Error: it has no row.
    """
    if images.add(arrival):
        return True
    known = images.same(arrival.sop_instance_uid, arrival.sha256)
    if known is not None and known.kept and not spool.image(known.id).exists():
        spool.move_image(arrival.id, known.id)  # whoever lost the first one: here it is again
    else:
        with suppress(OSError):
            spool.forget_image(arrival.id)
    return False


def _refusal(error: OSError | sqlite3.Error | InputError) -> Refused:
    """How a disk that fails is answered. A full one is a matter of time, and A700 has the sender try again."""
    full = isinstance(error, OSError) and error.errno in _FULL
    full = full or (isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", "") == "SQLITE_FULL")
    return Refused(Status.DISK_FULL, "disk_full") if full else Refused(Status.DISK_ERROR, "disk_error")


def _write_all(file: int, data: memoryview) -> None:
    while data:
        data = data[os.write(file, data) :]
