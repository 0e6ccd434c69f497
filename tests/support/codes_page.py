"""docs/codes.md, made from the one enum of codes: `python -m tests.support.codes_page docs/codes.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from cxredge.errors import MEANINGS, Kind

INTRODUCTION = """# Codes

Every warning, abstention and error has one code. Programs match on the code; it never changes once released. The text
beside it is for people and may be reworded. This page is made from `cxredge/errors.py` (`python dev.py codes`).

- **warning**: there is a result; read it with this in mind (`warnings` of the result).
- **abstained**: the file is readable, but no result on it could be trusted (`status: "abstained"`, `reason`).
- **error**: the file, the bundle or the engine is broken (`status: "error"`, `reason`; an exception in Python).
"""
TITLES = {Kind.WARNING: "Warnings", Kind.ABSTAINED: "Abstentions", Kind.ERROR: "Errors"}


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for kind, title in TITLES.items():
        rows = [f"| `{code}` | {m.what} | {m.do} |" for code, m in MEANINGS.items() if m.kind is kind]
        head = [f"## {title}", "", "| code | what | what to do |", "| --- | --- | --- |"]
        parts.append("\n".join([*head, *rows]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8", newline="\n")
