"""docs/conformance.md says what the code does: its tables are made from it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="the extra node is not installed")

from tests.support.conformance_page import TABLES
from tests.support.tables import with_tables

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")


def test_its_tables_are_current() -> None:
    assert with_tables(PAGE, TABLES) == PAGE, "run `python dev.py tables`"
