"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from cxredge.benchmark.record import Machine
from cxredge.engines.base import usable_cores
from cxredge.engines.catalog import availability
from cxredge.engines.machine import package_version
from cxredge.native import isa

__all__ = ["QUIET", "describe_machine", "disturbed", "versions"]

QUIET = 0.5
"""A machine with more processes than this wanting a core, over the last minute, does something else."""

_FLAGS = (
    *("sse4_2", "avx", "f16c", "fma", "avx2", "avx512f", "avx512bw", "avx512vl", "avx_vnni", "avx512_vnni"),
    *("avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve"),
)
_PACKAGES = ("cxredge", "numpy", "pydicom", "imagecodecs", "pillow")


def describe_machine() -> Machine:
    """The machine, as far as it tells."""
    info = _cpuinfo()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return Machine(
        processor=info.get("model name") or platform.processor() or platform.machine(),
        flags=tuple(flag for flag in _FLAGS if flag in flags),
        cores=os.cpu_count(),
        affinity=usable_cores(),
        governor=_governor(),
        memory_mb=_memory_mb(),
        system=platform.platform(),
        gpus=_gpus(),
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        core_variant=isa(),
    )


def disturbed(machine: Machine) -> str:
    """What to say of a machine that did something else before the measurement began; empty of a quiet one."""
    if machine.load is None or machine.load <= QUIET:
        return ""
    return f"Something else ran before this began (load {machine.load:g}): measure on a quiet machine."


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    found = {"python": platform.python_version()}
    found |= {name: known for name in _PACKAGES if (known := package_version(name))}
    found |= {name: state.version for name, state in availability().items() if state.version}
    return found


def _cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty where there is none."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {"model name": _processor_name()}
    first = path.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _processor_name() -> str:
    """Where /proc is missing: macOS keeps the name in sysctl, Windows in the environment."""
    if sys.platform == "darwin":
        return _output(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"])
    return os.environ.get("PROCESSOR_IDENTIFIER", "")


def _governor() -> str:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return "not told by this system"


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (AttributeError, OSError, ValueError):
        return None


def _gpus() -> tuple[str, ...]:
    """As nvidia-smi, which comes with the driver, tells them; empty without it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    told = _output([tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"])
    return tuple(line.strip() for line in told.splitlines() if line.strip())


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - fixed
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
