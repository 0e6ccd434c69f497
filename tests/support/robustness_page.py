"""docs/robustness.md, made from the table: `python -m tests.support.robustness_page docs/robustness.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from cxredge.sources import Limits
from tests.support.bad_inputs import GROUPS, ROWS
from tests.support.bad_inputs.table import Answer

INTRODUCTION = """# Bad inputs

What a hospital sends is not what a data set holds. This is the table of {count} bad inputs and the one right answer to
each. Every row is made by code from one good film and is a test twice over: through `cxredge predict FOLDER --format
json`, run as a process of its own, and through `model.predict`. This page is made from that table
(`python dev.py robustness`).

An answer is always one of four, and never a traceback:

- **ok**: a result without a warning.
- **ok, with** codes: a result, to be read with these warnings in mind.
- **abstained**: the file can be read, but no result on it could be trusted.
- **error**: the file is broken, or of a kind that is not read. In Python, an exception that carries the code.

The codes are explained in [codes.md](codes.md). *Same score* means that all fourteen probabilities are those of the
good film to within 0.0001; *own score*, that they are not.

## Limits

A hostile file is refused before memory is taken for what it claims. `Limits` of [reading.md](reading.md) holds at most
{rows:,} rows and {columns:,} columns, {pixels:,} pixels, {file:,} bytes of a file, {unpacked:,} bytes unpacked, and
{elements:,} attributes and items of a header. A test gives the bombs below to one process that may take no more than
1 GB of address space beyond what a loaded model has. It checks that the process's memory stays under 1 GB at the peak,
and that none of them takes more than two seconds of processor time (`tests/robustness/test_bombs.py`).

A picture within the limits can take longer: a JPEG XL of 50 million pixels is decoded in full, which takes seconds.

## What this does not show

- A mirrored picture under right tags has a result: its pixels cannot be told from a heart that lies on the right.
- That a picture is lateral, turned, inverted or of another body part is seen by the bundle's own gate, not by the
  runtime. The rows show that the embedded bundle's gate is heard; how often it is right is in
  [its card](default-bundle-card.md). A bundle without a gate has only the check of the outlines.
- Damage inside a JPEG stream that leaves its end marker in place can go unseen ([reading.md](reading.md)).
- An engine that crashes while it predicts ends the process; only compiling is in a process of its own
  ([engines.md](engines.md)).

## Faults

Besides these inputs, tests bring about what goes wrong around them: sources that fail or give little at a time, a full
disk, no home folder, a damaged cache, an interrupted run (`tests/robustness/test_faults.py`,
`tests/engines/test_cache.py`); engines that crash, hang or give not-a-number (`tests/engines/test_isolation.py`,
`tests/robustness/test_sick_engine.py`); eight threads on one model, another language and time zone, a bundle that
changes while it is loaded (`tests/robustness/test_processes.py`); a fork (`tests/robustness/test_forks.py`). In the C
core every allocation fails once (`tests/native/memory_test.c`), and every call is fuzzed
([CONTRIBUTING.md](../CONTRIBUTING.md)).
"""


def _told(answer: Answer) -> str:
    codes = ", ".join(f"`{code}`" for code in sorted(answer.warnings))
    if answer.status != "ok":
        return f"{answer.status}: `{answer.reason}`" + (f", with {codes}" if codes else "")
    score = {"same": "; same score", "own": "; own score", None: ""}[answer.score]
    nameless = "; no UID in the result" if answer.anonymous else ""
    return ("ok, with " + codes if codes else "ok") + score + nameless


def page() -> str:
    """The whole page."""
    limits = Limits()
    introduction = INTRODUCTION.format(
        count=len(ROWS),
        rows=limits.max_rows,
        columns=limits.max_columns,
        pixels=limits.max_pixels,
        file=limits.max_file_bytes,
        unpacked=limits.max_unpacked_bytes,
        elements=limits.max_elements,
    )
    parts = [introduction]
    for group in GROUPS:
        lines = [f"## {group.title}", "", "| input | answer |", "| --- | --- |"]
        lines += [f"| {row.what} | {_told(row.answer)} |" for row in group.rows]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8", newline="\n")
