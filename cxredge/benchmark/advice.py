"""One sentence: what to use on this machine, and why."""

from __future__ import annotations

from collections.abc import Sequence

from cxredge.benchmark.record import Combination, Result

__all__ = ["CLOSE", "advise", "best", "name_of"]

CLOSE = 1.10
"""A less exact precision must be worth it: within this factor of the fastest, the more exact one wins."""
_EXACTNESS = ("fp32", "fp16", "bf16", "int8")


def best(results: Sequence[Result]) -> Result | None:
    """The lowest median from file to result, an image; among those within a tenth of it the most exact precision."""
    if not results:
        return None
    fastest = min(_each(result) for result in results)
    close = [result for result in results if _each(result) <= fastest * CLOSE]
    return min(close, key=lambda result: (_EXACTNESS.index(result.ran.precision), _each(result)))


def advise(results: Sequence[Result]) -> str:
    """The sentence for a person."""
    single = [result for result in results if result.asked.batch == 1]
    chosen = best(single or results)
    if chosen is None:
        return "Nothing could be measured on this machine; the reasons stand beside what was not run."
    words = (
        f"On this machine use {name_of(chosen.asked)}: {_each(chosen):.1f} ms an image at the median from file to "
        f"result ({chosen.latency_ms.p95 / chosen.asked.batch:.1f} ms at the 95th percentile), {_why(chosen, results)}"
    )
    many = max(results, key=lambda result: result.throughput.images_a_second)
    rate, other = chosen.throughput.images_a_second, many.throughput.images_a_second
    if many is not chosen and other > rate * CLOSE:
        words += f"; for many files at once {name_of(many.asked)} gives {other:.1f} images a second against {rate:.1f}"
    return words + "."


def _why(chosen: Result, results: Sequence[Result]) -> str:
    others = [result for result in results if result is not chosen and result.asked.batch == chosen.asked.batch]
    if not others:
        return "the only one that could be measured"
    fastest = min(others, key=_each)
    ratio = _each(fastest) / _each(chosen)
    if ratio >= CLOSE:
        return f"{ratio:.1f} times as fast as the next, {name_of(fastest.asked)}"
    if _EXACTNESS.index(chosen.ran.precision) < _EXACTNESS.index(fastest.ran.precision):
        return f"more exact than {name_of(fastest.asked)} and within a tenth of it"
    if ratio >= 1.0:
        return f"the fastest, closely followed by {name_of(fastest.asked)}"
    return f"within a tenth of {name_of(fastest.asked)}, no less exact"


def name_of(asked: Combination) -> str:
    """A combination in words: `openvino fp32 on cpu, 2 threads`."""
    words = f"{asked.engine} {asked.precision} on {asked.device}"
    words += f", {asked.threads} thread{'s' if asked.threads > 1 else ''}" if asked.threads else ""
    return words + (f", batch {asked.batch}" if asked.batch > 1 else "")


def _each(result: Result) -> float:
    return result.latency_ms.p50 / result.asked.batch
