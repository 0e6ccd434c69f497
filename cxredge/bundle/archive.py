"""Where a bundle's bytes are: a folder, or a `.cxr` archive (a ZIP file without compression).

The archive reader is its own, not `zipfile`: a ZIP file can say one thing in its directory and another in its members,
hold members twice or bytes that belong to no member. Here every byte of the file must belong to exactly one member or
to the directory, and both must agree (APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16).
"""

from __future__ import annotations

import os
import stat
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from cxredge.bundle.manifest import check_name
from cxredge.errors import BundleError, Code

__all__ = ["ArchiveStore", "FolderStore", "Store", "is_folder", "open_store", "write_archive"]

CHUNK = 1 << 20
MAX_MEMBERS = 256

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_UTF8 = 0x800
_TIME, _DATE = 0, 0x21  # 1980-01-01 00:00: the same files give the same archive
_TIMESTAMP_EXTRAS = {0x5455, 0x7875, 0x000A}  # times and owners that zip programs add


class Store(Protocol):
    """A flat set of named files."""

    def names(self) -> tuple[str, ...]:
        """The files that are there, sorted."""

    def size(self, name: str) -> int:
        """Bytes of one file."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """One file's bytes, a piece at a time."""

    def close(self) -> None:
        """Let go of the file handle."""


def open_store(path: Path) -> Store:
    """The folder or archive at `path`.

    Raises:
        BundleError: BUNDLE_NOT_FOUND, BUNDLE_PATH (a link or a special file), BUNDLE_ARCHIVE, BUNDLE_FILE_EXTRA.
    """
    try:
        return FolderStore(path) if is_folder(path) else ArchiveStore(path)
    except OSError as error:
        raise BundleError(Code.BUNDLE_NOT_FOUND, f"it cannot be read: {error.strerror}") from None


def is_folder(path: Path) -> bool:
    """Whether the bundle at `path` is a folder; else it is a file.

    Raises:
        BundleError: BUNDLE_NOT_FOUND where it is neither.
    """
    if path.is_dir():
        return True
    if path.is_file():
        return False
    raise BundleError(Code.BUNDLE_NOT_FOUND, f"{path} is neither a folder nor a file")


class FolderStore:
    """A bundle as a folder of plain files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes = {entry.name: _plain_size(entry) for entry in os.scandir(folder)}

    def names(self) -> tuple[str, ...]:
        """The files that are there, sorted."""
        return tuple(sorted(self._sizes))

    def size(self, name: str) -> int:
        """Bytes of one file when the bundle was opened."""
        return self._sizes[name]

    def chunks(self, name: str) -> Iterator[bytes]:
        """One file's bytes, a piece at a time."""
        try:
            with (self._folder / name).open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except OSError as error:
            raise BundleError(Code.BUNDLE_FILE_MISSING, f"{name} cannot be read: {error.strerror}") from None

    def close(self) -> None:
        """Nothing is held open."""


def _plain_size(entry: os.DirEntry[str]) -> int:
    facts = entry.stat(follow_symlinks=False)
    # Junctions and other reparse points of Windows are links too.
    reparse = getattr(facts, "st_file_attributes", 0) & getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0x400)
    if stat.S_ISLNK(facts.st_mode) or reparse:
        raise BundleError(Code.BUNDLE_PATH, f"{entry.name} is a link")
    if stat.S_ISDIR(facts.st_mode):
        raise BundleError(Code.BUNDLE_FILE_EXTRA, f"{entry.name} is a folder")
    if not stat.S_ISREG(facts.st_mode):
        raise BundleError(Code.BUNDLE_PATH, f"{entry.name} is not a plain file")
    return facts.st_size


class _Member(NamedTuple):
    name: str
    raw_name: bytes
    flags: int
    crc: int
    size: int
    header: int  # where its local header starts
    start: int  # where its bytes start


