"""Tests that need torch are skipped, with the reason, where the workbench's packages are not installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.workbench import collector, one_thread  # noqa: F401 - a fixture

pytest_pycollect_makemodule = collector(("torch",), "needs torch: pip install -e '.[train]'")


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
