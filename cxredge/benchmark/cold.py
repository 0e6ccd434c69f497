"""`cxredge predict` as a new process, and how long it takes from its start to its end.

The process is this very module: it runs the command, and tells its own peak memory before it ends.
"""

from __future__ import annotations

import json
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Any

from cxredge.errors import Code, EngineError

__all__ = ["spend"]


def spend(arguments: list[str], folder: Path, cache: Path, limit_seconds: float) -> tuple[float, float | None]:
    """Run `cxredge predict` with these arguments once; gives its seconds and its peak memory in MB.

    Args:
        arguments: of the command.
        folder: where order, log and report go.
        cache: the folder of compiled graphs that the process uses.
        limit_seconds: after so long it is ended.

    Raises:
        EngineError: ENGINE_TIMEOUT, or ENGINE_FAILED with what the command said.
    """
    from cxredge.engines.isolation import end_tree, start_child

    order, report, log = folder / "cold.json", folder / "cold-report.json", folder / "cold.log"
    order.write_text(json.dumps({"arguments": arguments, "report": str(report)}), encoding="utf-8")
    report.unlink(missing_ok=True)
    with log.open("wb") as sink:
        began = time.perf_counter()
        process = start_child("cxredge.benchmark.cold", order, sink, CXREDGE_CACHE=str(cache))
        late = threading.Timer(limit_seconds, end_tree, [process])
        late.start()
        try:
            code = process.wait()  # without a time limit, as waiting with one looks 20 times a second only
            seconds = time.perf_counter() - began
        finally:
            alive = late.is_alive()
            late.cancel()
            if process.poll() is None:
                end_tree(process)
    if not alive:
        raise EngineError(Code.ENGINE_TIMEOUT, f"cxredge predict: {limit_seconds:g} seconds were not enough")
    if code != 0 or not report.exists():
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise EngineError(Code.ENGINE_FAILED, f"cxredge predict ended with {code}: {said[-1][:200] if said else ''}")
    peak = json.loads(report.read_text(encoding="utf-8"))["peak_mb"]
    return seconds, None if peak is None else float(peak)


def main(order_file: str) -> None:
    """Be the command, and write the peak memory beside."""
    from cxredge.benchmark.memory import peak_mb

    order: dict[str, Any] = json.loads(Path(order_file).read_text(encoding="utf-8"))
    code: object = 0
    sys.argv = ["cxredge", "predict", *order["arguments"]]
    try:
        runpy.run_module("cxredge", run_name="__main__")
    except SystemExit as leaving:
        code = leaving.code
    Path(order["report"]).write_text(json.dumps({"peak_mb": peak_mb()}), encoding="utf-8")
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main(sys.argv[1])
