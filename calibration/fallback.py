"""Layer by layer back to float, the most harmful first, until the gate passes; resumable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.sensitivity import LEAST_DB, OUTPUTS, Damage, ranked
from cxredge.files import write_atomically

__all__ = ["Attempts", "Found", "Verdict", "search"]

MOST = 0.5
"""With more than this share of the layers in float, an INT8 graph is seldom worth its name."""


class Attempts:
    """What was tried, kept in a file so that an interrupted search goes on where it was.

    Args:
        path: of the file.
        key: what the attempts depend on; of another key, nothing is remembered.
    """

    def __init__(self, path: Path, key: object) -> None:
        self._path = path
        self._key = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self._known: dict[str, dict[str, Any]] = {}
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
            self._known = dict(tree["attempts"]) if tree["key"] == self._key else {}
        except (OSError, ValueError, KeyError, TypeError):
            pass

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `make` gave for this name, now or in an earlier run."""
        if name not in self._known:
            self._known[name] = make()
            content = {"key": self._key, "attempts": self._known}
            write_atomically(self._path, json.dumps(content, indent=1).encode())
        return self._known[name]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate said of a variant.

    Attributes:
        reasons: against it, in words; none where it passes.
        outputs: of the graph, those that are at fault.
    """

    reasons: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """How the search ended.

    Attributes:
        names: layers that stay float.
        passed: whether the gate passes with them.
        tried: float layers of each attempt, and the reasons against it.
    """

    names: tuple[str, ...]
    passed: bool
    tried: tuple[dict[str, Any], ...]


def search(damages: Sequence[Damage], attempt: Callable[[tuple[str, ...]], Verdict], share: float = MOST) -> Found:
    """The fewest most harmful layers in float with which the gate passes.

    Layers below `LEAST_DB` are float from the start. While the gate fails, the number beyond them doubles, the most
    harmful to the outputs that were at fault at first before the others: a layer that only blurs the masks is no remedy
    for decisions that flip. Then the last doubling is halved back, to leave no layer float that need not be.

    Args:
        damages: of every layer.
        attempt: what the gate says of the variant with these float layers.
        share: of the layers that may stay float at most.
    """
    start = sum(damage.worst < LEAST_DB for damage in damages)
    most = max(start, min(int(len(damages) * share), len(damages) - 1))
    first = attempt(_names([damage.layer.names for damage in ranked(damages)[:start]]))
    order = [damage.layer.names for damage in ranked(damages, first.outputs or OUTPUTS)]
    tried: dict[int, tuple[str, ...]] = {start: first.reasons}

    def fails(count: int) -> bool:
        if count not in tried:
            tried[count] = attempt(_names(order[:count])).reasons
        return bool(tried[count])

    low, high = start - 1, start
    while fails(high) and high < most:
        low, high = high, min(most, start + max(1, 2 * (high - start)))
    passed = not tried[high]
    while passed and high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fails(middle) else (low, middle)
    return Found(
        _names(order[:high]), passed, tuple({"float": count, "reasons": list(tried[count])} for count in sorted(tried))
    )


def _names(units: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(name for unit in units for name in unit)
