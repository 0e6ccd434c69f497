"""Compiled graphs, kept between runs, and never trusted blindly.

An entry is a stamp `KEY.json` and the artefact that it names. The key is the hash of everything the artefact depends
on; the stamp repeats those facts and holds the artefact's hash. An entry that does not fit is thrown away and built
again. The stamp is written last and in one step, so an interrupted writer leaves no entry.

The folder is as trustworthy as the user's account: whoever can write there can already run programs as that user.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["Cache", "default_folder", "file_sha256"]

_LOG = logging.getLogger("cxredge.engines")
_KEEP = 64  # entries; the least recently used go first
_CHUNK = 1 << 20


def default_folder() -> Path:
    """CXREDGE_CACHE, else the system's place for caches, else a folder among the temporary files."""
    named = os.environ.get("CXREDGE_CACHE")
    if named:
        return Path(named)
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            return (Path(local) if local else Path.home() / "AppData" / "Local") / "cxredge" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "cxredge"
        base = os.environ.get("XDG_CACHE_HOME", "")
        return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "cxredge"
    except RuntimeError:  # a service account without a home
        return Path(tempfile.gettempdir()) / "cxredge-cache"


def file_sha256(path: Path) -> str:
    """The hash of a file, read a piece at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def key_of(facts: Mapping[str, Any]) -> str:
    """The name of an entry that depends on these facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()[:40]


class Cache:
    """A folder of compiled graphs. Several processes may use one at the same time."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else Path(folder)

    def find(self, facts: Mapping[str, Any]) -> Path | None:
        """The artefact that was built for exactly these facts, or None; a damaged entry is removed."""
        key = key_of(facts)
        stamp = self._stamp(key)
        if stamp is None:
            return None
        try:
            artefact = self.folder / str(stamp["artefact"])
            if artefact.parent != self.folder or stamp["facts"] != dict(facts):
                raise ValueError("the stamp is of something else")
            if file_sha256(artefact) != stamp["sha256"]:
                raise ValueError("the artefact was changed")
        except (OSError, KeyError, TypeError, ValueError) as error:
            _LOG.warning("a damaged entry of the engine cache is built again: %s (%s)", key, type(error).__name__)
            self.drop(facts)
            return None
        with suppress(OSError):
            os.utime(self.folder / f"{key}.json")
        return artefact

    def _stamp(self, key: str) -> dict[str, Any] | None:
        try:
            text = (self.folder / f"{key}.json").read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError):
            return {}
        try:
            stamp = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def drop(self, facts: Mapping[str, Any]) -> None:
        """Forget an entry."""
        key = key_of(facts)
        self._remove(f"{key}.json")
        self._remove_artefacts(key, keep=None)

    def store(self, facts: Mapping[str, Any], artefact: Path) -> Path:
        """Move a new artefact in; gives where it lies now, which is where it was if the folder cannot be written."""
        key, sha256 = key_of(facts), file_sha256(artefact)
        name = f"{key}.{sha256[:16]}{artefact.suffix}"
        stamp = {"artefact": name, "sha256": sha256, "facts": dict(facts)}
        try:
            artefact.replace(self.folder / name)
            self.write_json(key, stamp)
        except OSError as error:
            self._complain(error)
            return artefact if artefact.exists() else self.folder / name
        self._remove_artefacts(key, keep=name)
        self._prune()
        return self.folder / name

    def read_json(self, key: str) -> dict[str, Any] | None:
        """A small remembered object, or None when there is none that can be read."""
        return self._stamp(key) or None

    def write_json(self, key: str, value: Mapping[str, Any]) -> None:
        """Remember a small object, in one step.

        Raises:
            OSError: when the folder cannot be written.
        """
        handle, scratch = tempfile.mkstemp(prefix=".stamp-", dir=self.folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(value, file, indent=1, sort_keys=True)
            Path(scratch).replace(self.folder / f"{key}.json")
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise

    def keep_log(self, facts: Mapping[str, Any], log: Path) -> Path | None:
        """Keep the child's log beside the entry; where it lies, or None."""
        target = self.folder / f"{key_of(facts)}.log"
        try:
            shutil.copyfile(log, target)
        except OSError:
            return None
        return target

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """An empty folder to build in, on the same disk as the cache where that can be written; removed afterwards."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".build-", dir=self.folder))
        except OSError as error:
            self._complain(error)
            scratch = Path(tempfile.mkdtemp(prefix="cxredge-build-"))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _complain(self, error: OSError) -> None:
        _LOG.warning(
            "the engine cache %s cannot be written (%s): every start compiles again; set CXREDGE_CACHE",
            self.folder,
            error.strerror,
        )

    def _remove(self, name: str) -> None:
        with suppress(OSError):  # another process may have it open on Windows, or have removed it
            (self.folder / name).unlink()

    def _remove_artefacts(self, key: str, keep: str | None) -> None:
        with suppress(OSError):
            for path in list(self.folder.glob(f"{key}.*")):
                if path.name != keep and path.suffix not in (".json", ".log"):
                    self._remove(path.name)

    def _prune(self) -> None:
        with suppress(OSError):
            stamps = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in stamps[_KEEP:]:
                self._remove(old.name)
                self._remove(f"{old.stem}.log")
                self._remove_artefacts(old.stem, keep=None)
