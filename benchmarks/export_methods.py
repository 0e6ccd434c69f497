"""What exporting each method costs and how fast its graph runs: all seven, full size, random weights.

    python benchmarks/export_methods.py [--smoke] [--methods NAME ...] [--turns 15] [--json FILE]

Each export runs as its own process, parity gate included, and is watched: its wall time, the processor time of it and
its children (which says what it would take on a machine that does nothing else), and the largest memory that they held
together. Then ONNX Runtime and OpenVINO take turns on one image in float32, each compiled by
the runtime's own modules with its own choice of threads; given are medians, the spread, and the median of the ratios.
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
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import psutil
from _machine import machine

from cxredge.engines.base import Job
from export.answers import opened
from export.graphfile import GraphFile, open_graph
from export.images import gather
from export.summary import summary
from training.methods import METHODS

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("onnxruntime", "openvino")
NARROW = ("width=0.125", "blocks=[1,1,2,1]", "field=128", "crop=64", "mask=32", "unet_width=8", "unet_depth=2")
SECONDS, GIB = 300.0, 6.0


def exported(method: str, out: Path, words: list[str]) -> dict[str, Any]:
    """Export in a process of its own: seconds, processor seconds, peak memory in GiB, and the parity report."""
    command = [sys.executable, "-m", "export", "onnx", "--random", "--method", method, "--out", str(out), *words]
    began, peak, spent = time.perf_counter(), 0, os.times()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, held(watched))
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{method}: the export failed")
    report = json.loads(out.with_suffix(".parity.json").read_text(encoding="utf-8"))
    after = os.times()
    processor = after.children_user + after.children_system - spent.children_user - spent.children_system
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(processor, 1),
        "peak_gib": round(peak / 2**30, 2),
        "report": report,
    }


def held(process: psutil.Process) -> int:
    """Bytes that a process and its descendants hold at this moment."""
    total = 0
    try:
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def latencies(graph: GraphFile, turns: int) -> dict[str, list[float]]:
    """Milliseconds of one image, the engines taking turns after two runs that do not count."""
    image = gather(graph.input_size[0], phantoms=1).batch
    job = Job("cpu", "fp32", None, graph.input_size, graph.outputs)
    times: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    with ExitStack() as stack:
        sessions = {
            engine: stack.enter_context(opened(graph.data, engine, job, image, limit_seconds=SECONDS)).session
            for engine in ENGINES
        }
        for turn in range(-2, turns):
            for engine, session in sessions.items():
                began = time.perf_counter()
                session.run(image)
                if turn >= 0:
                    times[engine].append((time.perf_counter() - began) * 1e3)
    return times


def row_of(method: str, folder: Path, words: list[str], turns: int) -> dict[str, Any]:
    """Everything about one method."""
    out = folder / f"{method}.onnx"
    made = exported(method, out, words)
    graph = open_graph(out)
    times = latencies(graph, turns)
    ratio = [ort / vino for ort, vino in zip(times["onnxruntime"], times["openvino"], strict=True)]
    rows = made["report"]["rows"]
    return {
        "gmacs": summary(graph)["gmacs"],
        "megabytes": round(len(graph.data) / 1e6, 1),
        "export_seconds": made["seconds"],
        "export_processor_seconds": made["processor_seconds"],
        "peak_gib": made["peak_gib"],
        "largest": {name: max(row["largest"][name] for row in rows if row["gates"]) for name in graph.outputs},
        "images": made["report"]["images"]["phantoms"] + made["report"]["images"]["real"],
        "decided_otherwise_inside": max((row["inner"]["differ"] for row in rows if row["inner"]), default=None),
        "milliseconds": {engine: spread(values) for engine, values in times.items()},
        "onnxruntime_over_openvino": round(statistics.median(ratio), 2),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {
        "median": round(statistics.median(values), 1),
        "lowest": round(min(values), 1),
        "highest": round(max(values), 1),
    }


def main() -> None:
    """Measure and print; an export beyond the promised time or memory is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one narrow method")
    parser.add_argument("--methods", nargs="*", choices=list(METHODS))
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="folders of real images for parity")
    parser.add_argument("--images", type=int, default=8, help="how many of each folder")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    names = arguments.methods or (["dcnn"] if arguments.smoke else list(METHODS))
    words = [word for folder in arguments.data for word in ("--data", str(folder))]
    words += ["--images", str(arguments.images)]
    words += [word for setting in NARROW for word in ("--set", setting)] if arguments.smoke else []
    turns = 2 if arguments.smoke else arguments.turns
    rows: dict[str, Any] = {}
    heads = ("G MAC", "export s", "CPU s", "peak GiB", "ORT ms", "OpenVINO ms", "ratio")
    print(f"{'method':<12}" + "".join(f"{head:>12}" for head in heads))
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            row = rows[name] = row_of(name, Path(folder), words, turns)
            ort, vino = (row["milliseconds"][engine]["median"] for engine in ENGINES)
            over = row["export_seconds"] > SECONDS or row["peak_gib"] > GIB
            cells = (row["gmacs"], row["export_seconds"], row["export_processor_seconds"], row["peak_gib"], ort, vino)
            line = "".join(f"{cell:>12.2f}" for cell in (*cells, row["onnxruntime_over_openvino"]))
            print(f"{name:<12}{line}{'   over the promise' if over else ''}", flush=True)
            if arguments.json:
                content = {"machine": machine(), "narrow": arguments.smoke, "methods": rows}
                arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
