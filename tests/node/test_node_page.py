"""docs/node.md and the examples are what the code is: every word, every default, every event and metric."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cxredge.node.config import (
    Destination,
    Limits,
    ModelChoice,
    NodeConfig,
    Observed,
    Receiver,
    Retention,
    Sender,
    Tls,
    Workers,
    read_config,
)
from cxredge.node.images import State
from tests.support.node_page import TABLES
from tests.support.tables import with_tables

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "node.md").read_text(encoding="utf-8")
SECTIONS: dict[str, Any] = {
    "The file itself": NodeConfig,
    "`[receiver]`": Receiver,
    "`[receiver.tls]`, `[destination.tls]`": Tls,
    "`[[sender]]`": Sender,
    "`[[destination]]`": Destination,
    "`[model]`": ModelChoice,
    "`[workers]`": Workers,
    "`[limits]`": Limits,
    "`[retention]`": Retention,
    "`[metrics]`": Observed,
}
TABLES_OF_THEIR_OWN = {"receiver", "sender", "destination", "model", "workers", "limits", "retention", "metrics"}


def rows(section: str) -> dict[str, str]:
    """Word -> what holds if it is left out, as the page's table says."""
    (text,) = re.findall(rf"^### {re.escape(section)}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE))


def left_out(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "needed"
    if field.default is None:
        return "none"
    return f"`{msgspec.json.encode(field.default).decode().replace(',', ', ')}`"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_word_and_its_default(section: str) -> None:
    expected = {field.encode_name: left_out(field) for field in msgspec.structs.fields(SECTIONS[section])}
    if section == "The file itself":
        assert set(expected) > TABLES_OF_THEIR_OWN
        expected = {name: text for name, text in expected.items() if name not in TABLES_OF_THEIR_OWN}
    assert rows(section) == expected


def test_every_section_is_there() -> None:
    assert set(re.findall(r"^### (.*)$", PAGE, re.MULTILINE)) == set(SECTIONS)


def test_events_and_metrics_are_current() -> None:
    assert with_tables(PAGE, TABLES) == PAGE, "run `python dev.py tables`"


def test_every_state() -> None:
    (table,) = re.findall(r"\| state of an image \| \|\n(.*?)\n\n", PAGE, re.DOTALL)
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(State)


def test_the_example_is_read() -> None:
    config = read_config(ROOT / "examples" / "node" / "node.toml")
    assert config.senders
    assert config.destinations[0].objects == ("sr", "sc")


def test_the_unit(tmp_path: Path) -> None:
    """systemd reads it without a complaint, and finds it well closed."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    unit = (ROOT / "examples" / "node" / "cxredge-node.service").read_text(encoding="utf-8")
    path = tmp_path / "cxredge-node.service"
    path.write_text(unit.replace("/opt/cxredge/bin/cxredge", sys.executable), encoding="utf-8")
    done = subprocess.run([tool, "verify", str(path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run([tool, "security", "--offline=true", str(path)], capture_output=True, text=True, timeout=60)
    (exposure,) = re.findall(r"Overall exposure level for .*?: ([0-9.]+)", done.stdout)
    assert float(exposure) <= 2.0
