"""Counters, gauges and histograms, and their text form (Prometheus exposition format 0.0.4).

Own code and not `prometheus_client`: this is a hundred lines, that is a package more to trust in a hospital, with a
registry of its own for the whole process, an HTTP server without limits, and collectors that nobody asked for. Its
parser reads what is written here in the tests.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["CONTENT_TYPE", "Counter", "Histogram", "gauge_lines"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_SERIES = 1000
"""Label values are configured names and codes: more than this is a defect, and must not eat the memory."""

Labels = tuple[str, ...]


class Counter:
    """A number that only grows, for each combination of labels."""

    def __init__(self, name: str, what: str, labels: Sequence[str] = ()) -> None:
        self._name, self._what, self._labels = name, what, tuple(labels)
        self._lock = threading.Lock()
        self._values: dict[Labels, float] = {} if self._labels else {(): 0.0}

    def add(self, amount: float = 1, *labels: str) -> None:
        """Count so many more."""
        with self._lock:
            if labels in self._values or len(self._values) < MOST_SERIES:
                self._values[labels] = self._values.get(labels, 0.0) + amount

    def lines(self) -> Iterable[str]:
        """Its text."""
        with self._lock:
            values = sorted(self._values.items())
        yield from _head(self._name, self._what, "counter")
        for labels, value in values:
            yield _sample(self._name, zip(self._labels, labels, strict=True), value)


class Histogram:
    """How often a value lay at or under each bound, for each combination of labels."""

    def __init__(self, name: str, what: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        self._name, self._what, self._labels = name, what, tuple(labels)
        self._bounds = tuple(bounds)
        self._lock = threading.Lock()
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        if not self._labels:
            self._begin(())

    def _begin(self, labels: Labels) -> None:
        self._counts[labels] = [0] * (len(self._bounds) + 1)
        self._sums[labels] = 0.0

    def observe(self, value: float, *labels: str) -> None:
        """Enter a value."""
        with self._lock:
            if labels not in self._counts:
                if len(self._counts) >= MOST_SERIES:
                    return
                self._begin(labels)
            self._counts[labels][bisect_left(self._bounds, value)] += 1
            self._sums[labels] += value

    def lines(self) -> Iterable[str]:
        """Its text: counts add up from bound to bound, the last bound is infinite."""
        with self._lock:
            series = [(labels, list(counts), self._sums[labels]) for labels, counts in sorted(self._counts.items())]
        yield from _head(self._name, self._what, "histogram")
        for labels, counts, total in series:
            named = tuple(zip(self._labels, labels, strict=True))
            so_far = 0
            for bound, count in zip((*map(_number, self._bounds), "+Inf"), counts, strict=True):
                so_far += count
                yield _sample(f"{self._name}_bucket", (*named, ("le", bound)), so_far)
            yield _sample(f"{self._name}_sum", named, total)
            yield _sample(f"{self._name}_count", named, so_far)


def gauge_lines(name: str, what: str, values: Mapping[Labels, float], labels: Sequence[str] = ()) -> Iterable[str]:
    """The text of a number that goes up and down, read when it is asked for."""
    yield from _head(name, what, "gauge")
    for which, value in sorted(values.items()):
        yield _sample(name, zip(labels, which, strict=True), value)


def _head(name: str, what: str, kind: str) -> Iterable[str]:
    text = what.replace("\\", "\\\\").replace("\n", "\\n")
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """Whole numbers without a fraction, others with all their digits."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))
