"""Energy, where the machine counts it: the processor's RAPL counters, NVIDIA's own counter of a GPU.

Both count the whole package or board, whatever else runs on it. RAPL's files can usually be read by root alone; that
is said and not worked around.
"""

from __future__ import annotations

import ctypes
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxredge.benchmark.record import Energy

__all__ = ["POWERCAP", "Meter"]

POWERCAP = Path("/sys/class/powercap")
_NVML = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"


@dataclass(frozen=True, slots=True)
class _Reading:
    source: str
    joules: float
    wraps_at: float
    """The counter starts again from 0 here; 0 where it does not in practice."""


class Meter:
    """Reads every counter that there is, twice.

    Attributes:
        reason: why there is none; empty where there is one.
    """

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._powercap = powercap
        self._gpus = _nvml()
        self.reason = ""
        self._before: list[_Reading] = []
        self._began = 0.0

    def start(self) -> None:
        """Begin to count."""
        self._before = self._read()
        self._began = time.perf_counter()

    def stop(self, images: int) -> tuple[Energy, ...]:
        """What was spent since `start`, in which so many images were predicted."""
        seconds = time.perf_counter() - self._began
        after = {reading.source: reading for reading in self._read()}
        spent = []
        for before in self._before:
            now = after.get(before.source)
            if now is None:
                continue
            joules = now.joules - before.joules
            joules += before.wraps_at if joules < 0 else 0.0
            spent.append(
                Energy(
                    source=before.source,
                    joules=round(joules, 3),
                    seconds=round(seconds, 3),
                    joules_an_image=round(joules / max(images, 1), 4),
                )
            )
        return tuple(spent)

    def _read(self) -> list[_Reading]:
        self.reason = ""
        found = [*self._rapl(), *self._of_gpus()]
        if not found and not self.reason:
            self.reason = "this machine has no counter of energy that can be read (RAPL, NVML)"
        return found

    def _rapl(self) -> list[_Reading]:
        """The packages, not the parts within them, which would count twice."""
        found = []
        for zone in sorted(self._powercap.glob("*-rapl:[0-9]*")):
            if zone.name.count(":") != 1:
                continue
            try:
                name = (zone / "name").read_text(encoding="ascii").strip()
                joules = int((zone / "energy_uj").read_text(encoding="ascii")) / 1e6
                wraps_at = int((zone / "max_energy_range_uj").read_text(encoding="ascii")) / 1e6
            except PermissionError:
                self.reason = "RAPL's counters may be read by root only"
                continue
            except (OSError, ValueError):
                continue
            found.append(_Reading(f"RAPL {name}", joules, wraps_at))
        return found

    def _of_gpus(self) -> list[_Reading]:
        found = []
        for index, (library, handle) in enumerate(self._gpus):
            millijoules = ctypes.c_ulonglong()
            if library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)) == 0:
                found.append(_Reading(f"NVML GPU {index}", millijoules.value / 1e3, 0.0))
        return found


def _nvml() -> list[tuple[Any, Any]]:
    """The library and a handle for each GPU; empty where NVIDIA's driver is missing."""
    try:
        library = ctypes.CDLL(_NVML)
    except OSError:
        return []
    count = ctypes.c_uint()
    if library.nvmlInit_v2() != 0 or library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return []
    found = []
    for index in range(count.value):
        handle = ctypes.c_void_p()
        if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) == 0:
            found.append((library, handle))
    return found
