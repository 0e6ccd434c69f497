"""The node's folder: images and results as files that are whole, or not there, whatever happened in between."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cxredge.errors import Code, CxredgeError

__all__ = ["Spool", "sync_folder"]

_SUFFIX = ".dcm"


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to disk: without it a rename may be undone by a power cut."""
    if os.name == "nt":  # Windows has no such call; its file systems journal names by themselves
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Spool:
    """Where images and results lie. File names are random identifiers: nothing of a patient is in any of them.

    incoming/ID.part      being received; swept when a node starts
    images/ab/ID.dcm      received and answered for
    results/ab/ID/sr.dcm  results, all of an image's or none
    node.db               the rows
    """

    def __init__(self, folder: Path) -> None:
        """Make what is missing; only the node's own user may read it.

        Raises:
            CxredgeError: SPOOL_UNUSABLE, with the system's reason.
        """
        self.folder = folder
        self.incoming = folder / "incoming"
        self._images = folder / "images"
        self._results = folder / "results"
        try:
            for place in (folder, self.incoming, self._images, self._results):
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            for place in (self._images, self._results):
                _divide(place)
        except OSError as error:
            raise CxredgeError(Code.SPOOL_UNUSABLE, f"{folder}: {error.strerror}") from error

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "node.db"

    @staticmethod
    def new_identifier() -> str:
        """A name for an image: random, 32 hexadecimal digits."""
        return secrets.token_hex(16)

    def part(self, identifier: str) -> Path:
        """Where an image is written while it is received."""
        return self.incoming / f"{identifier}.part"

    def image(self, identifier: str) -> Path:
        """Where an image lies once it is received."""
        return self._images / identifier[:2] / f"{identifier}{_SUFFIX}"

    def results(self, identifier: str) -> Path:
        """The folder of an image's results."""
        return self._results / identifier[:2] / identifier

    def keep(self, identifier: str, *, synced: bool = False) -> Path:
        """Turn the received part into the image, durably: its bytes, its name, its folder.

        Args:
            identifier: which.
            synced: whoever wrote it has flushed it, through the descriptor that it was written by.

        Raises:
            OSError: it is not on disk. The part may still be there, for the caller to remove.
        """
        final = self.image(identifier)
        if not synced:
            with self.part(identifier).open("rb+") as stream:
                os.fsync(stream.fileno())
        self.part(identifier).replace(final)
        try:
            sync_folder(final.parent)
        except OSError:
            with suppress(OSError):
                final.unlink()
            raise
        return final

    def put_results(self, identifier: str, files: Mapping[str, bytes]) -> list[Path]:
        """Write all results of an image, durably and at once; older ones of it are replaced.

        Raises:
            OSError: none of them is there.
        """
        final = self.results(identifier)
        temporary = final.with_name(f".{identifier}.part")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(mode=0o700)
            for name, data in files.items():
                with (temporary / name).open("wb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(stream.fileno())
            sync_folder(temporary)
            if final.exists():
                shutil.rmtree(final)
            temporary.replace(final)
            sync_folder(final.parent)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return [final / name for name in files]

    def result_files(self, identifier: str, kinds: Sequence[str]) -> list[Path]:
        """Those results of an image that are of these kinds and were made: an abstention has the report alone."""
        paths = [self.results(identifier) / f"{kind}{_SUFFIX}" for kind in kinds]
        return [path for path in paths if path.exists()]

    def move_image(self, identifier: str, other: str) -> None:
        """Give an image's file another identifier, durably."""
        source, final = self.image(identifier), self.image(other)
        source.replace(final)
        sync_folder(final.parent)
        sync_folder(source.parent)

    def forget_image(self, identifier: str) -> None:
        """Remove an image's file."""
        self.image(identifier).unlink(missing_ok=True)

    def forget_results(self, identifier: str) -> None:
        """Remove an image's results."""
        shutil.rmtree(self.results(identifier), ignore_errors=True)

    def sweep(self) -> int:
        """Remove what a stopped node left half-received; it was never answered for. Says how many files."""
        swept = 0
        for path in self.incoming.iterdir():
            with suppress(OSError):
                path.unlink()
                swept += 1
        return swept

    def identifiers(self) -> Iterator[str]:
        """The identifiers of all images that lie here."""
        for path in self._images.glob(f"*/*{_SUFFIX}"):
            yield path.stem

    def free_bytes(self) -> int:
        """The room that is left on the spool's disk for this user."""
        return shutil.disk_usage(self.folder).free


def _divide(folder: Path) -> None:
    """Make its 256 folders by the identifiers' first two digits, durably: none is made while an image waits for it."""
    made = [folder / f"{number:02x}" for number in range(256)]
    for place in made:
        place.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder)
