"""Markdown tables and words of reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["interval_words", "markdown_table", "split_words"]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column stands left, figures right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def split_words(split: Mapping[str, Any]) -> str:
    """A split in words; the names of most that are unofficial say so themselves."""
    said = "official" if split["official"] else "unofficial"
    name: str = split["name"]
    return name if said in name else f"{name} ({said})"


def interval_words(found: Mapping[str, float] | None) -> str:
    """A figure with its interval; nothing where there is none."""
    return "" if found is None else f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
