"""Identifiers and texts: missing, too long, contradictory, hostile, in no known character set."""

from __future__ import annotations

from cxredge.errors import Code
from tests.support.bad_inputs.film import element, film, good, put, swapped, tagged
from tests.support.bad_inputs.table import Group, ok, same

__all__ = ["IDENTITY"]

IDENTITY = Group("Identifiers and texts")

_NAMELESS = same(Code.INVALID_UID, anonymous=True)
_UID_TAG = 0x00080018


def _with_uid(uid: bytes) -> bytes:
    """The film with this SOP Instance UID, both in the meta information and in the data set."""
    whole = good(tags={"SOPInstanceUID": "1.2.3.4.5.6.7.8.9"})
    return whole.replace(b"UI\x12\x001.2.3.4.5.6.7.8.9\0", element(0, b"UI", uid + b"\0" * (len(uid) % 2))[4:])


def _add(name: str, what: str, uid: bytes) -> None:
    IDENTITY.add(f"uid_{name}", what, _NAMELESS, lambda: _with_uid(uid))


_add("path", "a UID that is a path (../../etc/passwd)", b"../../etc/passwd")
_add("dots", "a UID of two dots", b"..")
_add("65", "a UID of 65 characters", b"1." + b"2" * 63)
_add("letters", "a UID of letters", b"UID-OF-THIS-IMAGE")
_add("zero", "a UID with a null character inside", b"1.2.3\x004.5")
IDENTITY.add("uid_missing", "no SOP Instance UID", _NAMELESS, lambda: tagged(SOPInstanceUID=None))
IDENTITY.add(
    "uid_conflict",
    "a UID unlike that of the meta information",
    same(Code.INVALID_UID),
    lambda: good(meta_uid="1.2.3.999"),
)
IDENTITY.add(
    "uid_again",
    "the good film's UID over other pixels: they have their own result",
    ok(own=True),
    lambda: good((film() // 2 + 700).astype("uint16")),
)
IDENTITY.add(
    "patient_missing", "no patient's name and number", same(), lambda: tagged(PatientName=None, PatientID=None)
)
IDENTITY.add(
    "study_missing", "no study and no series", same(), lambda: tagged(StudyInstanceUID=None, SeriesInstanceUID=None)
)


@IDENTITY.case("a character set that does not exist", same())
def charset_unknown() -> bytes:
    return put(good(), 0x00080016, element(0x00080005, b"CS", b"ISO_IR 999"))


@IDENTITY.case("a name in bytes that its character set does not have", same())
def charset_broken() -> bytes:
    data = put(good(), 0x00080016, element(0x00080005, b"CS", b"ISO_IR 192"))
    return swapped(data, b"Drawn^Chest", b"\xff\xfe\xc3^\xc3\x28\xe2\x82\x80\x1b$")


@IDENTITY.case("control characters in texts that are read", same(Code.VIEW_UNKNOWN))
def control_characters() -> bytes:
    data = tagged(ViewPosition="ZZZZ", PatientOrientation=None)
    return swapped(data, b"ZZZZ", b"\x1b[2J")


@IDENTITY.case("a body part of 60,000 letters", same())
def long_part() -> bytes:
    return swapped(good(), element(0x00180015, b"CS", b"CHEST "), element(0x00180015, b"CS", b"CHEST" + b"X" * 60_001))
