"""Names that can be written anywhere; writing so that nothing half-written is seen under the final name."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from cxredge.errors import Code, CxredgeError

__all__ = ["path_text", "write_atomically"]


def path_text(path: str | os.PathLike[str]) -> str:
    r"""A path as text that can be written as UTF-8, for results and messages.

    A file name need not be Unicode: an old archive's may be Latin-1. Its odd bytes become `\xfc` and the like.
    """
    text = os.fsdecode(path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        try:
            return os.fsencode(text).decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


def write_atomically(path: str | os.PathLike[str], data: bytes, *, mode: int = 0o666) -> Path:
    """Write `data` to a temporary file in the same folder, flush it to disk, and rename it to `path`.

    Args:
        path: of the file; folders that are missing are made.
        data: all of it.
        mode: the file's rights from its first moment on, less those that the process's umask takes.

    Raises:
        CxredgeError: OUTPUT_UNWRITABLE, with the system's reason; a file of that name stays as it was.
    """
    final = Path(path)
    temporary = final.with_name(f".{final.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(temporary, flags, mode), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(final)
    except OSError as error:
        with suppress(OSError):  # a folder of the path that is a file fails here again
            temporary.unlink(missing_ok=True)
        raise CxredgeError(Code.OUTPUT_UNWRITABLE, f"{final}: {error.strerror or type(error).__name__}") from error
    return final
