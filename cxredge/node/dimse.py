"""Sends by DIMSE: one association for several images' results, and each C-STORE's answer is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, _config, build_context, evt

from cxredge.node.config import Destination
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

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

__all__ = ["DimseChannel"]

# A file's bytes go out as they lie there: what is sent twice is the same.
_config.STORE_SEND_CHUNKED_DATASET = True
_config.LOG_HANDLER_LEVEL = "none"

_LOOKS_EVERY = 0.2
_MOST_PDU = 1 << 17
_RESOURCES = range(0xA700, 0xA800)
_MEANINGS = {
    0x0110: "processing failure",
    0x0117: "invalid SOP instance",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0xA700: "out of resources",
    0xA900: "the data set does not match its SOP class",
    0xC000: "cannot understand",
}


class DimseChannel:
    """A C-STORE SCU for one destination."""

    def __init__(self, destination: Destination, calling_title: str) -> None:
        """Nothing is opened yet.

        Args:
            destination: one with `ae_title`, `host` and `port`.
            calling_title: the node's own name.
        """
        self._to = destination
        self._title = calling_title
        self._stopping = threading.Event()
        self._line: _Line | None = None

    def send(self, parcels: Sequence[Parcel], told: Told) -> None:
        """See `Channel.send`."""
        try:
            with self._association([file for parcel in parcels for file in parcel.files]) as line:
                for parcel in parcels:
                    if self._stopping.is_set():
                        return
                    told(parcel, self._store(line, parcel))
        except Refused as refused:  # all that the association was asked for
            for parcel in parcels:
                told(parcel, refused)

    def stop(self) -> None:
        """See `Channel.stop`."""
        self._stopping.set()

    def abort(self) -> None:
        """See `Channel.abort`."""
        self._stopping.set()
        line = self._line
        if line is not None:
            line.cut()

    def _store(self, line: _Line, parcel: Parcel) -> Refused | None:
        """Send an image's objects, all that can be; the first refusal of one of them is the parcel's."""
        refusals: list[Refused] = []
        for one in parcel.files:
            try:
                status = line.store(one)
            except ValueError:  # pynetdicom's word for it
                refusals.append(Refused("no_context", f"it takes no {one.kind} in a transfer syntax of ours"))
                continue
            if status is None:
                code, reason = line.ending()
                raise Unreachable(code, f"{reason}, while {one.kind} was sent", parcel)
            if status == 0 or status == DUPLICATE or status >> 12 == 0xB:
                continue
            answer = f"it answered 0x{status:04X} ({_meaning(status)}) for {one.kind}"
            if status in _RESOURCES:
                raise Unreachable(f"status_{status:04x}", answer, parcel)
            refusals.append(Refused(f"status_{status:04x}", answer))
        return refusals[0] if refusals else None

    @contextmanager
    def _association(self, objects: list[ResultFile]) -> Iterator[_Line]:
        line = self._line = _Line(self._to, self._title, objects)
        try:
            line.open()
            yield line
        finally:
            self._line = None
            line.close()


def _contexts(objects: Sequence[ResultFile]) -> list[PresentationContext]:
    """Each class as it lies in the file, and in the default transfer syntax, which all must know (PS3.5 10.1)."""
    pairs = {(one.sop_class, one.syntax): None for one in objects}
    pairs |= {(one.sop_class, ImplicitVRLittleEndian): None for one in objects if not one.syntax.is_compressed}
    return [build_context(sop_class, [syntax]) for sop_class, syntax in pairs]


class _Line:
    """An association, and a thread that cuts it when the other side stops taking or answering.

    A slow peer is not cut: each piece that it takes begins the timeout anew.
    """

    def __init__(self, destination: Destination, title: str, objects: list[ResultFile]) -> None:
        self._to = destination
        self._title = title
        self._objects = objects
        self._association: Association | None = None
        self._began = self._moved = time.monotonic()
        self._unsent: int | None = None  # None while no object is on its way
        self._asked: Association | None = None
        self._stalled = False
        self._cut = False
        self._over = threading.Event()

    def open(self) -> None:
        """Ask for the association.

        Raises:
            Unreachable: it is not to be had.
            Refused: it was to be had, but for none of the objects.
        """
        entity = AE(ae_title=self._title)
        seconds = self._to.timeout_s
        entity.connection_timeout = entity.acse_timeout = seconds
        entity.network_timeout = None  # it counts what is received alone: a long object would be cut off
        contexts = _contexts(self._objects)
        host, port, title = self._to.host or "", self._to.port or 0, self._to.ae_title or ""  # config has checked them
        tls = None if self._to.tls is None else (tls_context(self._to.tls), host)
        try:
            association = entity.associate(
                host,
                port,
                contexts,
                title,
                max_pdu=_MOST_PDU,
                tls_args=tls,
                evt_handlers=[(evt.EVT_CONN_OPEN, self._opened), (evt.EVT_DATA_SENT, self._sent)],
            )
        except OSError as error:
            raise Unreachable("unreachable", f"no connection: {error.strerror or type(error).__name__}") from None
        if not association.is_established:
            raise self._no_association(association)
        self._association = association
        with suppress(AttributeError, OSError):  # closed by now: the first object will tell
            keep_little_in_flight(_socket(association), seconds)
        threading.Thread(target=self._watch, name=f"line to {self._to.name}", daemon=True).start()

    def store(self, one: ResultFile) -> int | None:
        """Send an object; its status, or None where the association is no more.

        Raises:
            ValueError: no context for it was accepted.
        """
        association = self._association
        if association is None or not association.is_established:
            return None
        context = association._get_valid_context(one.sop_class, one.syntax, "scu")
        exact = context.transfer_syntax[0] == one.syntax
        data = one.path if exact else dcmread(one.path)
        association.dimse_timeout = pace_limit(self._to.timeout_s, one.bytes)
        self._began = self._moved = time.monotonic()
        self._unsent = one.data_set_bytes
        try:
            status = association.send_c_store(data)
        except RuntimeError:  # it ended a moment ago
            return None
        finally:
            self._stalled |= self._still()
            self._unsent = None
        return int(status.Status) if "Status" in status else None

    def ending(self) -> tuple[str, str]:
        """How an association ended that should not have: a word, and a sentence."""
        if self._cut:
            return "stopped", "the node stops"
        if self._stalled:
            return "timeout", f"it took or answered nothing for {self._to.timeout_s:g} s"
        return "aborted", "it ended the association"

    def close(self) -> None:
        """End it: well, where it still stands."""
        self._over.set()
        association = self._association
        if association is None or not association.is_established:
            return
        if not (self._cut or self._stalled):
            association.release()
        if association.is_established:
            association.abort(block=False)
            self._shut()

    def cut(self) -> None:
        """Close the connection under it: whoever waits on it is woken."""
        self._cut = True
        self._shut()

    def _shut(self) -> None:
        with suppress(AttributeError, OSError):
            _socket(self._association or self._asked).shutdown(2)

    def _no_association(self, association: Association) -> Refused | Unreachable:
        answer: Any = association.acceptor.primitive
        if association.rejected_contexts:
            return Refused("no_context", "it takes none of its objects in a transfer syntax of ours")
        if association.is_rejected and answer is not None:
            return Unreachable("rejected", f"it refused the association: {answer.reason_str.lower()}")
        if self._asked is not None:
            return Unreachable("rejected", "it was connected to, and gave no association")
        return Unreachable("unreachable", "no connection")

    def _opened(self, event: Any) -> None:
        """Connected: who does not answer the request can be cut off from here on."""
        self._asked = event.assoc
        if self._cut:
            self._shut()

    def _sent(self, event: Any) -> None:
        self._moved = time.monotonic()
        if self._unsent is not None:
            self._unsent = max(0, self._unsent - len(event.data))

    def _still(self) -> bool:
        """Whether nothing has moved for too long.

        A line that was slow has its time again: as much may lie before the other side as has been taken from here.
        """
        return time.monotonic() - self._moved > self._to.timeout_s + (self._moved - self._began)

    def _watch(self) -> None:
        """Cut the line when no answer comes; while an object goes out, the socket's own timeout watches each piece."""
        while not self._over.wait(_LOOKS_EVERY):
            if self._unsent == 0 and self._still():
                self._stalled = True
                self._shut()
                return


def _socket(association: Any) -> Any:
    return association.dul.socket.socket


def _meaning(status: int) -> str:
    known = _MEANINGS.get(status)
    if known is not None:
        return known
    for base in (0xA700, 0xA900, 0xC000):
        if base <= status < (base + 0x100 if base < 0xC000 else 0xD000):
            return _MEANINGS[base]
    return "a failure"
