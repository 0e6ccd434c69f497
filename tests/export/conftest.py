"""Tests that need torch and its exporter are skipped, with the reason, where they are not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.workbench import collector, one_thread  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from tests.support.exported import Shelf

pytest_pycollect_makemodule = collector(
    ("torch", "onnxscript", "openvino", "scipy"), "needs torch and its exporter: pip install -e '.[train,export]'"
)


@pytest.fixture(scope="session")
def shelf() -> Shelf:
    """Narrow random networks, each traced once for all tests."""
    from tests.support.exported import Shelf

    return Shelf()
