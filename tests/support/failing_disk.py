"""The nth write, sync, rename or creation of a file of another process fails: `failing_disk.c`, built and steered."""

from __future__ import annotations

import errno
import mmap
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

WRITE, SYNC, RENAME, CREATE, TRUNCATE = 1, 2, 4, 8, 16
ALL = WRITE | SYNC | RENAME | CREATE | TRUNCATE
_PAGE = struct.Struct("6i")
_SOURCE = Path(__file__).with_suffix(".c")


class FailingDisk:
    """Steers one process that was started with `environment`."""

    def __init__(self, folder: Path, build: Path) -> None:
        compiler = shutil.which("gcc")
        if compiler is None or not sys.platform.startswith("linux"):
            pytest.skip("a preloaded library needs Linux and gcc")
        library, page = build / "failing_disk.so", build / "failing_disk.page"
        command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        page.write_bytes(bytes(_PAGE.size))
        self._file = page.open("r+b")
        self._page = mmap.mmap(self._file.fileno(), _PAGE.size)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAILING_DISK_PAGE": str(page),
            "FAILING_DISK_FOLDER": str(folder),
        }

    @contextmanager
    def failing(self, nth: int, error: int = errno.EIO, kinds: int = ALL, *, lasting: bool = False) -> Iterator[None]:
        """Inside, the nth such call fails (from 1), and all after it where that is `lasting`."""
        _PAGE.pack_into(self._page, 0, 1, kinds, nth - 1, error, int(lasting), 0)
        try:
            yield
        finally:
            struct.pack_into("i", self._page, 0, 0)

    @property
    def failed(self) -> int:
        """How many calls came to where one was to fail, since the last `failing` began."""
        return int(_PAGE.unpack_from(self._page)[5])

    def close(self) -> None:
        self._page.close()
        self._file.close()
