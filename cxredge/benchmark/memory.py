"""The largest memory that this process has held."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

__all__ = ["peak_mb"]


def peak_mb() -> float | None:
    """The peak of this process's resident memory in MB (2**20 bytes); None where the system does not tell.

    On Linux /proc is read and not `getrusage`, whose figure starts from the parent's memory at the fork.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
        return None
    if sys.platform == "win32":
        return _windows()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, kilobytes elsewhere
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _windows() -> float | None:
    import ctypes

    class Counters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS of psapi.h."""

        _fields_ = (
            ("cb", ctypes.c_uint32),
            ("faults", ctypes.c_uint32),
            *((f"size{index}", ctypes.c_size_t) for index in range(8)),
        )

    counters = Counters()
    counters.cb = ctypes.sizeof(counters)
    kernel: Any = getattr(ctypes, "windll").kernel32  # noqa: B009 - there on Windows only
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    if not kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.cb):
        return None
    return round(float(counters.size0) / 2**20, 1)  # PeakWorkingSetSize is the first of the sizes
