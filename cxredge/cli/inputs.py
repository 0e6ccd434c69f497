"""From what was typed to a list of inputs: files, folders, patterns and standard input."""

from __future__ import annotations

import glob
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

    A folder gives all files below it but hidden ones and DICOMDIR. A name that is not there is kept: its error
    belongs in the results. A pattern that matches nothing is a mistake in the command.
    """
    found: list[Input] = []
    for argument in arguments:
        if argument == "-":
            found.append(Input("-", sys.stdin.buffer.read()))
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


def _files_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(piece.startswith(".") for piece in path.relative_to(folder).parts)
        if path.is_file() and not hidden and path.name != _INDEX_OF_A_DISC:
            yield path


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
