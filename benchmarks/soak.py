"""Ten thousand predictions in one process: memory, descriptors, threads, and whether answers stay what they were.

    python benchmarks/soak.py [--count 10000] [--engine NAME] [--json FILE]

The mix: drawn films in every transfer syntax that is written here, in several sizes; PNG and JPEG files; an array; and
every row of the table of bad inputs below 4 MB, so that errors and abstentions are as frequent as results. They come in
a new order each round; every answer is written as JSON and compared with the file's first one, times left out, and
every 50th result is drawn as an overlay.

Memory is the resident set. The first tenth of the run warms up and does not count; of the rest, the median of its last
tenth is compared with the median of its first tenth: a leak grows without end, an allocator's noise does not.
Descriptors and threads may not be more at the end than after the warm-up. A target that is missed is exit code 1.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks._turns import finish, load, options
from tests.support import dicom_files as files
from tests.support.bad_inputs import ROWS
from tests.support.phantom import example_film

COUNT = 10_000
MOST_GROWTH = 0.02
LARGEST_BAD_INPUT = 4_000_000
SIZES = ((256, 256), (512, 640), (1024, 800))
LARGE = (1500, 1250)
_TAGS = {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "PixelSpacing": [0.2, 0.2]}


def sources() -> Iterator[tuple[str, Any]]:
    """Name and source of everything in the mix."""
    for number, (rows, columns) in enumerate(SIZES):
        image = example_film(rows, columns, seed=number)
        for syntax in (*files.RAW_SYNTAXES, *files.LOSSLESS_SYNTAXES):
            yield (
                f"{rows} x {columns}, {syntax}",
                files.dicom_bytes(image, syntax=syntax, window=(2048, 4096), tags=_TAGS),
            )
    image = example_film(*LARGE, seed=9)
    for syntax in (files.EXPLICIT, files.J2K_LOSSLESS):
        yield f"large, {syntax}", files.dicom_bytes(image, syntax=syntax, window=(2048, 4096), tags=_TAGS)
    grey = (example_film(700, 600, seed=5) >> 4).astype(np.uint8)
    yield "array", grey
    yield "PNG", _picture(grey, "PNG")
    yield "JPEG", _picture(grey, "JPEG")
    for row in ROWS:
        if len(made := row.make()) < LARGEST_BAD_INPUT:
            yield f"bad: {row.name}", made


def _picture(grey: Any, form: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, form)
    return buffer.getvalue()


def answer(model: Any, source: Any) -> tuple[str, dict[str, Any], Any]:
    """How it ended, the answer without its times, and the prediction where there is one."""
    from cxredge.errors import InputError

    try:
        prediction = model.predict(source)
    except InputError as error:
        return "error", {"code": str(error.code), "warnings": [str(w) for w in error.warnings]}, None
    record = msgspec.json.decode(prediction.to_json())
    del record["timing_ms"]
    return record["status"], record, prediction


class Watch:
    """Samples of this process."""

    def __init__(self) -> None:
        import psutil

        self._process = psutil.Process()
        self.memory: list[int] = []
        self.descriptors: list[int] = []
        self.threads: list[int] = []

    def look(self) -> None:
        """One sample."""
        process = self._process
        self.memory.append(process.memory_info().rss)
        self.descriptors.append(process.num_fds() if hasattr(process, "num_fds") else process.num_handles())
        self.threads.append(process.num_threads())

    def told(self) -> dict[str, Any]:
        """The figures, and which targets are missed."""
        tenth = max(1, len(self.memory) // 10)
        kept = self.memory[tenth:]
        share = max(1, len(kept) // 10)
        first, last = statistics.median(kept[:share]), statistics.median(kept[-share:])
        return {
            "memory_mb": [round(value / 1e6, 1) for value in self.memory],
            "memory_after_warm_up_mb": round(first / 1e6, 1),
            "memory_at_the_end_mb": round(last / 1e6, 1),
            "memory_grows_by": round(last / first - 1, 4),
            "descriptors": [self.descriptors[tenth], self.descriptors[-1]],
            "threads": [self.threads[tenth], self.threads[-1]],
        }


def soak(model: Any, mix: list[tuple[str, Any]], count: int, every: int) -> dict[str, Any]:
    """The run."""
    first, ended = {}, {"ok": 0, "abstained": 0, "error": 0}
    order, watch, changed, began = random.Random(0), Watch(), [], time.process_time()
    for number in range(count):
        if number % len(mix) == 0:
            order.shuffle(mix)
        name, source = mix[number % len(mix)]
        status, record, prediction = answer(model, source)
        ended[status] += 1
        if first.setdefault(name, record) != record:
            changed.append(name)
        if status == "ok" and number % 50 == 0:
            prediction.overlay()
        if number % every == 0:
            watch.look()
    watch.look()
    told = {"predictions": count, "files": len(mix), "ended": ended, "answers_that_changed": sorted(set(changed))}
    return told | {"processor_seconds": round(time.process_time() - began, 1), "sampled_every": every} | watch.told()


def missed(told: dict[str, Any], *, smoke: bool) -> list[str]:
    """The targets that are missed, in words; a smoke run is too short for the one of memory."""
    found = [f"{len(told['answers_that_changed'])} files changed their answer"] * bool(told["answers_that_changed"])
    for name in ("descriptors", "threads"):
        before, after = told[name]
        found += [f"{name} grew from {before} to {after}"] * (after > before)
    if not smoke and told["memory_grows_by"] >= MOST_GROWTH:
        found.append(f"memory grew by {told['memory_grows_by']:.1%}")
    return found


def main() -> None:
    """Run, print, judge."""
    import cxredge

    parser = options(__doc__, rounds=1)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--engine", default="onnxruntime")
    asked: argparse.Namespace = parser.parse_args()
    before = load()
    with cxredge.load(engine=asked.engine, precision="fp32") as model:
        mix = list(sources())
        told = soak(model, mix[::6], 120, 4) if asked.smoke else soak(model, mix, asked.count, 100)
    for name, value in told.items():
        if name != "memory_mb":
            print(f"{name:<26}{value}")
    finish({asked.engine: told}, asked, before)
    if problems := missed(told, smoke=asked.smoke):
        raise SystemExit("MISSED: " + "; ".join(problems))


if __name__ == "__main__":
    main()
