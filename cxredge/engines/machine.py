"""What a compiled graph depends on in the machine itself."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

__all__ = ["cpu_identity", "package_version"]


@functools.cache
def cpu_identity() -> str:
    """The processor's model and what it can do, as far as the system tells: part of every cache key.

    A cache that moves to another machine (a home folder on a server, an image of a disk) must not be used there.
    """
    facts = [platform.system(), platform.machine()]
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        facts += _from_cpuinfo(cpuinfo.read_text(encoding="utf-8", errors="replace"))
    else:
        facts.append(platform.processor())
    return "|".join(facts)


def _from_cpuinfo(text: str) -> list[str]:
    """Model and features of the first processor; x86 and Arm name them differently."""
    wanted = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU implementer", "CPU part")
    found: list[str] = []
    for line in text.split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        if key.strip() in wanted:
            found.append(f"{key.strip()}={value.strip()}")
    return found


def package_version(*distributions: str) -> str | None:
    """The version of the first of these distributions that is installed, without importing it."""
    from importlib import metadata

    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def at_least(version: str, minimum: str) -> bool:
    """Whether a release is not older than `minimum`, by its leading numbers."""

    def numbers(text: str) -> tuple[int, ...]:
        found: list[int] = []
        for piece in text.split("+")[0].split("."):
            digits = "".join(ch for ch in piece if ch.isdigit())
            if not digits:
                break
            found.append(int(digits))
            if digits != piece:
                break
        return tuple(found)

    return numbers(version) >= numbers(minimum)
