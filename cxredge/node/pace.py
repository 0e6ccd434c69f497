"""How long to wait before the next try: longer each time, and never at the same moment as others."""

from __future__ import annotations

import secrets

__all__ = ["pause_after"]

_FIRST = 1.0
_STEPS = 1 << 16


def pause_after(failures: int, longest: float) -> float:
    """Seconds after so many failures in a row: doubled from one on, `longest` at most, less up to a half by chance.

    The chance keeps several nodes from meeting a PACS that has just come back at the same moment.
    """
    whole = min(longest, _FIRST * 2.0 ** min(max(failures, 1) - 1, 30))
    return whole * (1.0 - secrets.randbelow(_STEPS) / (2 * _STEPS))
