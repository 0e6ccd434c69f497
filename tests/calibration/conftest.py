"""Tests that need the workbench's packages are skipped, with the reason, where they are not installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.calibrated import World

NEEDED = ("torch", "onnxscript", "nncf", "openvino", "scipy", "matplotlib")


class _NeedsWorkbench(pytest.Module):
    """Stands for a test file that cannot be imported here. A conftest that skips itself would end the whole run."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip("needs the calibration workbench: pip install -e '.[train,export,calibrate]'")


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if not all(map(find_spec, NEEDED)):
        return _NeedsWorkbench.from_parent(parent, path=module_path)
    return None


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests share the machine."""
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A narrow network and labelled drawn chests, made once."""
    from tests.support.calibrated import make_world

    return make_world(tmp_path_factory.mktemp("world"))
