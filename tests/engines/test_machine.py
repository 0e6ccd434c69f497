"""Versions and the machine's identity: what keys of the cache are made of."""

from __future__ import annotations

import pytest

from cxredge.engines.machine import _from_cpuinfo, at_least, cpu_identity, package_version


@pytest.mark.parametrize(
    ("version", "minimum", "wanted"),
    [
        ("1.20.0", "1.20", True),
        ("1.19.9", "1.20", False),
        ("1.9", "1.20", False),
        ("1.20rc1", "1.20", True),
        ("2025.0.0", "2025.0", True),
        ("2024.6.0", "2025.0", False),
        ("11.4.0.106", "11.0", True),
        ("2.0+cu130", "1.20", True),
        ("", "1.20", False),
    ],
)
def test_versions(version: str, minimum: str, wanted: bool) -> None:
    assert at_least(version, minimum) is wanted


def test_processors_are_told_apart() -> None:
    x86 = "processor: 0\nvendor_id: A\nmodel name: B\nflags: fpu avx2\ncpu MHz: 2000\n\nprocessor: 1\n"
    arm = "processor: 0\nBogoMIPS: 50\nFeatures: fp asimd\nCPU implementer: 0x41\nCPU part: 0xd0c\n\n"
    assert _from_cpuinfo(x86) == ["vendor_id=A", "model name=B", "flags=fpu avx2"]
    assert _from_cpuinfo(x86) == _from_cpuinfo(x86.replace("2000", "3000")), "the clock changes all the time"
    assert _from_cpuinfo(x86) != _from_cpuinfo(x86.replace("avx2", "avx2 avx512f"))
    assert _from_cpuinfo(arm) == ["Features=fp asimd", "CPU implementer=0x41", "CPU part=0xd0c"]
    assert cpu_identity() == cpu_identity() and "|" in cpu_identity()


def test_packages() -> None:
    assert package_version("there-is-no-such-package") is None
    assert package_version("there-is-no-such-package", "numpy") == package_version("numpy") is not None
