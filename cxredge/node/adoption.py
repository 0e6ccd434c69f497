"""A starting node makes files and rows agree, whatever the last one was interrupted at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cxredge.errors import Code, InputError
from cxredge.node.arrival import enter, why_ignored
from cxredge.node.config import Sender
from cxredge.node.events import Event, Watch
from cxredge.node.identity import character
from cxredge.node.images import Arrival, Images, State
from cxredge.node.part10 import FileHead, read_file_head
from cxredge.node.spool import Spool
from cxredge.sources import FileBlob

__all__ = ["adopt"]

_STEP = 1 << 20


def adopt(spool: Spool, images: Images, watch: Watch, senders: Sequence[Sender] = ()) -> int:
    """Give every file its row, and take rows whose file is gone out of the queue. Call it before anything runs.

    A file without a row was on its way when the node stopped: nobody was told that it had arrived, so it may have been
    sent again since. A row without a file can come of a disk that failed at the very moment of its commit; it was not
    answered for either, and its sender's next try is taken as a new image.

    Args:
        spool: where the files lie; it has been swept.
        images: the rows.
        watch: is told of each that is adopted.
        senders: whose images are urgent.

    Returns:
        How many files were given a row.
    """
    files, rows = set(spool.identifiers()), images.known()
    for image in images.list((State.QUEUED, State.RUNNING), limit=-1) if rows - files else ():
        if image.id not in files:
            images.fail(image.id, Code.FILE_NOT_FOUND, "its file is gone", again=False)
            watch(Event.PARKED, image=image.id, code=Code.FILE_NOT_FOUND)
    urgent = {sender.ae_title for sender in senders if sender.order == "stat"}
    return sum(_adopted(identifier, spool, images, watch, urgent) for identifier in sorted(files - rows))


def _adopted(identifier: str, spool: Spool, images: Images, watch: Watch, urgent: set[str]) -> bool:
    if images.get(identifier) is not None:  # retention was about to remove it
        spool.forget_image(identifier)
        return False
    try:
        arrival = _read(identifier, spool.image(identifier), urgent)
    except (OSError, InputError):
        arrival = None
    if arrival is None:
        watch(Event.FAILED, code="adopt")
        return False
    if not enter(arrival, spool, images):
        return False
    watch(Event.ADOPTED, image=identifier)
    return True


def _read(identifier: str, path: Path, urgent: set[str]) -> Arrival | None:
    """What its row says; None for a file that the node did not write."""
    with path.open("rb") as file:
        head = read_file_head(file)
        if head is None:
            return None
        digest, size = hashlib.sha256(), 0
        while piece := file.read(_STEP):
            digest.update(piece)
            size += len(piece)
    return _arrival(identifier, path, head, digest.hexdigest(), size, urgent)


def _arrival(identifier: str, path: Path, head: FileHead, sha256: str, size: int, urgent: set[str]) -> Arrival:
    nature = character(FileBlob.of(path), head.syntax, head.offset)
    return Arrival(
        id=identifier,
        sop_instance_uid=head.sop_instance,
        sop_class_uid=head.sop_class,
        sha256=sha256,
        bytes=size,
        sender=head.sender,
        stat=nature.stat or head.sender in urgent,
        ignored=why_ignored(head.sop_class, nature),
    )
