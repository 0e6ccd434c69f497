"""What the node and its workers say to each other: one JSON object a line."""

from __future__ import annotations

from pathlib import Path
from typing import IO, cast

import msgspec

from cxredge.dicom_out import Kind
from cxredge.node.config import ModelChoice
from cxredge.node.images import State

__all__ = ["Answer", "Blocked", "Done", "Failed", "Order", "Ready", "Setup", "Unloadable", "decode", "read", "write"]


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="is"):
    """A line."""


class Setup(_Message, frozen=True, kw_only=True, tag="setup"):
    """The first thing that a worker is told: for whom it works, and with what."""

    parent: int
    spool: Path
    model: ModelChoice
    kinds: tuple[Kind, ...]


class Order(_Message, frozen=True, kw_only=True, tag="order"):
    """Analyse this image."""

    image: str


class Ready(_Message, frozen=True, kw_only=True, tag="ready"):
    """The model is loaded and has run once."""


class Unloadable(_Message, frozen=True, kw_only=True, tag="unloadable"):
    """The model cannot be loaded."""

    code: str
    detail: str = ""


class Done(_Message, frozen=True, kw_only=True, tag="done"):
    """The image is analysed, and its results are on disk: the objects of these kinds, or none."""

    state: State
    kinds: tuple[Kind, ...] = ()
    code: str | None = None
    reason: str | None = None


class Failed(_Message, frozen=True, kw_only=True, tag="failed"):
    """The image could not be analysed; `again` where another process may have more luck."""

    code: str
    reason: str
    again: bool


class Blocked(_Message, frozen=True, kw_only=True, tag="blocked"):
    """The results could not be written: no fault of the image's."""

    reason: str


Answer = Ready | Unloadable | Done | Failed | Blocked
_Any = Setup | Order | Answer


def write(stream: IO[bytes], message: _Any) -> None:
    """Send a message.

    Raises:
        OSError: nobody is there.
    """
    stream.write(msgspec.json.encode(message, enc_hook=str) + b"\n")
    stream.flush()


def decode(line: bytes) -> _Any:
    """The message of a line.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return cast("_Any", msgspec.json.decode(line, type=_Any, dec_hook=_path))


def read(stream: IO[bytes]) -> _Any | None:
    """The next message; None where the other side has gone."""
    line = stream.readline()
    return decode(line) if line.endswith(b"\n") else None


def _path(kind: type, value: object) -> object:
    return kind(value)
