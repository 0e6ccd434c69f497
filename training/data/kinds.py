"""The data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.data.cases import Collection
from training.data.chexpert import open_chexpert
from training.data.nih import open_chestxray14, open_nih
from training.data.outlined import open_jsrt, open_montgomery, open_shenzhen
from training.data.plain import open_csv
from training.errors import DataError, Problem, bad

__all__ = ["KINDS", "open_collection"]

KINDS: dict[str, Callable[..., Collection]] = {
    "chestxray14": open_chestxray14,
    "chexpert": open_chexpert,
    "jsrt": open_jsrt,
    "montgomery": open_montgomery,
    "shenzhen": open_shenzhen,
    "nih": open_nih,
    "csv": open_csv,
}
"""How each kind of data set is opened; the options are those functions' own."""


def open_collection(kind: str, folder: Path, **options: Any) -> Collection:
    """Read a data set's tables and check them; no image is decoded.

    Args:
        kind: a key of `KINDS`.
        folder: where the data set is, as its makers ship it (of `csv`, also the table itself).
        options: see the opener of the kind: `uncertain` and `blank` (chexpert), `partial` (chestxray14), `table` and
            `ignore` (csv).

    Raises:
        UsageError: there is no such kind or option.
        DataError: what is wrong, with the file and the line.
    """
    if kind not in KINDS:
        raise bad(f"there is no kind of data set {kind!r}: {', '.join(KINDS)}")
    folder = Path(folder)
    if not folder.exists():
        raise DataError(Problem.FOLDER, "there is no such folder", file=folder)
    known = KINDS[kind].__kwdefaults__ or {}
    for name in options:
        if name not in known:
            raise bad(f"{kind} has no option {name!r}: {', '.join(known) or 'it has none'}")
    return KINDS[kind](folder, **options)
