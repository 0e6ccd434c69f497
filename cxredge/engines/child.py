"""Runs in a process of its own: compile a graph, load it, run it, and report.

A vendor's compiler may crash or hang on a graph that another engine runs without trouble. Here it can: the parent
(`cxredge.engines.isolation`) sees the exit code or the clock.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from cxredge.engines.base import Array, CheckedSession, Engine, Job, first_line
from cxredge.engines.lifeline import end_with
from cxredge.errors import Code, CxredgeError

__all__ = ["answer", "main"]


def main(order_file: str) -> None:
    """Do what the order says and write the report that it names."""
    answer(order_file, _carry_out)


def answer(order_file: str, carry_out: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Carry an order out and write the report that it names: what came of it, or the code and detail of why not."""
    order = json.loads(Path(order_file).read_text(encoding="utf-8"))
    end_with(order["parent"])
    try:
        report = carry_out(order)
    except CxredgeError as error:
        report = {"ok": False, "code": str(error.code), "detail": error.detail}
    except MemoryError:
        report = {"ok": False, "code": str(Code.OUT_OF_MEMORY), "detail": "while compiling"}
    except Exception as error:
        report = {"ok": False, "code": str(Code.ENGINE_FAILED), "detail": first_line(error)}
    Path(order["report"]).write_text(json.dumps(report), encoding="utf-8")


def _carry_out(order: dict[str, Any]) -> dict[str, Any]:
    engine = cast("Engine", importlib.import_module(order["module"]))
    spec = order["job"]
    outputs = {name: tuple(shape) for name, shape in spec["outputs"].items()}
    job = Job(**(spec | {"input_size": tuple(spec["input_size"]), "outputs": outputs}))
    artefact, folder = Path(order["artefact"]), Path(order["folder"])
    began = time.perf_counter()
    if order["compile"]:
        engine.compile(Path(order["graph"]).read_bytes(), job, artefact)
    compiled = time.perf_counter()
    session = CheckedSession(engine.open(artefact, job), job)
    image: Array = np.load(order["image"], allow_pickle=False)
    answers = session.run(image)
    first = time.perf_counter()
    for name, values in answers.items():
        np.save(folder / f"out_{name}.npy", values, allow_pickle=False)
    timed = order["seconds"] is not None  # a network of seconds an image is not run for nothing
    median = _median_ms(session, image[:1], order["seconds"]) if timed else None
    session.close()
    return {
        "ok": True,
        "compile_ms": (compiled - began) * 1e3 if order["compile"] else None,
        "first_ms": (first - compiled) * 1e3,
        "median_ms": median,
    }


def _median_ms(session: CheckedSession, image: Array, seconds: float) -> float:
    """The median time of one image, after two runs that do not count; at least three that do."""
    for _ in range(2):
        session.run(image)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or (len(times) < 200 and time.perf_counter() < end):
        began = time.perf_counter()
        session.run(image)
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times))


if __name__ == "__main__":
    main(sys.argv[1])
