"""How cost grows: with the image's size, the batch, the threads, and the number of files.

    python benchmarks/growth.py [--only size,batch,threads,files] [--files 10000] [--json FILE] [--plot FILE.png]

size     a raw film of 1 to 25 megapixels, whole prediction less its engine call: the slope is milliseconds a megapixel
         by least squares, with the largest distance of a point from the line as a share of its value
batch    the engine alone with 1 to 32 images at once: milliseconds an image
threads  a whole prediction with 1 and 2 threads (and all cores, where there are more)
files    10 to 10,000 films of 512 x 512 through `predict_many` in one new process: seconds a film, and the largest
         memory, which must not grow

All sides of one quantity take turns. The plot needs matplotlib; without it the JSON has the same figures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks import _films
from benchmarks._processes import spent
from benchmarks._turns import finish, in_turns, load, options, summary, timed

MEGAPIXELS = (1, 2, 4, 6, 9, 12, 16, 20, 25)
BATCHES = (1, 2, 4, 8, 16, 32)
FILES = (10, 100, 1000, 10_000)
# The process that the memory is of; it prints nothing and keeps no answer.
_MANY = """
import itertools, sys
import cxredge
films, count, engine = sys.argv[3:], int(sys.argv[1]), sys.argv[2]
with cxredge.load(engine=engine, precision="fp32") as model:
    done = sum(p.ran is not None for p in model.predict_many(itertools.islice(itertools.cycle(films), count)))
sys.exit(done != count)
"""


def by_size(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What lies around the engine call, by megapixels."""
    import cxredge

    sizes = MEGAPIXELS[:2] if asked.smoke else MEGAPIXELS
    films = {}
    for size in sizes:
        rows = round((size * 1e6 * 1.2) ** 0.5)
        place = folder / str(size)
        place.mkdir()
        films[size] = _films.write(place, rows, round(rows / 1.2))["raw"]
    with cxredge.load(engine=asked.engine, precision="fp32") as model:

        def around(film: Path) -> float:
            timing = model.predict(film).timing_ms
            return timing.total - timing.engine

        taken = in_turns(
            {str(size): lambda film=film: around(film) for size, film in films.items()}, _rounds(asked, 21)
        )
    points = np.array([(float(size), statistics.median(values)) for size, values in taken.items()])
    slope, base = np.polyfit(points[:, 0], points[:, 1], 1)
    off = np.abs(points[:, 0] * slope + base - points[:, 1]) / points[:, 1]
    return {
        "milliseconds": {size: summary(values) for size, values in taken.items()},
        "slope_ms_a_megapixel": round(float(slope), 4),
        "intercept_ms": round(float(base), 4),
        "largest_distance_from_the_line": round(float(off.max()), 3),
    }


def by_batch(asked: argparse.Namespace, _folder: Path) -> dict[str, Any]:
    """The engine alone, an image."""
    import cxredge

    with cxredge.load(engine=asked.engine, precision="fp32") as model:
        one = model.golden_input()[:1]
        batches = BATCHES[:2] if asked.smoke else BATCHES
        sides = {str(n): timed(model.session.bound(np.ascontiguousarray(np.repeat(one, n, 0)))) for n in batches}
        taken = in_turns(sides, _rounds(asked, 11))
    return {"milliseconds_an_image": {n: summary([v / int(n) for v in values]) for n, values in taken.items()}}


def by_threads(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A whole prediction."""
    import cxredge

    place = folder / "threads"
    place.mkdir()
    film = _films.write(place, *((600, 500) if asked.smoke else (3000, 2500)))["raw"]
    counts = sorted({1, 2, os.cpu_count() or 1})
    models = {n: cxredge.load(engine=asked.engine, precision="fp32", threads=n) for n in counts}
    sides = {str(n): timed(lambda model=model: model.predict(film)) for n, model in models.items()}
    taken = in_turns(sides, _rounds(asked, 31))
    for model in models.values():
        model.close()
    return {"milliseconds": {n: summary(values) for n, values in taken.items()}}


def by_files(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Seconds a film, and memory, of new processes."""
    films = _films.many(folder / "many", 8, *((128, 128) if asked.smoke else (512, 512)))
    counts = (3, 6) if asked.smoke else tuple(n for n in FILES if n <= asked.files)
    found = {}
    for count in counts:
        words = [sys.executable, "-P", "-c", _MANY, str(count), asked.engine, *map(str, films)]
        seconds, peak, processor = spent(words)
        found[str(count)] = {
            "seconds": round(seconds, 2),
            "processor_seconds": round(processor, 2),
            "peak_mb": round(peak, 1),
        }
    peaks = [row["peak_mb"] for row in found.values()]
    return {"files": found, "memory_grows_by_mb": round(peaks[-1] - peaks[0], 1)}


KINDS = {"size": by_size, "batch": by_batch, "threads": by_threads, "files": by_files}


def _rounds(asked: argparse.Namespace, usual: int) -> int:
    return 1 if asked.smoke else asked.rounds or usual


def plot(rows: dict[str, Any], path: Path) -> None:
    """A panel a quantity."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no plot: it needs matplotlib (pip install matplotlib)")
        return
    axis_of = {
        "size": ("megapixels", "ms around the engine", "milliseconds"),
        "batch": ("images at once", "engine, ms an image", "milliseconds_an_image"),
        "threads": ("threads", "ms a prediction", "milliseconds"),
        "files": ("films", "peak MB", "files"),
    }
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    panels = figure.subplots(1, len(rows), squeeze=False)[0]
    for panel, (kind, row) in zip(panels, rows.items(), strict=True):
        across, up, key = axis_of[kind]
        x = [float(name) for name in row[key]]
        y = [told["peak_mb"] if kind == "files" else told["median"] for told in row[key].values()]
        panel.plot(x, y, "o-")
        if kind == "size":
            panel.plot(x, [row["intercept_ms"] + row["slope_ms_a_megapixel"] * one for one in x], "--", color="grey")
        if kind in ("batch", "files"):
            panel.set_xscale("log", base=2 if kind == "batch" else 10)
        if kind != "size":
            panel.set_xticks(x, [f"{one:,.0f}" for one in x])
            panel.minorticks_off()
        panel.set(xlabel=across, ylabel=up, ylim=(0, 1.15 * max(y)))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=0)
    parser.add_argument("--only", default=",".join(KINDS), help="quantities, with commas")
    parser.add_argument("--engine", default="onnxruntime", choices=["onnxruntime", "openvino"])
    parser.add_argument("--files", type=int, default=FILES[-1], help="the most films")
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    before, rows = load(), {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in asked.only.split(","):
            rows[kind] = KINDS[kind](asked, Path(folder))
            print(kind)
            for name, told in rows[kind].items():
                items = told.items() if isinstance(told, dict) else [("", told)]
                for key, value in items:
                    print(f"  {name:<24}{key:>8}  {value}")
    if asked.plot:
        plot(rows, asked.plot)
    finish(rows, asked, before)


if __name__ == "__main__":
    main()
