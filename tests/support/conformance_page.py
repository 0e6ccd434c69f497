"""Tables of docs/conformance.md that follow from the code: `python -m tests.support.conformance_page FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from pydicom.uid import UID

from cxredge.dicom.decoders import decoder_states
from cxredge.dicom.own import IMPLEMENTATION
from cxredge.dicom.syntaxes import RAW
from cxredge.dicom_out import SOP_CLASSES
from cxredge.node.arrival import Status
from cxredge.node.classes import _NOT_WITH_THE_PIXELS, RADIOGRAPHS, STORED, VERIFICATION, negotiate
from cxredge.node.config import Limits
from cxredge.node.tls import _SUITES
from cxredge.node.wire import IMPLEMENTATION_VERSION, Abort, Context, Reject
from tests.support.tables import table, with_tables

__all__ = ["TABLES"]

_STATUSES = {
    Status.SUCCESS: "The instance is on disk, its file and its row; or it had been received before.",
    Status.INVALID_INSTANCE: "The SOP Class UID or SOP Instance UID of the command set is no UID.",
    Status.OTHER_CLASS: "The command set names another SOP class than its presentation context.",
    Status.DISK_FULL: "Less than `limits.free_disk_mb` is free, or the disk became full. Send again later.",
    Status.DISK_ERROR: "The disk failed: nothing was kept. Send again later.",
    Status.RATE: "More than `limits.images_a_minute`. Send again later.",
    Status.TOO_LARGE: "More than `limits.instance_mb`.",
    Status.UIDS_DIFFER: "The data set's SOP Class or Instance UID is not that of the command set.",
    Status.NOT_UNDERSTOOD: "The data set does not say which instance it is.",
}
_REJECTS = {
    Reject.APPLICATION_CONTEXT: "The application context is not DICOM's.",
    Reject.CALLING_TITLE: "No `[[sender]]` has this calling AE title and this address.",
    Reject.CALLED_TITLE: "The called AE title is not `receiver.ae_title`.",
    Reject.PROTOCOL: "The protocol version is not 1.",
    Reject.CONGESTED: "The node is about to end.",
    Reject.LIMIT: "`limits.connections` or `limits.connections_an_address` is reached.",
}
_ABORTS = {
    Abort.NOT_SPECIFIED: "Nothing happened for `limits.idle_s`, or the node ends.",
    Abort.INVALID_PARAMETER: "A PDU that breaks the rules: unknown, unexpected, too long, cut, of no accepted context.",
}


def received() -> str:
    """SOP classes as SCP."""
    rows = [_named(VERIFICATION, "answered")]
    rows += [_named(uid, "analysed" if uid in RADIOGRAPHS else "kept, never analysed") for uid in sorted(STORED)]
    return table(["SOP class", "UID", "what becomes of it"], rows)


def sent() -> str:
    """SOP classes as SCU."""
    rows = [_named(uid, f"`{kind}`") for kind, uid in SOP_CLASSES.items()]
    return table(["SOP class", "UID", "word in `objects`"], rows)


def syntaxes() -> str:
    """Transfer syntaxes as SCP that the analysis reads."""
    read = sorted({*RAW, *(state.syntax for state in decoder_states())}, key=_by_number)
    answers = negotiate([Context(1, min(RADIOGRAPHS), (uid,)) for uid in read])
    assert {result for _, result, _ in answers} == {0}
    return table(["transfer syntax", "UID"], [_named(uid) for uid in read])


def refused_syntaxes() -> str:
    """Those that are not accepted."""
    return ", ".join(f"`{uid}`" for uid in sorted(_NOT_WITH_THE_PIXELS, key=_by_number))


def statuses() -> str:
    """Answers to a C-STORE."""
    rows = [(_kind(status), f"`{status:04X}`", _STATUSES[status]) for status in Status]
    return table(["status", "code", "when"], rows)


def rejections() -> str:
    """A-ASSOCIATE-RJ and A-ABORT."""
    rows = [(f"A-ASSOCIATE-RJ, {', '.join(map(str, why.value))}", text) for why, text in _REJECTS.items()]
    assert set(_REJECTS) == set(Reject)
    rows += [(f"A-ABORT, source 2, reason {why.value}", text) for why, text in _ABORTS.items()]
    return table(["answer (result, source, reason)", "when"], rows)


def answers() -> str:
    """What a destination may answer."""
    rows = [
        ("`0000`, `0111`, `Bxxx`", "Delivered: success, a duplicate, a warning."),
        ("`A7xx`", "The destination has no room: all that is for it waits, and is tried again."),
        ("any other", "This image's results are tried again after a growing pause; those of others go on."),
        ("no answer, an abort, a rejection", "All that is for it waits, and is tried again."),
    ]
    return table(["status", "what the node does"], rows)


def limits() -> str:
    """Timeouts and limits, at their defaults."""
    rows = [(f"`{name}`", f"{getattr(Limits(), name):g}") for name in Limits.__struct_fields__]
    return table(["`[limits]`", "default"], rows)


def identity() -> str:
    """Who the node says it is."""
    rows = [
        ("Application Context Name", "`1.2.840.10008.3.1.1.1`"),
        ("Implementation Class UID", f"`{IMPLEMENTATION}`"),
        ("Implementation Version Name", f"`{IMPLEMENTATION_VERSION}`"),
        ("Maximum length received", f"{Limits().pdu_bytes} (`limits.pdu_bytes`)"),
    ]
    return table(["", ""], rows)


def suites() -> str:
    """What is offered, in OpenSSL's words."""
    return f"`{_SUITES}`"


TABLES = {
    "received": received,
    "syntaxes": syntaxes,
    "refused syntaxes": refused_syntaxes,
    "statuses": statuses,
    "rejections": rejections,
    "identity": identity,
    "sent": sent,
    "answers": answers,
    "limits": limits,
    "suites": suites,
}


_NEWER = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression",
}
"""Of PS3.6 tables that pydicom does not have yet."""


def _named(uid: str, *more: str) -> tuple[str, ...]:
    return (_NEWER.get(uid) or UID(uid).name, f"`{uid}`", *more)


def _kind(status: Status) -> str:
    """The standard's words for it (PS3.4 B.2.3, PS3.7 C)."""
    named = {0x0000: "Success", 0x0117: "Invalid object instance", 0x0122: "SOP class not supported"}
    ranges = {0xA700: "Refused: out of resources", 0xA900: "Error: data set does not match SOP class"}
    return named.get(status) or ranges.get(status & 0xFF00) or "Error: cannot understand"


def _by_number(uid: str) -> list[int]:
    return [int(part) for part in uid.split(".")]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8"), TABLES), encoding="utf-8")
