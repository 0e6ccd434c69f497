"""A node that is killed again and again under load loses nothing: benchmarks/node_kill.py, a few rounds of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="the extra node is not installed")
pytest.importorskip("psutil", reason="psutil is not installed")

from benchmarks.node_kill import is_kept, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and storescu")


@pytest.mark.slow
def test_every_acknowledged_image_is_one_report(tmp_path: Path) -> None:
    outcome = run(12, 20_261_121, tmp_path)
    assert is_kept(outcome), outcome
