"""What a whole prediction takes beyond the bare engine call on the same graph, with a raw film.

    python benchmarks/engine_overhead.py [--engine NAME] [--precision NAME] [--rounds N] [--json FILE]

In turns, in one process, for each engine and each graph of the embedded bundle: a whole `predict` with its JSON text;
the session's own call with input and outputs already in the engine's memory (`bound`); and the engine by its own API,
on the same ONNX file with nothing of cxredge around it: onnxruntime's `run_with_iobinding` with default options,
OpenVINO's `start_async` and `wait` on set tensors, compiled for latency, with float32 where neither the graph is INT8
nor bfloat16 is measured. The overhead is the median of the rounds' ratios, less one. Afterwards
OpenVINO's `benchmark_app` runs the same file, where it is installed, to show that its figure is the bare call's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks import _films
from benchmarks._graphs import embedded_graphs, openvino_hint, runs_here
from benchmarks._turns import IN_A_ROW, finish, in_turns, load, options, ratio, summary, timed, verdict
from cxredge.engines.onnxruntime import library

AT_MOST = 0.40
Array = npt.NDArray[np.float32]


def plain_onnxruntime(graph: Path, image: Array, precision: str) -> Callable[[], object]:  # noqa: ARG001 - its graph's
    """The engine by its own API, with its defaults."""
    ort = library()

    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_ortvalue_input("image", ort.OrtValue.ortvalue_from_numpy(image))
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return lambda: session.run_with_iobinding(binding)


def plain_openvino(graph: Path, image: Array, precision: str) -> Callable[[], object]:
    """The engine by its own API: what benchmark_app does with `-api sync`."""
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": openvino_hint(precision)}
    request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()
    tensor = openvino.Tensor(image, shared_memory=True)
    request.set_tensor("image", tensor)

    def once() -> object:
        request.start_async()
        request.wait()
        return tensor

    return once


PLAIN = {"onnxruntime": plain_onnxruntime, "openvino": plain_openvino}


def benchmark_app(graph: Path, precision: str, side: int, seconds: int) -> float | None:
    """The median milliseconds that OpenVINO's own tool tells; None where it is missing or fails."""
    tool = shutil.which("benchmark_app") or shutil.which("benchmark_app", path=sysconfig.get_path("scripts"))
    if tool is None:
        return None
    words = ["-m", str(graph), "-d", "CPU", "-hint", "latency", "-api", "sync", "-t", str(seconds)]
    words += ["-infer_precision", openvino_hint(precision), "-shape", f"[1,1,{side},{side}]"]
    done = subprocess.run([tool, *words], capture_output=True, text=True, check=False)
    found = re.search(r"Median:\s+([0-9.]+) ms", done.stdout)
    return float(found.group(1)) if found else None


def measure(engine: str, precision: str, film: Path, graph: Path, rounds: int) -> dict[str, Any]:
    """The row of an engine and a graph."""
    import cxredge

    with cxredge.load(engine=engine, precision=precision) as model:
        image = model.golden_input()[:1].copy()  # OpenVINO takes no array that is read-only
        sides = {
            "predict": timed(lambda: model.predict(film).to_json(), IN_A_ROW),
            "bare": timed(model.session.bound(image), IN_A_ROW),
            "plain": timed(PLAIN[engine](graph, image, precision), IN_A_ROW),
        }
        taken = in_turns(sides, rounds, warm_up=min(rounds, 5))
        threads = model.ran.threads
    row: dict[str, Any] = {name: summary(values) for name, values in taken.items()} | {"threads": threads}
    over = ratio(taken["predict"], taken["bare"])
    row["overhead"] = {name: round(value - 1.0, 3) for name, value in over.items()} | {"at_most": AT_MOST}
    row["overhead_over_plain"] = round(ratio(taken["predict"], taken["plain"])["ratio"] - 1.0, 3)
    return row


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=50)
    parser.add_argument("--engine", action="append", choices=list(PLAIN), help="default: both")
    parser.add_argument("--precision", action="append", help="of the embedded bundle; default: all that it has")
    asked = parser.parse_args()
    before, rows = load(), {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        graphs, side = embedded_graphs(folder, asked.precision)
        film = _films.write(folder, *((600, 500) if asked.smoke else (3000, 2500)))["raw"]
        for engine in asked.engine or list(PLAIN):
            for precision, graph in graphs.items():
                if not runs_here(engine, precision):
                    continue
                name = f"{engine} {precision}"
                row = rows[name] = measure(engine, precision, film, graph, 3 if asked.smoke else asked.rounds)
                if engine == "openvino":
                    row["benchmark_app_ms"] = benchmark_app(graph, precision, side, 1 if asked.smoke else 10)
                print(line(name, row, smoke=asked.smoke))
    finish(rows, asked, before)


def line(name: str, row: dict[str, Any], *, smoke: bool) -> str:
    """A row for people."""
    over = row["overhead"]
    words = f"{name:<16} predict {row['predict']['median']:7.2f} ms   bare {row['bare']['median']:7.2f} ms"
    words += f"   its own API {row['plain']['median']:7.2f} ms"
    if row.get("benchmark_app_ms") is not None:
        words += f"   benchmark_app {row['benchmark_app_ms']:7.2f} ms"
    words += f"   overhead {over['ratio']:.0%} ({over['low']:.0%} to {over['high']:.0%})"
    return words + ("" if smoke else verdict(over["ratio"], AT_MOST, lower_is_better=True))


if __name__ == "__main__":
    main()
