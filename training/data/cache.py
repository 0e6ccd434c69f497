"""Planes and masks of a collection, made once and mapped into memory: an epoch opens no image file.

A cache is a folder of plain files. `entries.bin` holds a record a case: whether it is there, what its source was (size
and time of change of every file), and the check sum of what was stored. A record is written after its data, so a build
that was killed goes on where it was; data that does not match its sum is made again, when it is read at the latest.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import cxredge
from cxredge import native
from cxredge.pixels import Geometry, Percentiles
from training.data.cases import Case, Collection
from training.data.planes import plane_of, planes_of_masks
from training.errors import DataError, Problem, bad

__all__ = ["PlaneCache"]

SCHEMA = "cxredge.planes/1"

_ENTRY = np.dtype([("done", "u1"), ("source", "<u8"), ("plane", "<u4"), ("masks", "<u4")])
_CHUNK = 8  # cases that a process is given at once
_SHOWN = 10  # errors that a message lists
_FEW = 512  # below this, starting processes takes longer than the work

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where everything of a cache is, and how large: all that a building process must know."""

    folder: Path
    count: int
    geometry: Geometry
    masks_size: tuple[int, int]
    percentiles: Percentiles
    outlined: bool  # whether any case has masks

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the mapped files."""
        return ("entries", "planes", "masks") if self.outlined else ("entries", "planes")

    def map(self, name: str, mode: str) -> npt.NDArray[Any]:
        """One file of the cache, mapped."""
        shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
            "entries": (_ENTRY, (self.count,)),
            "planes": (np.dtype("<u2"), (self.count, self.geometry.rows, self.geometry.columns)),
            "masks": (np.dtype("u1"), (self.count, 3, *self.masks_size)),
        }
        dtype, shape = shapes[name]
        return np.memmap(self.folder / f"{name}.bin", dtype, mode, shape=shape)  # type: ignore[call-overload, no-any-return]


class PlaneCache:
    """The planes of a collection for one geometry. Made by `build`; safe to hand to processes that load data.

    Attributes:
        folder: where it is.
        geometry: of the planes.
        percentiles: the fallback window of files that have none.
        masks_size: rows and columns of the masks.
    """

    def __init__(self, layout: _Layout, collection: Collection) -> None:
        self._layout, self._collection = layout, collection
        self._maps: dict[str, npt.NDArray[Any]] = {}
        self.folder, self.geometry = layout.folder, layout.geometry
        self.percentiles, self.masks_size = layout.percentiles, layout.masks_size

    @classmethod
    def build(
        cls,
        collection: Collection,
        folder: Path,
        *,
        geometry: Geometry,
        percentiles: Percentiles = Percentiles(),  # noqa: B008 - frozen
        masks_size: tuple[int, int] | None = None,
        workers: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        verify: bool = False,
    ) -> PlaneCache:
        """Open the collection's cache below `folder`, and make what of it is missing or no longer true.

        Args:
            collection: whose images.
            folder: of all caches; each gets a folder of its own, named after the collection and a key made of the
                geometry, the percentiles, the versions of cxredge and its C core, and the images' paths.
            geometry: of the planes.
            percentiles: what becomes 0 and 1 in files without a window.
            masks_size: rows and columns of the masks; half the plane's by default.
            workers: processes; by default the machine's, 0 for few images. 0 works in this process.
            progress: told how many cases are done, of how many.
            verify: read every entry and compare its check sum, and not only when it is used.

        Raises:
            DataError: images that cannot be used. All others are cached first; the message names each, up to ten.
        """
        size = masks_size or (max(1, geometry.rows // 2), max(1, geometry.columns // 2))
        layout = _prepared(collection, Path(folder), geometry, percentiles, size)
        cache = cls(layout, collection)
        sources = _sources(collection)
        todo = cache._stale(sources, verify=verify)
        if progress:
            progress(len(collection.cases) - len(todo), len(collection.cases))
        if todo:
            cache._fill(todo, sources, _workers(workers, len(todo)), progress)
        return cache

    def __len__(self) -> int:
        return self._layout.count

    def __getstate__(self) -> dict[str, Any]:
        """Maps stay behind: another process opens its own."""
        return self.__dict__ | {"_maps": {}}

    def plane(self, index: int) -> npt.NDArray[np.float32]:
        """The plane of a case: float32 (rows, columns) in 0..1, to 1/65535."""
        stored = self._checked("planes", "plane", index)
        return stored.astype(np.float32) * np.float32(1 / 65535)

    def masks(self, index: int) -> tuple[npt.NDArray[np.float32], tuple[bool, bool, bool]]:
        """The masks of a case, float32 (3, h, w) in 0..1 to 1/255, and which can be learned from; the others are 0."""
        source = self._collection.cases[index].masks
        if source is None:
            return np.zeros((3, *self.masks_size), np.float32), (False, False, False)
        stored = self._checked("masks", "masks", index)
        return stored.astype(np.float32) * np.float32(1 / 255), source.learnable

    def _map(self, name: str) -> npt.NDArray[Any]:
        if name not in self._maps:
            self._maps[name] = self._layout.map(name, "r+")
        return self._maps[name]

    def _checked(self, name: str, record: str, index: int) -> npt.NDArray[Any]:
        stored: npt.NDArray[Any] = np.array(self._map(name)[index])
        if _sum(stored) != self._map("entries")[record][index]:
            # Seen on disks that filled up and on machines that lost power. The image itself is still there.
            _log.warning("%s: entry %d was damaged and is made again", self.folder, index)
            case = self._collection.cases[index]
            _store(self._layout, self._map, index, case, _source(case))
            stored = np.array(self._map(name)[index])
        return stored

    def _stale(self, sources: Sequence[int], *, verify: bool) -> list[int]:
        entries = self._map("entries")
        good = (entries["done"] == 1) & (entries["source"] == np.array(sources, np.uint64))
        if verify:
            for index in np.flatnonzero(good).tolist():
                same = _sum(self._map("planes")[index]) == entries["plane"][index]
                if self._collection.cases[index].masks is not None:
                    same &= _sum(self._map("masks")[index]) == entries["masks"][index]
                good[index] = same
        found: list[int] = np.flatnonzero(~good).tolist()
        return found

    def _fill(
        self, todo: Sequence[int], sources: Sequence[int], workers: int, progress: Callable[[int, int], None] | None
    ) -> None:
        jobs = [(index, self._collection.cases[index], sources[index]) for index in todo]
        made, errors = len(self) - len(todo), []  # type: int, list[DataError]
        for done, found in _here(self._layout, jobs) if workers == 0 else _spread(self._layout, jobs, workers):
            errors += found
            made += done
            if progress:
                progress(made, len(self))
        if errors:
            raise _joined(errors, len(self))


def _prepared(
    collection: Collection, folder: Path, geometry: Geometry, percentiles: Percentiles, masks_size: tuple[int, int]
) -> _Layout:
    """The cache's folder with its files, empty if it is new."""
    count = len(collection.cases)
    facts = {
        "schema": SCHEMA,
        "cxredge": cxredge.__version__,
        "core": native.version(),
        "geometry": [geometry.rows, geometry.columns, geometry.fit],
        "percentiles": [percentiles.low, percentiles.high],
        "masks": list(masks_size),
        "cases": count,
        "paths": _paths_hash(collection),
    }
    if any(case.masks is not None and case.masks.guess_heart for case in collection.cases):
        facts["hearts"] = "guessed"
    if min(geometry.rows, geometry.columns, *masks_size) < 1:
        raise bad("a plane and its masks have at least one pixel")
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    name = "".join(letter if letter.isalnum() else "-" for letter in collection.name.split(" (")[0].lower())
    final = folder / f"{name}-{geometry.rows}x{geometry.columns}-{key}"
    outlined = any(case.masks is not None for case in collection.cases)
    layout = _Layout(final, count, geometry, masks_size, percentiles, outlined)
    if not _is_whole(layout, facts):
        _create(layout, facts)
    return layout


