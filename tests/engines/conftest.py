"""One sealed bundle and one clean cache folder for each test, and the engine that misbehaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cxredge.bundle import Bundle, open_bundle
from cxredge.engines.catalog import ENGINES
from tests.support import rogue_engine
from tests.support.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.cxr")


@pytest.fixture
def bundle(tiny_path: Path) -> Iterator[Bundle]:
    with open_bundle(tiny_path) as opened:
        yield opened


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CXREDGE_CACHE", str(folder))
    return folder


@pytest.fixture
def rogue(monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path) -> Path:
    """Adds the engine that misbehaves; the file in which it counts its compilations."""
    monkeypatch.setitem(ENGINES, "rogue", rogue_engine.MODULE)
    monkeypatch.setenv("ROGUE_COUNT", str(tmp_path / "count"))
    return tmp_path / "count"
