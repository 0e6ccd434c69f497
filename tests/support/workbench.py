"""Tests of the workbench are skipped, with the reason, where its packages are not installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

__all__ = ["collector", "one_thread"]


class _Missing(pytest.Module):
    """Stands for a test file that cannot be imported here. A conftest that skips itself would end the whole run."""

    reason = ""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(self.reason)


def collector(needed: Sequence[str], reason: str) -> Callable[[Path, pytest.Collector], pytest.Module | None]:
    """What a conftest calls `pytest_pycollect_makemodule`.

    Args:
        needed: packages without which no file of the folder can be imported.
        reason: said where one is missing.
    """

    def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
        if all(map(find_spec, needed)):
            return None
        missing = _Missing.from_parent(parent, path=module_path)
        missing.reason = reason
        return missing

    return pytest_pycollect_makemodule


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests share the machine."""
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)
