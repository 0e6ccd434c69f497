"""What every reader starts from and ends with: the bytes of a source, the limits, and a checked radiograph."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from cxredge.errors import Code, CxredgeError, InputError
from cxredge.pixels import PixelDescription
from cxredge.result import InputFacts, Notice

__all__ = ["Blob", "Buffer", "BytesBlob", "Decoded", "FileBlob", "Limits", "Radiograph", "read_all", "typed_errors"]

Buffer = bytes | bytearray | memoryview
"""Stored pixels as they go to the C core: C-contiguous bytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest input that is accepted; all are checked before memory is taken for it.

    Attributes:
        max_rows: rows of the image.
        max_columns: columns of the image.
        max_pixels: rows times columns.
        max_file_bytes: of the file.
        max_unpacked_bytes: of the stored pixels once decompressed, and of what a deflated data set inflates to.
        max_elements: attributes and items of the header, those of sequences included.
    """

    max_rows: int = 20_000
    max_columns: int = 20_000
    max_pixels: int = 50_000_000
    max_file_bytes: int = 1 << 30
    max_unpacked_bytes: int = 1 << 27
    max_elements: int = 100_000

    def check_size(self, rows: int, columns: int) -> None:
        """Raise TOO_LARGE where an image of that size is over the limits."""
        if rows > self.max_rows or columns > self.max_columns or rows * columns > self.max_pixels:
            raise InputError(Code.TOO_LARGE, f"{rows} x {columns} pixels", tag="(0028,0010)")

    def check_bytes(self, count: int) -> None:
        """Raise TOO_LARGE where so many bytes are over the limit."""
        if count > self.max_file_bytes:
            raise InputError(Code.TOO_LARGE, f"over {self.max_file_bytes} bytes")

    def check_unpacked(self, count: int) -> None:
        """Raise TOO_LARGE where so many bytes are over what may be unpacked."""
        if count > self.max_unpacked_bytes:
            raise InputError(Code.TOO_LARGE, f"over {self.max_unpacked_bytes} bytes unpacked")


class Blob(Protocol):
    """Bytes that can be read from the start, more than once."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def open(self) -> BinaryIO:
        """A seekable binary file at its start; the caller closes it."""


@dataclass(frozen=True, slots=True)
class BytesBlob:
    """Bytes in memory."""

    data: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self.data)

    def open(self) -> BinaryIO:
        """A view of the bytes; nothing is copied."""
        return io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class FileBlob:
    """A file on disk, held by its path: no handle stays open between two reads."""

    path: Path
    size: int
    modified_ns: int

    @staticmethod
    def of(path: Path) -> FileBlob:
        """The file as it is now.

        Raises:
            InputError: FILE_NOT_FOUND, or FILE_UNREADABLE for a folder, a device or a file without permission.
        """
        with _file_errors():
            state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise InputError(Code.FILE_UNREADABLE, "a folder" if stat.S_ISDIR(state.st_mode) else "not a regular file")
        return FileBlob(path, state.st_size, state.st_mtime_ns)

    def open(self) -> BinaryIO:
        """The file, at its start.

        Raises:
            InputError: FILE_CHANGED where it is no longer the file that was first seen.
        """
        with _file_errors():
            file = self.path.open("rb")
            state = os.fstat(file.fileno())
        if (state.st_size, state.st_mtime_ns) != (self.size, self.modified_ns):
            file.close()
            raise InputError(Code.FILE_CHANGED)
        return file


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """The stored pixels of one image, and how to read them.

    Attributes:
        description: of the decoded pixels; rows and columns are smaller than the image's after a reduced decode.
        chunks: the bytes of the rows, in order, cut anywhere. Iterate once; a buffer is valid until the next one.
        warnings: what decoding found.
    """

    description: PixelDescription
    chunks: Iterable[Buffer]
    warnings: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Radiograph:
    """An input whose header has been read and checked; its pixels have not been touched.

    Attributes:
        facts: what is known of it.
        warnings: what the header gave reason to warn of.
        rows: the image's own height in pixels.
        columns: the image's own width in pixels.
    """

    facts: InputFacts
    warnings: tuple[Notice, ...]
    rows: int
    columns: int
    decoder: Callable[[tuple[int, int] | None], Decoded] = field(repr=False)

    def decode(self, at_least: tuple[int, int] | None = None) -> Decoded:
        """Read the pixels. May be called more than once.

        Args:
            at_least: the fewest rows and columns that will do. Code streams that hold smaller resolutions
                (JPEG 2000, HTJ2K) are then decoded at the lowest that has as many. None decodes all.

        Raises:
            InputError: the pixels cannot be read; `code` says why. For raw pixels this may also come while
                `chunks` is iterated.
        """
        return self.decoder(at_least)


@contextmanager
def _file_errors() -> Iterator[None]:
    """Errors of the file system as typed errors; a path may name a patient, so it is not in the message."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(Code.FILE_NOT_FOUND) from None
    except OSError as error:
        raise InputError(Code.FILE_UNREADABLE, error.strerror or type(error).__name__) from None
    except ValueError:  # a null character in the path
        raise InputError(Code.FILE_NOT_FOUND) from None


@contextmanager
def typed_errors(code: Code, detail: str, *, tag: str | None = None) -> Iterator[None]:
    """Whatever a foreign library raises becomes an InputError of that code.

    The foreign message is dropped with its traceback, as it may quote the file; the exception's type is kept.
    """
    try:
        yield
    except CxredgeError:
        raise
    except MemoryError:
        raise InputError(Code.OUT_OF_MEMORY, detail) from None
    except Exception as error:
        raise InputError(code, f"{detail}: {type(error).__name__}", tag=tag) from None


def read_all(file: BinaryIO, limits: Limits) -> bytes:
    """The rest of an open binary file.

    Raises:
        InputError: TOO_LARGE, or FILE_UNREADABLE where it cannot be read or gives text.
    """
    if getattr(file, "closed", False):
        raise InputError(Code.FILE_UNREADABLE, "the file object is closed")
    with _file_errors():
        pieces, total = [], 0
        while piece := file.read(1 << 20):
            if not isinstance(piece, bytes):
                raise InputError(Code.FILE_UNREADABLE, "opened as text, not binary")
            pieces.append(piece)
            total += len(piece)
            limits.check_bytes(total)
    return b"".join(pieces)