class ArchiveStore:
    """A bundle as one `.cxr` file, by its path or as an open file. Reading is safe from several threads."""

    def __init__(self, source: Path | BinaryIO) -> None:
        self._lock = threading.Lock()
        self._file = source.open("rb") if isinstance(source, Path) else source
        try:
            self._members = _read_directory(self._file)
        except struct.error:
            self._file.close()
            raise _bad("it is cut short") from None
        except BaseException:
            self._file.close()
            raise

    def names(self) -> tuple[str, ...]:
        """The members, sorted."""
        return tuple(sorted(self._members))

    def size(self, name: str) -> int:
        """Bytes of one member."""
        return self._members[name].size

    def chunks(self, name: str) -> Iterator[bytes]:
        """One member's bytes, a piece at a time; its checksum is compared at the end."""
        member, crc, done = self._members[name], 0, 0
        while done < member.size:
            chunk = self._piece(member.start + done, min(CHUNK, member.size - done))
            if not chunk:
                raise _bad(f"{name} is cut short")
            crc, done = zlib.crc32(chunk, crc), done + len(chunk)
            yield chunk
        if crc != member.crc:
            raise BundleError(Code.BUNDLE_HASH, f"{name}: the archive's checksum differs")

    def _piece(self, start: int, size: int) -> bytes:
        try:
            with self._lock:
                self._file.seek(start)
                return self._file.read(size)
        except (OSError, ValueError) as error:  # ValueError: the bundle was closed
            raise _bad(f"it cannot be read: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _bad(detail: str) -> BundleError:
    return BundleError(Code.BUNDLE_ARCHIVE, detail)


def _read_directory(file: BinaryIO) -> dict[str, _Member]:
    total = file.seek(0, os.SEEK_END)
    if total < _END.size:
        raise _bad("it is too short to be an archive")
    file.seek(total - _END.size)
    magic, disk, start_disk, here, count, size, offset, comment = _END.unpack(file.read(_END.size))
    if magic != b"PK\5\6" or comment:
        raise _bad("it does not end with a ZIP directory, or has a comment or bytes after it")
    if disk or start_disk or here != count or count > MAX_MEMBERS:
        raise _bad("it is split, or has too many members")
    if offset + size != total - _END.size:
        raise _bad("bytes lie between its directory and its end")
    file.seek(offset)
    members = list(_central_entries(file.read(size), count))
    _check_layout(file, members, offset)
    return _by_name(members)


def _central_entries(data: bytes, count: int) -> Iterator[_Member]:
    at = 0
    for _ in range(count):
        fields = _CENTRAL.unpack_from(data, at)
        magic, _made, _needs, flags, method, _time, _date, crc, packed, size = fields[:10]
        name_size, extra_size, comment, disk, _internal, external, header = fields[10:]
        if magic != b"PK\1\2" or comment or disk:
            raise _bad("its directory is damaged")
        at += _CENTRAL.size
        raw_name, extra = data[at : at + name_size], data[at + name_size : at + name_size + extra_size]
        at += name_size + extra_size
        name = _member_name(raw_name, flags)
        _check_kind(name, flags, method, external)
        _check_extra(name, extra, extra_size)
        if packed != size:
            raise _bad(f"{name} has two sizes")
        yield _Member(name, raw_name, flags, crc, size, header, -1)
    if at != len(data):
        raise _bad("bytes lie after the last entry of its directory")


def _member_name(raw: bytes, flags: int) -> str:
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise BundleError(Code.BUNDLE_PATH, "a member's name is not text") from None
    check_name(name)
    return name


def _check_kind(name: str, flags: int, method: int, external: int) -> None:
    if flags & 1:
        raise _bad(f"{name} is encrypted")
    if method:
        raise _bad(f"{name} is compressed")
    if flags & ~_UTF8:
        raise _bad(f"{name} uses a feature of ZIP that is not allowed")
    mode = external >> 16
    if stat.S_ISLNK(mode):
        raise BundleError(Code.BUNDLE_PATH, f"{name} is a link")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or external & 0x10:
        raise BundleError(Code.BUNDLE_PATH, f"{name} is not a plain file")


def _check_extra(name: str, extra: bytes, size: int) -> None:
    if len(extra) != size:
        raise _bad("it is cut short")
    at = 0
    while at < size:
        kind, length = struct.unpack_from("<HH", extra, at)
        at += 4 + length
        if kind not in _TIMESTAMP_EXTRAS or at > size:
            raise _bad(f"{name} has an extra field that is not allowed")


def _check_layout(file: BinaryIO, members: list[_Member], directory: int) -> None:
    """Every member starts where the one before ended, and the last ends at the directory."""
    members.sort(key=lambda member: member.header)
    at = 0
    for index, member in enumerate(members):
        if member.header != at:
            raise _bad(f"{member.name} overlaps another member, or bytes lie before it")
        start = at + _check_local(file, member)
        members[index] = member._replace(start=start)
        at = start + member.size
        if at > directory:
            raise _bad(f"{member.name} reaches into the directory")
    if at != directory:
        raise _bad("bytes lie between the last member and the directory")


def _check_local(file: BinaryIO, member: _Member) -> int:
    """Compare the member's own header with the directory; gives the header's length."""
    file.seek(member.header)
    fields = _LOCAL.unpack(file.read(_LOCAL.size))
    magic, _needs, flags, method, _time, _date, crc, packed, size, name_size, extra_size = fields
    if (magic, flags, method, crc, packed, size) != (b"PK\3\4", member.flags, 0, member.crc, member.size, member.size):
        raise _bad(f"{member.name}: its header and the directory disagree")
    if file.read(name_size) != member.raw_name:
        raise _bad(f"{member.name}: its header and the directory disagree on the name")
    _check_extra(member.name, file.read(extra_size), extra_size)
    return _LOCAL.size + int(name_size) + int(extra_size)


def _by_name(members: list[_Member]) -> dict[str, _Member]:
    if len({member.name.lower() for member in members}) != len(members):
        raise _bad("a name stands twice")
    return {member.name: member for member in members}


def write_archive(file: BinaryIO, contents: dict[str, Path]) -> None:
    """Write the files as a `.cxr` archive; the same contents always give the same bytes.

    Raises:
        BundleError: BUNDLE_ARCHIVE when it would pass 4 GiB, which the format does not hold.
    """
    directory = b""
    for name in sorted(contents):
        offset, raw_name = file.tell(), name.encode("ascii")
        crc, size = _crc(contents[name])
        if offset + size + (1 << 20) > 0xFFFFFFFF:
            raise _bad("it would be larger than 4 GiB; keep the bundle as a folder")
        file.write(_LOCAL.pack(b"PK\3\4", 20, 0, 0, _TIME, _DATE, crc, size, size, len(raw_name), 0) + raw_name)
        with contents[name].open("rb") as source:
            while chunk := source.read(CHUNK):
                file.write(chunk)
        mode = (stat.S_IFREG | 0o644) << 16
        head = (b"PK\1\2", (3 << 8) | 20, 20, 0, 0, _TIME, _DATE, crc, size, size, len(raw_name))
        directory += _CENTRAL.pack(*head, 0, 0, 0, 0, mode, offset) + raw_name
    offset = file.tell()
    file.write(directory)
    file.write(_END.pack(b"PK\5\6", 0, 0, len(contents), len(contents), len(directory), offset, 0))


def _crc(path: Path) -> tuple[int, int]:
    crc = size = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
    return crc, size
