"""Hostile files are refused within two seconds of processor time, and with less than 1 GB at the peak."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cxredge.errors import Code
from tests.support.bad_inputs import ROWS
from tests.support.bad_inputs.pieces import PIECES
from tests.support.bad_inputs.structure import BOMBS

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = [row for row in ROWS if row in (*BOMBS.rows, *PIECES.rows) or row.answer.reason == Code.TOO_LARGE]
MOST_SECONDS = 2.0  # a promise, not a speed: the slowest takes less than half of it
MOST_KB = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="measures by /proc and limits address space")
def test_hostile_files_cost_little(tiny_bundle: Path, bad_files: dict[bool, Path]) -> None:
    names = [str(bad_files[row.real] / row.name) for row in HOSTILE]
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.append({str(ROOT)!r}); "]
    command[-1] += "from tests.support.limited import main; main(sys.argv[1], sys.argv[2:])"
    done = subprocess.run([*command, str(tiny_bundle), *names], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    told = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert len(told) == len(HOSTILE) >= 15
    for row in HOSTILE:
        line = told[row.name]
        assert line["code"] == (row.answer.reason or "ok"), row.name
        assert line["seconds"] < MOST_SECONDS, line
    assert max(line["peak_kb"] for line in told.values()) < MOST_KB
