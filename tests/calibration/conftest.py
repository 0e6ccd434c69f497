"""Tests that need the workbench's packages are skipped, with the reason, where they are not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.workbench import collector, one_thread  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from tests.support.calibrated import World

pytest_pycollect_makemodule = collector(
    ("torch", "onnxscript", "nncf", "openvino", "scipy", "matplotlib"),
    "needs the calibration workbench: pip install -e '.[train,export,calibrate]'",
)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A narrow network and labelled drawn chests, made once."""
    from tests.support.calibrated import make_world

    return make_world(tmp_path_factory.mktemp("world"))
