"""Tests that need torch and its exporter are skipped, with the reason, where they are not installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.exported import Shelf

NEEDED = ("torch", "onnxscript", "openvino", "scipy")


class _NeedsExporter(pytest.Module):
    """Stands for a test file that cannot be imported here. A conftest that skips itself would end the whole run."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip("needs torch and its exporter: pip install -e '.[train,export]'")


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if not all(map(find_spec, NEEDED)):
        return _NeedsExporter.from_parent(parent, path=module_path)
    return None


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests share the machine."""
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shelf() -> Shelf:
    """Narrow random networks, each traced once for all tests."""
    from tests.support.exported import Shelf

    return Shelf()
