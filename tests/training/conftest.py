"""Tests that need torch are skipped, with the reason, where the workbench's packages are not installed."""

from __future__ import annotations

from collections.abc import Iterator
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


@pytest.fixture(autouse=True, scope="module")
def toy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests of fit and evaluate train a toy, which is among the methods only as long as they run."""
    if request.path.parent.name not in {"fit", "evaluate"}:
        yield
        return
    from tests.support.toy_training import install, uninstall

    install()
    yield
    uninstall()
