"""Tables of the documents that follow from the code: each stands between two comments with its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["table", "with_tables"]


def with_tables(page: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """The page with these tables as the code has them."""
    for name, made in tables.items():
        pattern = rf"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)"
        text = made()
        page, found = re.subn(pattern, lambda match, text=text: match[1] + text + match[2], page, flags=re.DOTALL)
        assert found == 1, name
    return page


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
