"""Walks over a sequence without building it, so that what it claims is checked before anything is made of it.

A data set of a few megabytes can hold a million empty items, or sequences nested a hundred thousand deep; to build
them takes half a minute and gigabytes, or the interpreter's whole stack. The walk keeps one small entry a level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Literal

from cxredge.errors import Code, InputError

__all__ = ["DEEPEST", "MOST_IN_A_SEQUENCE", "Budget", "walk_sequence"]

ByteOrder = Literal["little", "big"]
DEEPEST = 100
"""Sequences nested deeper than this are taken for an attack; real objects nest some ten deep."""
MOST_IN_A_SEQUENCE = 2_000
"""Items and elements of a sequence that is read; pydicom builds them at some 30 microseconds each."""
_UNDEFINED = 0xFFFFFFFF
_ITEM, _END_ITEM, _END_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""VRs with a length of 32 bits (PS3.5 7.1.2)."""


class Budget:
    """How many elements and items may still be met."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most

    def spend(self) -> None:
        """Count one.

        Raises:
            InputError: TOO_LARGE, where there are more than allowed.
        """
        self._left -= 1
        if self._left < 0:
            raise InputError(Code.TOO_LARGE, f"over {self._most} elements")


@dataclass(slots=True)
class _Level:
    """A sequence, or an item of it: where it ends (None: at its delimiter), and how its elements are written."""

    is_item: bool
    end: int | None
    implicit: bool


def walk_sequence(
    file: BinaryIO, length: int, limit: int, budget: Budget, *, implicit: bool, little_endian: bool
) -> None:
    """Move the file from the start of a sequence's value, or of encapsulated pixels', to behind it.

    Items and sequences with a length are stepped over; only their claim is checked.

    Args:
        file: stands at the value.
        length: of the value; 0xFFFFFFFF where a delimiter ends it.
        limit: where the bytes end that the value lies in.
        budget: counts items and elements.
        implicit: VR.
        little_endian: byte order.

    Raises:
        InputError: DICOM_BROKEN; TOO_LARGE beyond the budget.
    """
    order: ByteOrder = "little" if little_endian else "big"
    end = None if length == _UNDEFINED else file.tell() + length
    levels = [_Level(False, end, implicit)]
    while levels:
        level = levels[-1]
        if level.end is not None and file.tell() >= level.end:
            levels.pop()
            continue
        head = file.read(8)
        if len(head) < 8:
            raise InputError(Code.DICOM_BROKEN, "a sequence ends early")
        tag = int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:4], order)
        if tag == (_END_ITEM if level.is_item else _END_SEQUENCE):
            levels.pop()
            continue
        budget.spend()
        inner = _inner(file, head, tag, level, order)
        if inner is not None:
            levels.append(inner)
            if len(levels) > 2 * DEEPEST:
                raise InputError(Code.DICOM_BROKEN, f"sequences nested over {DEEPEST} deep")
        elif file.tell() > (limit if level.end is None else level.end):
            raise InputError(Code.DICOM_BROKEN, "an item is longer than its sequence")


def _inner(file: BinaryIO, head: bytes, tag: int, level: _Level, order: ByteOrder) -> _Level | None:
    """The level that begins here; None where a value of known length was stepped over."""
    if not level.is_item:
        if tag != _ITEM:
            raise InputError(Code.DICOM_BROKEN, "no item where one should begin")
        implicit, length = level.implicit, int.from_bytes(head[4:], order)
    else:
        implicit, length = _element(file, head, level.implicit, order)
    if length == _UNDEFINED:
        return _Level(not level.is_item, None, implicit)
    file.seek(length, 1)
    return None


def _element(file: BinaryIO, head: bytes, implicit: bool, order: ByteOrder) -> tuple[bool, int]:
    """Whether what is in the element has implicit VR, and its length."""
    vr = head[4:6]
    if implicit or not vr.isalpha() or not vr.isupper():  # some writers change to implicit VR within sequences
        return True, int.from_bytes(head[4:], order)
    if vr not in _LONG:
        return False, int.from_bytes(head[6:], order)
    # An UN of undefined length holds a sequence of implicit VR (PS3.5 6.2.2).
    return vr == b"UN", int.from_bytes(file.read(4), order)
