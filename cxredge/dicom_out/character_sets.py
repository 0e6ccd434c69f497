"""Specific Character Set (0008,0005): the defined terms of PS3.3 C.12.1.1.2, and what devices write in their place."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom.charset import convert_encodings, default_encoding

__all__ = ["defined_terms", "python_encodings"]

_SINGLE = (100, 101, 109, 110, 144, 127, 126, 138, 148, 203, 13, 166)
_TERMS = frozenset(
    {f"ISO_IR {number}" for number in (*_SINGLE, 192)}
    | {f"ISO 2022 IR {number}" for number in (6, *_SINGLE, 87, 159, 149, 58)}
    | {"GB18030", "GBK"}
)
_ALONE = re.compile(r"ISO[ _-]?IR[ _-]?(\d+)")
_EXTENDED = re.compile(r"ISO[ _-]?2022[ _-]?IR[ _-]?(\d+)")


def defined_terms(values: Sequence[str]) -> tuple[str, ...] | None:
    """The terms as the standard spells them; () for the default repertoire, None where one of them is unknown.

    The first of several may be empty, which means the default repertoire (PS3.3 C.12.1.1.2).
    """
    terms = [_spelled(value) for value in values]
    while terms and not terms[-1]:
        terms.pop()
    if terms == ["ISO_IR 6"]:  # no defined term, but often written for the default repertoire
        return ()
    known = all(term in _TERMS or (not term and place == 0) for place, term in enumerate(terms))
    return tuple(terms) if known else None


def python_encodings(terms: Sequence[str]) -> str | list[str]:
    """Python's names of the encodings that these terms stand for, as pydicom keeps them with a data set."""
    return convert_encodings(list(terms)) if terms else default_encoding


def _spelled(value: str) -> str:
    text = value.strip().upper()
    if match := _ALONE.fullmatch(text):
        return f"ISO_IR {int(match[1])}"
    if match := _EXTENDED.fullmatch(text):
        return f"ISO 2022 IR {int(match[1])}"
    return text
