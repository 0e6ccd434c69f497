"""How fast phantoms are drawn: processor time of one image by size, and images a second of several processes.

    python benchmarks/phantoms.py [--smoke] [--workers 2] [--json FILE]

The target, 50 images of 256 x 256 a second, is for two cores that do nothing else. Where other programs run, the pool's
figure says how busy the machine is; processor time is disturbed less, and of each image it is the least of three turns.
The pool is started and warmed before the clock; the images, masks and boxes come back to the parent, as training needs
them. The load that the benchmark met is in its result. Where torch is, a batch of 64 is developed on each device that
it sees ("cpu" is torch's own, and only there to compare with), and a pool is measured whose pictures go there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from importlib.util import find_spec
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks._machine import machine
from training.phantoms import PhantomPool, generate
from training.phantoms.device import Developer, chosen
from training.phantoms.generator import draw

TARGET = 50.0
TURNS = 3


def pooled(workers: int, count: int, turns: int, size: int, device: str | None = None) -> list[float]:
    """Images a second of each turn."""
    rates = []
    with PhantomPool(workers, device=device) as pool:
        for _ in pool.stream(range(16 * max(workers, 1)), size=size):
            pass
        for turn in range(turns):
            seeds = range(1000 + turn * count, 1000 + (turn + 1) * count)
            began = time.perf_counter()
            drawn = sum(1 for _ in pool.stream(seeds, size=size))
            rates.append(drawn / (time.perf_counter() - began))
    return rates


def single(size: int, count: int) -> list[float]:
    """Milliseconds of processor time of each phantom in this process, the least of its turns."""
    least = [float("inf")] * count
    for _ in range(TURNS + 1):  # the first turn also works out what is kept
        for seed in range(count):
            began = time.process_time()
            generate(seed, size=size)
            least[seed] = min(least[seed], 1000 * (time.process_time() - began))
    return least


def developed(device: str, size: int, count: int, turns: int) -> list[float]:
    """Milliseconds an image of each turn, by the clock: attenuation to stored values, transfers included."""
    pictures, develop = [draw(seed, size=size).exposed for seed in range(count)], Developer(device)
    times = []
    for _ in range(turns + 1):  # the first turn also works out the matrices
        began = time.perf_counter()
        list(develop(pictures))
        times.append(1000 * (time.perf_counter() - began) / count)
    return times[1:]


def summary(values: list[float], unit: str) -> dict[str, float | str]:
    """Mean and spread."""
    return {
        "mean": round(statistics.mean(values), 2),
        "lowest": round(min(values), 2),
        "highest": round(max(values), 2),
        "unit": unit,
    }


def devices() -> list[str]:
    """Those of torch that are here: its processor always, where torch is, and a graphics card if it sees one."""
    if find_spec("torch") is None:
        return []
    return [device for device in ("cpu", chosen("auto")) if device]


def main() -> None:
    """Measure and print; the target is named beside the figure, nothing fails on it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few small images")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    smoke, workers = arguments.smoke, arguments.workers
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    figures = {
        f"processor time, {size} x {size}": summary(single(size, count), "ms an image")
        for size, count in (((128, 2),) if smoke else ((256, 40), (512, 8), (1024, 3)))
    }
    rates = pooled(workers, 8, 1, 256) if smoke else pooled(workers, 100, 3, 256)
    figures[f"pool of {workers}, 256 x 256"] = summary(rates, "images/s")
    for device in devices():
        count = 4 if smoke else 64
        figures[f"development on {device}, 256 x 256"] = summary(
            developed(device, 256, count, 1 if smoke else 5), "ms an image"
        )
        rates = pooled(workers, 8, 1, 256, device) if smoke else pooled(workers, 128, 3, 256, device)
        figures[f"pool of {workers} and {device}, 256 x 256"] = summary(rates, "images/s")
    for name, row in figures.items():
        target = f"   target {TARGET} on two idle cores" if name.startswith("pool") else ""
        print(f"{name:<38}{row['mean']:>8} {row['unit']}  ({row['lowest']} to {row['highest']}){target}")
    print(f"cores {os.cpu_count()}, load before it began {load}")
    if arguments.json:
        result = {"benchmark": "phantoms", **machine(), "load_before": load, "figures": figures}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
