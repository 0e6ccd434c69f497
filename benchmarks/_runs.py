"""Runs of the training workbench by its own commands, and their figures as tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["command", "interval", "markdown", "report_of"]

ROOT = Path(__file__).resolve().parents[1]


def command(*words: str, log: Path) -> float:
    """The CPU seconds of a command of the workbench on one thread. What it says is kept, and shown if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "training", *words], cwd=ROOT, env=environment, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        sys.exit(f"{log.name}: {words[0]} failed\n{log.read_text(encoding='utf-8', errors='replace')[-4000:]}")
    return float(usage.ru_utime + usage.ru_stime)


def report_of(run: Path) -> dict[str, Any]:
    """The report that `evaluate --out RUN/report` left."""
    found: dict[str, Any] = json.loads((run / "report" / "report.json").read_text(encoding="utf-8"))
    return found


def interval(told: Mapping[str, float]) -> str:
    """A figure with its interval."""
    return f"{told['value']:.3f} ({told['low']:.3f} to {told['high']:.3f})"


def markdown(rows: Sequence[Mapping[str, Any]], hidden: Sequence[str] = ()) -> str:
    """The rows as a table, without what is only for machines."""
    head = [name for name in rows[0] if name not in hidden]
    lines = [head, ["---"] * len(head), *([str(row[name]) for name in head] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
