"""From single times to what is told of them."""

from __future__ import annotations

from collections.abc import Sequence

from cxredge.benchmark.record import Spread

__all__ = ["percentile", "spread"]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` percent of them lie, interpolated linearly between the two nearest."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    place = (len(ordered) - 1) * share / 100.0
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(values: Sequence[float], digits: int = 3) -> Spread:
    """Median, 95th and 99th percentile, ends and number."""
    p50, p95, p99 = (round(percentile(values, share), digits) for share in (50, 95, 99))
    return Spread(
        p50=p50,
        p95=p95,
        p99=p99,
        lowest=round(min(values), digits),
        highest=round(max(values), digits),
        runs=len(values),
    )
