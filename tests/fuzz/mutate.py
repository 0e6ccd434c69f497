"""Damage: bytes at random, and DICOM's elements at their weak places (tag, VR, length, value)."""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["damaged"]

_INTERESTING = (
    0,
    1,
    2,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFE,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
_VRS = b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
_TEXTS = (
    b"NaN",
    b"inf",
    b"-1",
    b"1e308",
    b"0",
    b"99999999999999999999",
    b"\\\\",
    b"\xff\xfe",
    b"\0",
    b"../..",
    b"2e-400",
)
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_SEEN = 1 << 16
"""Elements are looked for up to here: what follows is pixels."""


def damaged(data: bytes, others: Sequence[bytes], chance: random.Random, most: int) -> bytes:
    """The bytes with one to four faults in them.

    Args:
        data: a good or already damaged input.
        others: inputs to take pieces from.
        chance: where and what.
        most: no result is longer.
    """
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        if made[128:132] == b"DICM" and chance.random() < 0.6:
            _element_fault(made, chance)
        else:
            chance.choice(_BYTES)(made, others, chance)
    return bytes(made[:most])


def _element_fault(made: bytearray, chance: random.Random) -> None:
    """A fault in one element of Explicit VR Little Endian; in other syntaxes there are few that look like one."""
    heads = [at for at in range(132, min(len(made) - 8, _SEEN), 2) if bytes(made[at + 4 : at + 6]) in _VRS]
    if not heads:
        return
    at = chance.choice(heads)
    long = bytes(made[at + 4 : at + 6]) in _LONG
    start, width = (at + 8, 4) if long else (at + 6, 2)
    length = int.from_bytes(made[start : start + width], "little")
    body = slice(start + width, start + width + min(length, 4096))
    match chance.randrange(7):
        case 0:  # what it claims to be long
            value = chance.choice((*_INTERESTING, length + 1, length + 2, max(0, length - 2), len(made)))
            made[start : start + width] = (value & (256**width - 1)).to_bytes(width, "little")
        case 1:
            made[at + 4 : at + 6] = chance.choice(_VRS)
        case 2:  # a value, as text
            text = chance.choice(_TEXTS) * chance.choice((1, 1, 2, 50))
            made[body] = text[: body.stop - body.start].ljust(body.stop - body.start, b" ")
        case 3:  # a value, as a number
            size = min(4, body.stop - body.start)
            made[body.start : body.start + size] = (chance.choice(_INTERESTING) & (256**size - 1)).to_bytes(
                size, "little"
            )
        case 4:  # gone
            del made[at : body.stop]
        case 5:  # twice
            made[at:at] = made[at : body.stop]
        case _:  # another element's tag
            other = chance.choice(heads)
            made[at : at + 4] = made[other : other + 4]


def _flip(made: bytearray, _others: Sequence[bytes], chance: random.Random) -> None:
    if made:
        made[_near_the_start(made, chance)] ^= 1 << chance.randrange(8)


def _number(made: bytearray, _others: Sequence[bytes], chance: random.Random) -> None:
    width = chance.choice((1, 2, 4))
    if len(made) >= width:
        at = min(_near_the_start(made, chance), len(made) - width)
        value = chance.choice(_INTERESTING) & (256**width - 1)
        made[at : at + width] = value.to_bytes(width, chance.choice(("little", "big")))  # type: ignore[arg-type]


def _cut(made: bytearray, _others: Sequence[bytes], chance: random.Random) -> None:
    del made[_near_the_start(made, chance) if made else 0 :]


def _drop(made: bytearray, _others: Sequence[bytes], chance: random.Random) -> None:
    if made:
        at = _near_the_start(made, chance)
        del made[at : at + chance.choice((1, 2, 4, 100))]


def _insert(made: bytearray, _others: Sequence[bytes], chance: random.Random) -> None:
    at = _near_the_start(made, chance) if made else 0
    made[at:at] = chance.choice((b"\0", b"\xff", b"{", b'"', b",", chance.randbytes(8))) * chance.choice((1, 2, 500))


def _splice(made: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    other = chance.choice(others)
    if other and made:
        at, start = _near_the_start(made, chance), chance.randrange(len(other))
        made[at:] = other[start:]


def _copy(made: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    other = chance.choice(others)
    if other and made:
        start, size = chance.randrange(len(other)), chance.choice((1, 4, 16, 64, 300))
        at = _near_the_start(made, chance)
        made[at : at + size] = other[start : start + size]


_BYTES = (_flip, _flip, _number, _number, _cut, _drop, _insert, _splice, _copy)


def _near_the_start(made: bytearray, chance: random.Random) -> int:
    """A place; more often one of the first kilobytes, where the headers are."""
    return chance.randrange(min(len(made), 2048) if chance.random() < 0.7 else len(made))
