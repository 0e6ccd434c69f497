"""Whether coverage.json is above the floor: `python -m tests.support.coverage_floor build/coverage.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LINES, BRANCHES = 0.95, 0.90

__all__ = ["BRANCHES", "LINES", "shares"]


def shares(report: Mapping[str, Any]) -> tuple[float, float]:
    """Of lines and of branches, over all files of a coverage.py JSON report.

    Raises:
        ValueError: the report holds nothing, so that nothing was measured.
    """
    totals = report["totals"]
    if not totals["num_statements"] or not totals["num_branches"]:
        raise ValueError("nothing was measured")
    return (
        totals["covered_lines"] / totals["num_statements"],
        totals["covered_branches"] / totals["num_branches"],
    )


def main(path: Path) -> int:
    """Print what is covered, the least covered files first, and give the exit code."""
    report = json.loads(path.read_text(encoding="utf-8"))
    files = sorted(report["files"].items(), key=lambda item: item[1]["summary"]["percent_covered"])
    for name, told in files:
        if missing := told["missing_lines"] + [tuple(branch) for branch in told["missing_branches"]]:
            print(f"{told['summary']['percent_covered']:6.1f} %  {name}: {missing}")  # noqa: T201
    lines, branches = shares(report)
    print(f"of lines {lines:.1%} (at least {LINES:.0%}), of branches {branches:.1%} (at least {BRANCHES:.0%})")  # noqa: T201
    return 0 if lines >= LINES and branches >= BRANCHES else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
