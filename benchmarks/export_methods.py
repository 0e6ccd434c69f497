"""What exporting each method costs and how fast its graph runs: all seven, full size, random weights.

    python benchmarks/export_methods.py [--smoke] [--methods NAME ...] [--turns 15] [--json FILE]
    python benchmarks/export_methods.py --only export --graphs DIR      # any machine: processor seconds and memory
    python benchmarks/export_methods.py --only latency --graphs DIR     # an idle machine, some five minutes

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
            time.sleep(0.25)
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


def costs(method: str, out: Path, words: list[str]) -> dict[str, Any]:
    """Export a method: what it takes, and what its parity report says."""
    made = exported(method, out, words)
    graph = open_graph(out)
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
        "export_load": load(),
    }


def speeds(out: Path, turns: int) -> dict[str, Any]:
    """The latency of an exported graph."""
    times = latencies(open_graph(out), turns)
    ratio = [ort / vino for ort, vino in zip(times["onnxruntime"], times["openvino"], strict=True)]
    return {
        "milliseconds": {engine: spread(values) for engine, values in times.items()},
        "onnxruntime_over_openvino": round(statistics.median(ratio), 2),
        "load": load(),
    }


def load() -> float | None:
    """How many processes wanted a processor over the last minute."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {
        "median": round(statistics.median(values), 1),
        "lowest": round(min(values), 1),
        "highest": round(max(values), 1),
    }


HEADS = {
    "G MAC": "gmacs",
    "export s": "export_seconds",
    "CPU s": "export_processor_seconds",
    "peak GiB": "peak_gib",
    "ORT ms": "onnxruntime",
    "OpenVINO ms": "openvino",
    "ratio": "onnxruntime_over_openvino",
}


def line_of(row: dict[str, Any]) -> str:
    """A row for people; what was not measured is a dash, an export beyond the promise is named."""
    known = row | {engine: told["median"] for engine, told in row.get("milliseconds", {}).items()}
    cells = "".join(f"{known[key]:>12.2f}" if key in known else f"{'-':>12}" for key in HEADS.values())
    over = known.get("export_seconds", 0) > SECONDS or known.get("peak_gib", 0) > GIB
    return cells + ("   over the promise" if over else "")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one narrow method")
    parser.add_argument("--methods", nargs="*", choices=list(METHODS))
    parser.add_argument("--only", choices=("export", "latency"), help="latency needs the graphs of --graphs")
    parser.add_argument("--graphs", type=Path, metavar="DIR", help="keep the graphs here, or take them from here")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="folders of real images for parity")
    parser.add_argument("--images", type=int, default=8, help="how many of each folder")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--json", type=Path, help="figures are written here; those that are not measured again stay")
    found = parser.parse_args()
    if found.only == "latency" and found.graphs is None:
        parser.error("--only latency needs --graphs DIR, where --only export --graphs DIR left them")
    return found


def main() -> None:
    """Measure and print."""
    told = options()
    names = told.methods or (["dcnn"] if told.smoke else list(METHODS))
    words = [word for folder in told.data for word in ("--data", str(folder))]
    words += ["--images", str(told.images)]
    words += [word for setting in NARROW for word in ("--set", setting)] if told.smoke else []
    before = json.loads(told.json.read_text(encoding="utf-8")) if told.json and told.json.is_file() else {}
    rows: dict[str, Any] = before.get("methods", {}) if before.get("narrow") == told.smoke else {}
    print(f"{'method':<12}" + "".join(f"{head:>12}" for head in HEADS))
    with tempfile.TemporaryDirectory() as scratch:
        folder = told.graphs or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            out = folder / f"{name}.onnx"
            row = {} if told.only == "latency" else costs(name, out, words)
            row |= {} if told.only == "export" else speeds(out, 2 if told.smoke else told.turns)
            rows[name] = rows.get(name, {}) | row
            print(f"{name:<12}{line_of(row)}", flush=True)
            if told.json:
                content = {"machine": machine(), "narrow": told.smoke, "methods": rows}
                told.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
