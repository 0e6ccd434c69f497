"""How fast phantoms are drawn: images a second with one process and with several, and milliseconds by size.

    python benchmarks/phantoms.py [--smoke] [--workers 2] [--json FILE]

The pool is started and warmed before the clock; the images, masks and boxes come back to the parent, as training needs
them. The target, 50 images of 256 x 256 a second, is for two cores that do nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from training.phantoms import PhantomPool, generate

TARGET = 50.0


def pooled(workers: int, count: int, turns: int, size: int) -> list[float]:
    """Images a second of each turn."""
    rates = []
    with PhantomPool(workers) as pool:
        for _ in pool.stream(range(16 * max(workers, 1)), size=size):
            pass
        for turn in range(turns):
            seeds = range(1000 + turn * count, 1000 + (turn + 1) * count)
            began = time.perf_counter()
            drawn = sum(1 for _ in pool.stream(seeds, size=size))
            rates.append(drawn / (time.perf_counter() - began))
    return rates


def single(size: int, count: int) -> list[float]:
    """Milliseconds of each phantom in this process."""
    for seed in range(3):
        generate(seed, size=size)
    times = []
    for seed in range(count):
        began = time.perf_counter()
        generate(seed, size=size)
        times.append(1000 * (time.perf_counter() - began))
    return times


def summary(values: list[float], unit: str) -> dict[str, float | str]:
    """Median and spread."""
    return {
        "median": round(statistics.median(values), 2),
        "lowest": round(min(values), 2),
        "highest": round(max(values), 2),
        "unit": unit,
    }


def main() -> None:
    """Measure and print; the target is named beside the figure, nothing fails on it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few small images")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    smoke = arguments.smoke
    figures = {
        f"pool of {arguments.workers}, 256 x 256": summary(
            pooled(arguments.workers, 8 if smoke else 400, 1 if smoke else 5, 256), "images/s"
        )
    }
    for size in (128,) if smoke else (256, 512, 1024):
        figures[f"one process, {size} x {size}"] = summary(single(size, 2 if smoke else 12), "ms")
    for name, row in figures.items():
        target = f"   target {TARGET} on two idle cores" if name.startswith("pool") else ""
        print(f"{name:<26}{row['median']:>9} {row['unit']}  ({row['lowest']} to {row['highest']}){target}")
    print(f"cores {os.cpu_count()}, load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
