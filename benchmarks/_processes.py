"""New processes: their seconds, and the peak of their memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["spent"]

# Started from a process that holds nothing: `ru_maxrss` of a child starts from its parent's memory.
_SHIM = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - began
process.returncode = os.waitstatus_to_exitcode(status)
told = [process.returncode, seconds, usage.ru_maxrss, usage.ru_utime + usage.ru_stime]
open(sys.argv[1], "w").write(json.dumps(told))
"""
_UNIT = 2**20 if sys.platform == "darwin" else 2**10


def spent(command: list[str], environment: dict[str, str] | None = None) -> tuple[float, float, float]:
    """Seconds of wall time, peak resident megabytes, and processor seconds of one process."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", _SHIM, str(told), *command],
            check=True,
            env=environment or dict(os.environ),
        )
        code, seconds, peak, processor = json.loads(told.read_text(encoding="ascii"))
    if code != 0:
        raise SystemExit(f"failed with {code}: {' '.join(command)}")
    return seconds, peak / _UNIT, processor
