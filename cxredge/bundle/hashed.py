"""A bundle whose bytes are hashed before they are read, and that gives no other bytes afterwards.

What was checked must be what is used, even where somebody writes into the file meanwhile: a `.cxr` file is opened once
and each block is compared with what was hashed whenever it is read; of a folder, the bytes of the manifest that were
hashed are the ones that are parsed, and they hold the hashes of all other files.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cxredge.bundle.archive import ArchiveStore, FolderStore, Store, is_folder
from cxredge.bundle.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES
from cxredge.errors import BundleError, Code

if TYPE_CHECKING:
    from typing import BinaryIO

    from _typeshed import WriteableBuffer

    from cxredge.bundle.signature import Form

__all__ = ["HashedArchive", "HashedFile", "HashedFolder", "hash_bundle"]

BLOCK = 1 << 16


class HashedFile(io.RawIOBase):
    """A file that was hashed from start to end; a block that is another when it is read later is refused.

    Attributes:
        sha256: of the whole file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0
        whole, blocks = hashlib.sha256(), []
        while block := file.read(BLOCK):
            whole.update(block)
            blocks.append(hashlib.sha256(block).digest())
        self.sha256 = whole.hexdigest()
        self._size, self._blocks = file.tell(), tuple(blocks)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be sought in."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place counted from the start, from here or from the end that the file had."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("before the start of the file")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """The place."""
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read to the end of a block at most.

        Raises:
            BundleError: SIGNATURE_WRONG, where the block is not what was hashed.
        """
        number, skip = divmod(self._at, BLOCK)
        if number >= len(self._blocks):
            return 0
        self._file.seek(number * BLOCK)
        block = self._file.read(BLOCK)
        if hashlib.sha256(block).digest() != self._blocks[number]:
            raise BundleError(Code.SIGNATURE_WRONG, "the file changed while it was read")
        view = memoryview(buffer).cast("B")
        piece = block[skip : skip + len(view)]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        """Close the file below."""
        self._file.close()
        super().close()


class HashedArchive:
    """A `.cxr` file of which nothing is known but its bytes. Close it where it is not opened."""

    form: Form = "archive"

    def __init__(self, path: Path) -> None:
        self._file = HashedFile(path.open("rb"))
        self.sha256 = self._file.sha256

    def open(self) -> Store:
        """Read its directory; the store then owns the file."""
        return ArchiveStore(io.BufferedReader(self._file, BLOCK))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class HashedFolder(FolderStore):
    """A folder that always gives the bytes of its manifest that were hashed, whatever lies there later."""

    form: Form = "manifest"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if MANIFEST_NAME not in self.names():
            raise BundleError(Code.BUNDLE_FILE_MISSING, MANIFEST_NAME)
        if self.size(MANIFEST_NAME) > MAX_MANIFEST_BYTES:
            raise BundleError(Code.BUNDLE_INVALID, "the manifest is too large")
        self._manifest = b"".join(super().chunks(MANIFEST_NAME))
        self.sha256 = hashlib.sha256(self._manifest).hexdigest()

    def chunks(self, name: str) -> Iterator[bytes]:
        """One file's bytes, a piece at a time."""
        return iter((self._manifest,)) if name == MANIFEST_NAME else super().chunks(name)

    def open(self) -> Store:
        """Itself: only its manifest is parsed, and by others."""
        return self


def hash_bundle(path: Path) -> HashedArchive | HashedFolder:
    """Hash the bundle at `path`; nothing in it is parsed.

    Raises:
        BundleError: BUNDLE_NOT_FOUND; of a folder BUNDLE_FILE_MISSING or BUNDLE_INVALID for a manifest that is missing
            or too large, BUNDLE_FILE_EXTRA or BUNDLE_PATH for entries that are no plain files.
    """
    try:
        return HashedFolder(path) if is_folder(path) else HashedArchive(path)
    except OSError as error:
        raise BundleError(Code.BUNDLE_NOT_FOUND, f"it cannot be read: {error.strerror}") from None
