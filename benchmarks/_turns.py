"""Sides that take turns, and the ratio of their medians with its spread: the one way that ratios are measured here."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._machine import machine

__all__ = ["IN_A_ROW", "finish", "in_turns", "options", "ratio", "summary", "timed"]

Side = Callable[[], float]
"""Does its work once, and gives what it took."""

IN_A_ROW = 5
"""Calls of a turn where the sides share a process: the first finds the other side's threads spinning still."""


def timed(work: Callable[[], object], repeat: int = 1) -> Side:
    """A side: the median milliseconds of `repeat` calls."""

    def once() -> float:
        spent = []
        for _ in range(repeat):
            began = time.perf_counter()
            work()
            spent.append((time.perf_counter() - began) * 1e3)
        return statistics.median(spent)

    return once


def in_turns(sides: Mapping[str, Side], rounds: int, warm_up: int = 2) -> dict[str, list[float]]:
    """A B C A B C ...; the first `warm_up` rounds do not count."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-warm_up, rounds):
        for name, side in sides.items():
            spent = side()
            if number >= 0:
                taken[name].append(spent)
    return taken


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and the 10th and 90th percentile."""
    low, high = np.percentile(values, [10, 90])
    return {"median": round(statistics.median(values), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def ratio(slow: Sequence[float], fast: Sequence[float]) -> dict[str, float]:
    """How many times as long the first takes: the ratio of medians; 10th and 90th percentile of the rounds' ratios."""
    low, high = np.percentile(np.array(slow) / np.array(fast), [10, 90])
    middle = statistics.median(slow) / statistics.median(fast)
    return {"ratio": round(middle, 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def options(doc: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """The arguments that every file here has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="at its smallest: that it runs, no figures")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"turns that count (default {rounds})")
    parser.add_argument("--json", type=Path, help="write what was measured there")
    return parser


def finish(rows: Mapping[str, Any], asked: argparse.Namespace, load_before: float | None) -> None:
    """Write the JSON, with the machine and whether it was quiet."""
    if asked.json is None:
        return
    told = {
        "date": datetime.now(UTC).date().isoformat(),
        "smoke": asked.smoke,
        "rounds": asked.rounds,
        **machine(),
        "load_before": load_before,
        "rows": rows,
    }
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def load() -> float | None:
    """How many processes wanted a core over the last minute; over 0.5, something else runs."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def verdict(reached: float, least: float | None, *, lower_is_better: bool = False) -> str:
    """Whether a target is met, in words; nothing without one."""
    if least is None:
        return ""
    met = reached <= least if lower_is_better else reached >= least
    return f"   {'at most' if lower_is_better else 'at least'} {least:g}: {'met' if met else 'MISSED'}"
