"""An association of a known sender, from its acceptance to its end: C-ECHO and C-STORE (PS3.7 9.1), one at a time."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cxredge.node import wire
from cxredge.node.admission import Admission, Guest
from cxredge.node.arrival import Incoming, Kept, Refused, Status
from cxredge.node.channel import Basin, Channel, Ended, Late
from cxredge.node.classes import VERIFICATION
from cxredge.node.config import NodeConfig, Sender
from cxredge.node.events import Event, Watch
from cxredge.node.images import Images
from cxredge.node.spool import Spool
from cxredge.node.wire import Abort, Command, Operation, Pdu, WireError

__all__ = ["Association", "House"]

_PDV = struct.Struct(">LBB")
_COMMAND, _LAST = 1, 2  # PS3.8 E.2: the message control header
_MOST_COMMAND_BYTES = 1 << 12


@dataclass(frozen=True, slots=True)
class House:
    """What all connections share. `closing` says whether no more is taken."""

    config: NodeConfig
    spool: Spool
    images: Images
    watch: Watch
    wake: Callable[[], None]
    admission: Admission
    basin: Basin
    closing: Callable[[], bool]


@dataclass(slots=True)
class _Store:
    """A C-STORE whose data set is on its way: into `incoming`, or into nothing where it is refused."""

    context: int
    command: Command
    began: float
    incoming: Incoming | None = None
    refused: Refused | None = None
    dropped: int = 0

    def kept(self, images: Images) -> Kept:
        """What it became; raises `refused` where it was."""
        if self.incoming is None:
            raise self.refused or Refused(Status.NOT_UNDERSTOOD, "not_an_image")
        return self.incoming.keep(images)


class Association:
    """Speaks with one sender until it releases, aborts, breaks the rules, or is silent for too long."""

    def __init__(
        self, house: House, channel: Channel, guest: Guest, sender: Sender, contexts: Mapping[int, tuple[str, str]]
    ) -> None:
        """`contexts`: SOP class and transfer syntax of each that was accepted."""
        self._house, self._channel, self._guest, self._sender = house, channel, guest, sender
        self._limits, self._contexts = house.config.limits, contexts
        self._command = bytearray()
        self._store: _Store | None = None

    def run(self) -> str:
        """How it ended: a code of ASSOCIATION_ENDED. No answer is owed, and no file half-written, when this returns."""
        try:
            while self._next():
                if self._house.closing() and not self._guest.busy:
                    return self._abort(Abort.NOT_SPECIFIED, "aborted")
            return "released"
        except Ended:
            return "aborted"
        except Late:
            return self._abort(Abort.NOT_SPECIFIED, "idle")
        except WireError:
            return self._abort(Abort.INVALID_PARAMETER, "pdu")
        finally:
            if self._store is not None and self._store.incoming is not None:
                self._store.incoming.discard()
            self._channel.leave()
            self._guest.busy = False

    def _next(self) -> bool:
        """One PDU; False where it was the release."""
        self._in_time()
        kind, length = self._channel.header()
        self._in_time()
        if kind is Pdu.DATA:
            self._data(length)
            return True
        if kind is Pdu.RELEASE and length == 4:  # PS3.8 9.3.6
            self._channel.take(length)
            self._channel.send(wire.release_answer())
            return False
        if kind is Pdu.ABORT:
            raise Ended
        raise WireError("not what an association may go on with")

    def _in_time(self) -> None:
        """A whole PDU, or room for an answer, may take this long: a sender that trickles is idle too."""
        self._channel.due = time.monotonic() + self._limits.idle_s

    def _abort(self, why: Abort, ended: str) -> str:
        self._channel.say_last(wire.abort(why))
        return ended

    def _data(self, length: int) -> None:
        """P-DATA-TF: presentation data values (PS3.8 9.3.5). Lengths are checked before anything is read for them."""
        if length > self._limits.pdu_bytes:
            raise WireError("a PDU over the length that was agreed")
        while length:
            if length < _PDV.size:
                raise WireError("a cut PDV")
            size, context, control = _PDV.unpack(self._channel.take(_PDV.size))
            if not 2 <= size <= length - 4:  # the size counts context and control
                raise WireError("a PDV that is longer than its PDU")
            if context not in self._contexts:
                raise WireError("a PDV of no accepted context")
            length -= 4 + size
            self._fragment(context, control, size - 2)

    def _fragment(self, context: int, control: int, size: int) -> None:
        if control & _COMMAND:
            if self._store is not None or len(self._command) + size > _MOST_COMMAND_BYTES:
                raise WireError("a command within a data set, or too long a one")
            self._guest.busy = True
            self._command += self._channel.take(size)
            if control & _LAST:
                command = wire.read_command(bytes(self._command))
                self._command.clear()
                self._perform(context, command)
            return
        if self._store is None or self._store.context != context:
            raise WireError("a data set without a command")
        self._channel.pour(size, self._take)
        if control & _LAST:
            self._channel.flush()
            self._finish(self._store)
            self._channel.narrow()

    def _perform(self, context: int, command: Command) -> None:
        sop_class, syntax = self._contexts[context]
        if command.operation == Operation.STORE and sop_class != VERIFICATION:
            self._begin(_Store(context, command, time.monotonic()), sop_class, syntax)
        elif command.operation == Operation.ECHO and not command.has_data:
            self._answer(context, command, Status.SUCCESS)
        elif command.operation == Operation.CANCEL:  # nothing that is done here can be cancelled (PS3.7 9.3.2.3)
            self._guest.busy = False
        else:
            raise WireError("an operation that was not agreed")

    def _begin(self, store: _Store, sop_class: str, syntax: str) -> None:
        if not store.command.has_data:
            raise WireError("a C-STORE without a data set")
        self._store = store
        self._channel.widen()
        try:
            store.incoming = self._admitted(store.command, sop_class, syntax)
        except Refused as refused:
            store.refused = refused

    def _admitted(self, command: Command, sop_class: str, syntax: str) -> Incoming:
        """Where its data set goes; what can be refused beforehand is."""
        if command.sop_class != sop_class:
            raise Refused(Status.OTHER_CLASS, "uid")
        if not self._house.admission.may_store(self._sender):
            raise Refused(Status.RATE, "rate")
        try:
            free = self._house.spool.free_bytes()
        except OSError:
            raise Refused(Status.DISK_ERROR, "disk_error") from None
        if free < self._limits.free_disk_mb << 20:
            raise Refused(Status.DISK_FULL, "disk_full")
        return Incoming(self._house.spool, command, syntax, self._sender, self._limits.instance_mb << 20)

    def _take(self, piece: memoryview) -> None:
        """A data set must be read to its end before its command can be answered, even one that is refused."""
        store = self._store
        if store is None:
            return
        if store.incoming is None:
            store.dropped += len(piece)
            if store.dropped > self._limits.instance_mb << 20:
                raise WireError("a data set without an end")
            return
        try:
            store.incoming.write(piece)
        except Refused as refused:
            store.incoming, store.refused = None, refused

    def _finish(self, store: _Store) -> None:
        """The promise: success is answered after `keep` has returned, and never otherwise."""
        try:
            kept = store.kept(self._house.images)
        except Refused as refused:
            self._store = None
            self._house.watch(Event.STORE_REFUSED, sender=self._sender.ae_title, code=refused.code)
            self._answer(store.context, store.command, refused.status)
            return
        self._store = None
        try:
            self._answer(store.context, store.command, Status.SUCCESS)
        finally:  # it is kept, whether the sender hears of it or not
            if kept.known:
                self._house.watch(Event.KNOWN, sender=self._sender.ae_title)
            else:
                seconds = time.monotonic() - store.began
                self._house.watch(
                    Event.RECEIVED, image=kept.id, sender=self._sender.ae_title, bytes=kept.bytes, seconds=seconds
                )
            self._house.wake()

    def _answer(self, context: int, command: Command, status: Status) -> None:
        self._in_time()
        self._channel.send(wire.answer(context, command, status))
        self._guest.busy = False
