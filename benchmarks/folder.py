"""A folder of 200 raw films: images a second, against what the engine alone could do on this machine.

    python benchmarks/folder.py [--engine NAME] [--precision NAME] [--count 200] [--rounds N] [--json FILE]

In turns: `predict_many` over the whole folder, every result as JSON text; and the engine's own throughput limit on the
same graph, with nothing read, made or concluded: OpenVINO compiled for throughput with its own number of streams and
an `AsyncInferQueue`; onnxruntime with one thread a session and as many callers as cores, and with its own threads and
one caller, whichever is faster. The share is the ratio of both rates. 8 of the films hold pixels of their own, the
others are links, so that all lie in the page cache.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks import _films
from benchmarks._graphs import embedded_graphs, openvino_hint, runs_here
from benchmarks._turns import Side, finish, in_turns, load, options, ratio, summary, verdict
from cxredge.engines.onnxruntime import library

AT_LEAST = 0.75
Array = npt.NDArray[np.float32]


def onnxruntime_limit(graph: Path, image: Array, count: int, precision: str) -> dict[str, Side]:  # noqa: ARG001
    """One thread a run and a caller a core; and all threads for one caller."""
    ort = library()

    def rate(threads: int, callers: int) -> Side:
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads
        session = ort.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])

        def once() -> float:
            with ThreadPoolExecutor(callers) as pool:
                began = time.perf_counter()
                for _ in pool.map(lambda _: session.run(None, {"image": image}), range(count)):
                    pass
                return count / (time.perf_counter() - began)

        return once

    return {"limit, one thread a run": rate(1, os.cpu_count() or 1), "limit, one run at a time": rate(0, 1)}


def openvino_limit(graph: Path, image: Array, count: int, precision: str) -> dict[str, Side]:
    """Streams as OpenVINO chooses them for throughput."""
    import openvino

    settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": openvino_hint(precision)}
    queue = openvino.AsyncInferQueue(openvino.Core().compile_model(graph, "CPU", settings))

    def once() -> float:
        began = time.perf_counter()
        for _ in range(count):
            queue.start_async({"image": image}, share_inputs=True)
        queue.wait_all()
        return count / (time.perf_counter() - began)

    return {"limit, its own streams": once}


LIMITS = {"onnxruntime": onnxruntime_limit, "openvino": openvino_limit}


def measure(engine: str, precision: str, films: list[Path], graph: Path, rounds: int) -> dict[str, Any]:
    """The row of an engine and a graph; rates are images a second."""
    import cxredge

    with cxredge.load(engine=engine, precision=precision) as model:
        image = model.golden_input()[:1].copy()  # OpenVINO takes no array that is read-only

        def ours() -> float:
            began = time.perf_counter()
            answered = sum(len(p.to_json()) > 0 and p.ran is not None for p in model.predict_many(films))
            if answered != len(films):
                raise SystemExit(f"{len(films) - answered} films were not answered")
            return len(films) / (time.perf_counter() - began)

        taken = in_turns({"ours": ours} | LIMITS[engine](graph, image, len(films), precision), rounds, warm_up=1)
    rates = {name: summary(values) for name, values in taken.items()}
    limit = max((name for name in taken if name != "ours"), key=lambda name: rates[name]["median"])
    return {"images_a_second": rates, "limit": limit, "share": ratio(taken["ours"], taken[limit]) | {"least": AT_LEAST}}


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--engine", action="append", choices=list(LIMITS), help="default: both")
    parser.add_argument("--precision", action="append", help="of the embedded bundle; default: all that it has")
    parser.add_argument("--count", type=int, default=200)
    asked = parser.parse_args()
    before, rows = load(), {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        graphs, _ = embedded_graphs(folder, asked.precision)
        films = _films.many(
            folder / "films", 6 if asked.smoke else asked.count, *((600, 500) if asked.smoke else (3000, 2500))
        )
        for engine in asked.engine or list(LIMITS):
            for precision, graph in graphs.items():
                if not runs_here(engine, precision):
                    continue
                name = f"{engine} {precision}"
                row = rows[name] = measure(engine, precision, films, graph, 1 if asked.smoke else asked.rounds)
                print(line(name, row, smoke=asked.smoke))
    finish(rows, asked, before)


def line(name: str, row: dict[str, Any], *, smoke: bool) -> str:
    """A row for people."""
    rates, share = row["images_a_second"], row["share"]
    ours, most = rates["ours"]["median"], rates[row["limit"]]["median"]
    words = f"{name:<16} folder {ours:7.1f} images/s   {row['limit']} {most:7.1f}"
    words += f"   {share['ratio']:.0%} ({share['low']:.0%} to {share['high']:.0%})"
    return words + ("" if smoke else verdict(share["ratio"], AT_LEAST))


if __name__ == "__main__":
    main()
