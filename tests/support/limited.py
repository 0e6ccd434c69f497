"""Predicts in a process that may take little more memory than it has: `python -m tests.support.limited BUNDLE FILE...`.

One line of JSON a file: its name, the answer's code, processor seconds, and the peak of resident memory so far.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import cxredge
from cxredge.errors import CxredgeError

MORE = 1 << 30
"""Bytes of address space beyond what the loaded model has; real memory is less."""


def _kilobytes(name: str) -> int:
    """A line of /proc/self/status: VmSize, or VmHWM for the peak (ru_maxrss would count the parent's)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:"))


def main(bundle: str, files: list[str]) -> None:
    """Load once, lower the limit, and go through the files."""
    with cxredge.load(bundle, engine="onnxruntime", precision="fp32", threads=1) as model:
        most = _kilobytes("VmSize") * 1024 + MORE
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        for file in files:
            began = time.process_time()
            try:
                reason = model.predict(file).reason
                code = str(reason.code) if reason else "ok"
            except CxredgeError as error:
                code = str(error.code)
            seconds = time.process_time() - began
            told = {"name": Path(file).name, "code": code, "seconds": seconds, "peak_kb": _kilobytes("VmHWM")}
            print(json.dumps(told), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
