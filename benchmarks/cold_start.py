"""What a user waits for before anything happens: importing, discovery, and the first prediction of a new process.

    python benchmarks/cold_start.py [--smoke] [--json FILE]

Every figure is of new processes, in turns (A B C A B C ...), medians with their spread; the interpreter's own start
(`python -c pass`) is measured in the same run. The prediction is of a raw 3000 x 2500 12-bit DX file with the tiny
bundle of the tests and a warm engine cache; its peak memory is the largest resident set of the process. Left out: the
time that the system needs to read the files from disk for the first time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks._machine import machine
from tests.support.dicom_files import write_dicom
from tests.support.phantom import example_film
from tests.support.tiny_bundle import write_tiny_bundle

TARGETS = {"import cxredge": 0.15, "cxredge --help": 0.2, "cxredge --version": 0.2, "cxredge info": 0.2}
TARGET_MEMORY_MB = 250


def spent(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak resident megabytes of one process and the children that it waits for."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    peak = 0
    try:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, watched.memory_info().rss)
            time.sleep(0.001)
    except psutil.NoSuchProcess:
        pass
    if process.wait() != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return time.perf_counter() - began, peak / 2**20


def cases(scan: Path, bundle: Path) -> dict[str, list[str]]:
    """Name -> command."""
    python, module = [sys.executable, "-P"], ["-m", "cxredge"]
    found = {
        "python -c pass": [*python, "-c", "pass"],
        "import cxredge": [*python, "-c", "import cxredge"],
        "cxredge --help": [*python, *module, "--help"],
        "cxredge --version": [*python, *module, "--version"],
        "cxredge info": [*python, *module, "info"],
    }
    for engine in ("onnxruntime", "openvino"):
        predict = [*python, *module, "predict", str(scan), "--bundle", str(bundle), "--engine", engine]
        found[f"predict, {engine}"] = [*predict, "--precision", "fp32", "--format", "json"]
    return found


def measure(repeat: int, rows: int, columns: int) -> dict[str, dict[str, float]]:
    """Median, spread and peak memory of each case."""
    times: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.dcm"
        write_dicom(scan, example_film(rows, columns), window=(2048, 4096), tags={"BodyPartExamined": "CHEST"})
        bundle = write_tiny_bundle(Path(folder) / "tiny.cxr")
        environment = os.environ | {"CXREDGE_CACHE": str(Path(folder) / "cache")}
        commands = cases(scan, bundle)
        for command in commands.values():
            spent(command, environment)  # fills the caches
        for _ in range(repeat):
            for name, command in commands.items():
                seconds, peak = spent(command, environment)
                times.setdefault(name, []).append(seconds)
                peaks[name] = max(peaks.get(name, 0.0), peak)
    return {
        name: {
            "median_s": round(statistics.median(values), 4),
            "lowest_s": round(min(values), 4),
            "highest_s": round(max(values), 4),
            "peak_mb": round(peaks[name], 1),
        }
        for name, values in times.items()
    }


def main() -> None:
    """Measure and print; targets are named beside the figures, nothing fails on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one turn on a small image")
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = measure(1, 300, 250) if arguments.smoke else measure(arguments.repeat, 3000, 2500)
    for name, row in figures.items():
        target = f"   target {TARGETS[name]} s" if name in TARGETS else ""
        target = f"   target {TARGET_MEMORY_MB} MB" if name.startswith("predict") else target
        spread = f"{row['lowest_s']:.3f} to {row['highest_s']:.3f}"
        print(f"{name:<24}{row['median_s']:>8.3f} s  ({spread})  peak {row['peak_mb']:>6.1f} MB{target}")
    if arguments.json:
        arguments.json.write_text(json.dumps({**machine(), "cases": figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
