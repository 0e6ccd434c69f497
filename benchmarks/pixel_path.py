"""The pixel path: a 3000 x 2500 16-bit image in memory to a 256 x 256 plane, on one thread.

Arms, alternating A B C A B C ... in one process:

* c      cxredge.preprocess.make_plane
* numpy  pydicom's apply_modality_lut and apply_voi_lut, then Pillow's box resize: how it is done without a C core
* read   one read of the same buffer (NumPy's bitwise OR over 64-bit words, the fastest read that NumPy offers)

Each is measured twice: `memory` goes round enough images to fill the caches several times over, so that every arm's
input comes from memory, as a decoded image of a busy workstation does; `cache` repeats one image, which stays in the
last-level cache of a large processor. The ratios are those of the medians within one run. What is left out: reading
and decoding the file. None of the arms starts a thread.

    python benchmarks/pixel_path.py [--smoke] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks._machine import machine
from cxredge.pixels import Geometry, PixelDescription, Rescale, Window
from cxredge.preprocess import make_plane

Arm = Callable[[Any], Any]
PLANE = Geometry(256, 256)


def _description(rows: int, columns: int) -> PixelDescription:
    return PixelDescription(rows, columns, 16, 16, 15, modality=Rescale(1.0, 0.0), voi=Window(32768.0, 60000.0))


def _numpy_arm(description: PixelDescription) -> Arm:
    ds = Dataset()
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsStored, ds.PixelRepresentation = description.bits_stored, 0
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    window = description.voi
    assert isinstance(window, Window)
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = window.center, window.width, window.function

    def run(pixels: Any) -> Any:
        grey = apply_voi_lut(apply_modality_lut(pixels, ds), ds)
        picture = Image.fromarray((grey / 65535).astype(np.float32))
        return np.asarray(picture.resize((PLANE.columns, PLANE.rows), Image.Resampling.BOX))

    return run


def _read(pixels: Any) -> Any:
    return np.bitwise_or.reduce(pixels.reshape(-1).view(np.uint64))


def _measure(arms: dict[str, Arm], images: Sequence[Any], rounds: int) -> dict[str, list[float]]:
    """Seconds by arm; in each round every arm takes the image that it touched the longest ago."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    shift = max(1, len(images) // len(arms))
    for turn in range(rounds):
        for number, (name, arm) in enumerate(arms.items()):
            image = images[(turn + number * shift) % len(images)]
            start = time.perf_counter()
            arm(image)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _summary(seconds: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(seconds, n=4)
    return {"median_ms": middle * 1e3, "q1_ms": low * 1e3, "q3_ms": high * 1e3, "runs": len(seconds)}


def _compare(description: PixelDescription, images: Sequence[Any], rounds: int) -> dict[str, Any]:
    arms: dict[str, Arm] = {
        "c": lambda pixels: make_plane(pixels, description, PLANE),
        "read": _read,
    }
    fast = _measure(arms, images, rounds * 10)  # both are short: more runs, and the slow arm's garbage is not between
    slow = _measure({"c": arms["c"], "numpy": _numpy_arm(description)}, images, rounds)
    found = {"c": _summary(fast["c"]), "read": _summary(fast["read"]), "numpy": _summary(slow["numpy"])}
    ratios = {
        "numpy_over_c": statistics.median(slow["numpy"]) / statistics.median(slow["c"]),
        "c_over_read": found["c"]["median_ms"] / found["read"]["median_ms"],
    }
    return {"arms": found, "ratios": ratios, "c_beside_numpy": _summary(slow["c"])}


def _agree(description: PixelDescription, image: Any) -> float:
    """How far the two ways lie apart, so that nothing is timed that computes something else."""
    ours, theirs = make_plane(image, description, PLANE), _numpy_arm(description)(image)
    return float(np.abs(ours - theirs).max())


def _smooth_image(rng: np.random.Generator, rows: int, columns: int) -> Any:
    """Grey values that change slowly, with noise: both resizes then agree but for how they cut border pixels."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    base = 32768 + 20000 * np.sin(y / rows * 5) * np.cos(x / columns * 4)
    return (base + rng.normal(0, 200, (rows, columns))).clip(0, 65535).astype(np.uint16)


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints a table, and writes JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a tiny image and few runs: does it run at all")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    rows, columns, rounds, count = (300, 256, 3, 2) if options.smoke else (3000, 2500, 15, 9)
    description = _description(rows, columns)
    rng = np.random.default_rng(1)
    first = _smooth_image(rng, rows, columns)
    images = [first, *(np.roll(first, 7 * i, axis=1) for i in range(1, count))]
    result = {
        "benchmark": "pixel_path",
        "image": [rows, columns, "uint16"],
        "plane": [PLANE.rows, PLANE.columns],
        **machine(),
        "largest_difference": _agree(description, first),
        "memory": _compare(description, images, rounds),
        "cache": _compare(description, images[:1], rounds),
    }
    for place in ("memory", "cache"):
        for name, arm in result[place]["arms"].items():
            print(
                f"{place:7} {name:6} {arm['median_ms']:9.3f} ms  (quartiles {arm['q1_ms']:.3f} to {arm['q3_ms']:.3f})"
            )
        ratios = result[place]["ratios"]
        print(
            f"{place:7} numpy / c = {ratios['numpy_over_c']:.1f} (target 25)   c / read = {ratios['c_over_read']:.2f}"
        )
    print(f"variant {result['isa']}, largest difference between the two ways {result['largest_difference']:.2e}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
