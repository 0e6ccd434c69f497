"""Reading results back: the lines that `cxredge predict --format json` wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cxredge.errors import Code, InputError
from cxredge.result import LABELS, Record

__all__ = ["read_results"]

MAX_LINE = 1 << 20


def read_results(path: str | os.PathLike[str], bundle_sha256: str) -> Iterator[Record]:
    """Each line's record, in order; empty lines are passed over.

    Messages name lines by number alone: a result holds the path of its image, which may name a patient.

    Args:
        path: of the file, one `cxredge.prediction/1` object a line.
        bundle_sha256: of the bundle that must have given them all.

    Raises:
        InputError: RESULTS_UNUSABLE, also while iterating.
    """
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), 1):
                if line.strip():
                    yield _record(line, number, bundle_sha256)
    except OSError as error:
        raise InputError(Code.RESULTS_UNUSABLE, f"it cannot be read: {error.strerror}") from None


def _record(line: bytes, number: int, bundle_sha256: str) -> Record:
    if len(line) > MAX_LINE:
        raise InputError(Code.RESULTS_UNUSABLE, f"line {number} is too long for a result")
    try:
        record = msgspec.json.decode(line, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError(Code.RESULTS_UNUSABLE, f"line {number} is no cxredge.prediction/1 object") from None
    if record.bundle is None or record.bundle.sha256 != bundle_sha256:
        raise InputError(Code.RESULTS_UNUSABLE, f"line {number} comes from another bundle")
    if record.status == "ok" and tuple(finding.label for finding in record.findings) != LABELS:
        raise InputError(Code.RESULTS_UNUSABLE, f"line {number} lacks findings")
    return record
