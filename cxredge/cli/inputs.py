"""From what was typed to a list of inputs: files, folders, patterns and standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

__all__ = ["Input", "OutputNames", "expand"]

# Only these are cut off a name: what follows the last dot of a UID is no suffix.
_SUFFIXES = {".dcm", ".dicom", ".ima", ".png", ".jpg", ".jpeg", ".tif", ".tiff"}
_INDEX_OF_A_DISC = "DICOMDIR"  # a directory of other files (PS3.10), never an image


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to predict on: a path, or the bytes of standard input."""

    label: str
    source: Path | bytes


def expand(arguments: Sequence[str]) -> list[Input]:
    """Every input that the arguments name, in their order; folders and patterns sorted.

    A folder gives all files below it but hidden ones and DICOMDIR; links to folders are not followed. A name that is
    not there is kept: its error belongs in the results. A pattern that matches nothing is a mistake in the command.
    """
    found: list[Input] = []
    for argument in arguments:
        if argument == "-":
            found.append(Input("-", _standard_input()))
        elif not argument:  # an unset variable of a script; as a path it would mean the current folder
            raise click.UsageError("an input is an empty text")
        elif Path(argument).is_dir():
            found += [Input(str(path), path) for path in sorted(_files_below(Path(argument)))]
        elif not Path(argument).exists() and glob.has_magic(argument):
            # Windows shells leave patterns to the program.
            found_here = glob.glob(argument, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
            matches = sorted(path for path in found_here if Path(path).is_file())
            if not matches:
                raise click.UsageError(f"nothing matches {argument!r}")
            found += [Input(match, Path(match)) for match in matches]
        else:
            found.append(Input(argument, Path(argument)))
    if not found:
        raise click.UsageError("no files there: the folders are empty")
    return found


def _standard_input() -> bytes:
    """All of it, up to one byte more than is ever accepted."""
    from cxredge.sources import Limits

    if sys.stdin is None:  # closed, or a program of Windows without a console
        raise click.UsageError("standard input is closed")
    return sys.stdin.buffer.read(Limits().max_file_bytes + 1)


def _files_below(folder: Path) -> Iterator[Path]:
    """Files and dangling links; a folder that cannot be listed comes as itself, so that its error is in the results."""
    unlisted: list[Path] = []
    for here, folders, files in os.walk(folder, onerror=lambda error: unlisted.append(Path(error.filename))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(here, name) for name in files if not name.startswith(".") and name != _INDEX_OF_A_DISC):
            if path.is_file() or path.is_symlink():
                yield path
    yield from unlisted


class OutputNames:
    """A file name for each input, made from its own and never the same twice."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, label: str) -> str:
        """The stem for this input's files, such as `scan`, or `scan-2` where `scan` is taken."""
        path = Path(label)
        stem = "stdin" if label == "-" else path.stem if path.suffix.lower() in _SUFFIXES else path.name
        candidate, number = stem, 1
        while candidate.casefold() in self._taken:  # Windows and macOS fold case
            number += 1
            candidate = f"{stem}-{number}"
        self._taken.add(candidate.casefold())
        return candidate
