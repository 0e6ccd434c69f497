"""Every target by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from tests.fuzz.images import Command, Dicom, Raster
from tests.fuzz.sealed import Archive, Cases, Golden, Graph, ManifestText, Results, Signature

__all__ = ["TARGETS", "Target"]


class Target(Protocol):
    """A boundary."""

    name: str
    most: int
    """Bytes of an input."""

    def seeds(self) -> Iterator[bytes]:
        """Inputs to begin with."""

    def run(self, data: bytes) -> str:
        """One input; the kind of its answer. Raises Broken, or whatever should not have come out."""


_ALL: tuple[Callable[[], Target], ...] = (
    Dicom, Raster, Command, ManifestText, Archive, Golden, Graph, Signature, Results, Cases,
)  # fmt: skip
TARGETS: dict[str, Callable[[], Target]] = {str(made.name): made for made in _ALL}  # type: ignore[attr-defined]
