"""Tests that need torch are skipped, with the reason, where the workbench's packages are not installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest


class _NeedsTorch(pytest.Module):
    """Stands for a test file that cannot be imported here. A conftest that skips itself would end the whole run."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip("needs torch: pip install -e '.[train]'")


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if find_spec("torch") is None:
        return _NeedsTorch.from_parent(parent, path=module_path)
    return None


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests share the machine."""
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)