def _paths_hash(collection: Collection) -> str:
    names = "\n".join(collection.relative(case) for case in collection.cases)
    return hashlib.sha256(names.encode()).hexdigest()


def _is_whole(layout: _Layout, facts: dict[str, Any]) -> bool:
    try:
        same: bool = json.loads((layout.folder / "cache.json").read_text(encoding="utf-8")) == facts
        for name in layout.files:
            layout.map(name, "r")
    except (OSError, ValueError):
        return False
    return same


def _create(layout: _Layout, facts: dict[str, Any]) -> None:
    """Make the empty files beside, and move them into place at once."""
    fresh = layout.folder.with_name(f".{layout.folder.name}.{secrets.token_hex(4)}")
    try:
        fresh.mkdir(parents=True)
        for name in layout.files:
            _reserve(fresh / f"{name}.bin", replace(layout, folder=fresh).map(name, "w+").nbytes)
        (fresh / "cache.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
        if layout.folder.exists():
            shutil.rmtree(layout.folder)
        fresh.replace(layout.folder)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if _is_whole(layout, facts):
            return  # another process made it meanwhile
        raise DataError(Problem.CACHE, f"the cache cannot be made: {error.strerror}", file=layout.folder) from error


def _reserve(file: Path, size: int) -> None:
    """Take the room on the disk now: a mapped file that finds none later ends the process without a word."""
    free = shutil.disk_usage(file.parent).free
    if size > free:
        raise OSError(errno.ENOSPC, f"it takes {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, size)


def _sources(collection: Collection) -> list[int]:
    """What every case's files are like now; a missing one is named with its line."""
    return [_source(case) for case in collection.cases]


def _source(case: Case) -> int:
    """A number that changes with the size or the time of change of any of the case's files."""
    digest = hashlib.sha256()
    for path in (case.path, *(case.masks.files if case.masks else ())):
        try:
            state = path.stat()
        except OSError:
            problem = Problem.MISSING_IMAGE if path == case.path else Problem.MISSING_MASK
            raise Collection.error(problem, f"{path} is not there", case) from None
        digest.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return int.from_bytes(digest.digest()[:8], "little")


def _workers(asked: int | None, count: int) -> int:
    if asked is not None:
        if asked < 0:
            raise bad("workers must not be negative")
        return asked
    return 0 if count < _FEW else min(os.cpu_count() or 1, 16)


def _sum(data: npt.NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(data).data)


def _store(layout: _Layout, opened: Callable[[str], npt.NDArray[Any]], index: int, case: Case, source: int) -> None:
    """Make one entry, and only then record it."""
    entries = opened("entries")
    entries["done"][index] = 0
    plane = np.rint(plane_of(case, layout.geometry, layout.percentiles) * np.float32(65535)).astype("<u2")
    opened("planes")[index] = plane
    sums = [_sum(plane), 0]
    if case.masks is not None:
        grid = Geometry(*layout.masks_size, layout.geometry.fit)
        masks = np.rint(planes_of_masks(case, grid) * np.float32(255)).astype("u1")
        opened("masks")[index] = masks
        sums[1] = _sum(masks)
    entries[index] = (1, source, *sums)


_Job = tuple[int, Case, int]
_maps: dict[tuple[Path, str], npt.NDArray[Any]] = {}  # of a building process


def _work(layout: _Layout, jobs: Sequence[_Job]) -> tuple[int, list[DataError]]:
    """Make some entries; what cannot be made is told, and the rest goes on."""

    def opened(name: str) -> npt.NDArray[Any]:
        key = (layout.folder, name)
        if key not in _maps:
            _maps[key] = layout.map(name, "r+")
        return _maps[key]

    errors = []
    for index, case, source in jobs:
        try:
            _store(layout, opened, index, case, source)
        except DataError as error:
            errors.append(error)
    return len(jobs) - len(errors), errors


def _here(layout: _Layout, jobs: Sequence[_Job]) -> Iterator[tuple[int, list[DataError]]]:
    try:
        for chunk in _chunks(jobs):
            yield _work(layout, chunk)
    finally:
        for key in [key for key in _maps if key[0] == layout.folder]:
            del _maps[key]


def _spread(layout: _Layout, jobs: Sequence[_Job], workers: int) -> Iterator[tuple[int, list[DataError]]]:
    """Over processes that are started afresh (not forked: threads of torch or of an engine may be running here)."""
    chunks = _chunks(jobs)
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        waiting: set[Future[tuple[int, list[DataError]]]] = set()
        while True:
            waiting |= {pool.submit(_work, layout, chunk) for chunk in islice(chunks, 3 * workers - len(waiting))}
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool:
        detail = "a process that made planes ended by itself: is there enough memory? What was made is kept"
        raise DataError(Problem.CACHE, detail, file=layout.folder) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(jobs: Iterable[_Job]) -> Iterator[list[_Job]]:
    rest = iter(jobs)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _joined(errors: Sequence[DataError], count: int) -> DataError:
    """One error of all of them, in the order of the table."""
    ordered = sorted(errors, key=lambda error: (str(error.file), error.row or 0))
    first = ordered[0]
    if len(ordered) == 1:
        return first
    rest = "; ".join(error.message for error in ordered[1:_SHOWN])
    more = f"; and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    detail = f"{first.detail} ({len(ordered)} of {count} images cannot be used; the others: {rest}{more})"
    return DataError(first.problem, detail, file=first.file, row=first.row, code=first.code)
