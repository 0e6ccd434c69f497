"""What must hold for every input, whatever it is, and the one who looks."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cxredge.errors import Code, CxredgeError

__all__ = ["CANARY", "MOST_BYTES", "MOST_SECONDS", "Broken", "Judge", "canaries_in", "kind_of"]

CANARY = {
    "PatientName": "Kanarienvogel^Zebulon",
    "PatientID": "KANARI-4711-ZZ",
    "PatientBirthDate": "18970331",
    "PatientAddress": "Kanarienweg 12",
    "InstitutionName": "Kanarienklinik",
    "AccessionNumber": "KANARIACC99",
    "StudyInstanceUID": "1.2.826.0.1.4711.4711.4711",
    "ReferringPhysicianName": "Kanarius^Dr",
}
"""A patient who does not exist, in every DICOM seed: nothing of these may come out."""
_NEEDLES = tuple(text.casefold() for text in ("kanari", "18970331", "4711.4711", "Zebulon"))
MOST_SECONDS = 2.0
"""Of processor time for one input."""
MOST_BYTES = 1 << 30
"""Of resident memory at the peak."""
_NOT_ANSWERS = frozenset({Code.INTERNAL, Code.OUT_OF_MEMORY, Code.NATIVE_FAILED, Code.BAD_ARGUMENT})
"""Codes that say that cxredge failed, not the input."""


class Broken(AssertionError):  # noqa: N818 - an invariant is broken
    """Something that must hold for every input does not."""


def canaries_in(text: str) -> list[str]:
    """What of the canary patient stands in a text."""
    folded = text.casefold()
    return [needle for needle in _NEEDLES if needle in folded]


def kind_of(error: CxredgeError) -> str:
    """The code of an error, which is an answer.

    Raises:
        Broken: it is not one about the input, or its text names the canary.
    """
    if error.code in _NOT_ANSWERS:
        raise Broken(f"{error.code}: {error.detail}")
    if found := canaries_in(f"{error} {error.detail} {error.args}"):
        raise Broken(f"the message of {error.code} holds {found}")
    if error.__cause__ is not None or (error.__context__ is not None and not error.__suppress_context__):
        raise Broken(f"{error.code} drags a foreign {type(error.__context__ or error.__cause__).__name__} along")
    return str(error.code)


class Judge:
    """Runs one input after another through a target and says what was wrong with it, if anything."""

    def __init__(self, run: Callable[[bytes], str]) -> None:
        self._run = run
        self.kinds: dict[str, int] = {}
        self.slowest = 0.0
        self.peak = 0

    def __call__(self, data: bytes) -> str | None:
        """None where all holds; else one line that says what does not."""
        _forget_peak()  # what was taken before is not this input's
        began, said = time.process_time(), io.StringIO()
        try:
            with _listening(said):
                kind = self._run(data)
        except Broken as problem:
            return f"broken: {problem}"
        except BaseException as error:  # what is no answer of ours; the stop of the driver is not raised in here
            return f"foreign: {type(error).__name__} at {_place(error)}"
        seconds, peak = time.process_time() - began, _peak()
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self.slowest, self.peak = max(self.slowest, seconds), max(self.peak, peak)
        if peak > MOST_BYTES:  # first: to take so much takes time
            return f"large: {peak >> 20} MB for {kind}"
        if seconds > MOST_SECONDS:
            return f"slow: {seconds:.1f} s for {kind}"
        if found := canaries_in(said.getvalue()):
            return f"broken: the log or standard error holds {found}"
        return None

    def told(self) -> dict[str, Any]:
        """What was seen so far."""
        return {"kinds": self.kinds, "slowest_s": round(self.slowest, 3), "peak_mb": self.peak >> 20}


def _place(error: BaseException) -> str:
    """Where it was raised: the last line of the package, and the last line of all."""
    trace, lines = error.__traceback__, []
    while trace is not None:
        lines.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    ours = [f"{Path(name).name}:{line}" for name, line in lines if "/cxredge/" in name.replace("\\", "/")]
    last = f"{Path(lines[-1][0]).name}:{lines[-1][1]}" if lines else "?"
    return f"{ours[-1]} ({last})" if ours else last


@contextlib.contextmanager
def _listening(said: io.StringIO) -> Iterator[None]:
    """Collects what is logged by ours, and written to standard output and error, while an input runs.

    The command silences pydicom's own logger and Python's warnings (`cxredge.cli._silence_libraries`); so does this.
    """
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    root.addHandler(handler)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(said):
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)


_STATUS = Path("/proc/self/status")


def _forget_peak() -> None:
    """Let the kernel count the peak of resident memory anew (Linux alone can)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> int:
    if sys.platform != "linux":
        return 0
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def as_record(text: str) -> dict[str, Any]:
    """A line of the command as JSON.

    Raises:
        Broken: it is none, or names the canary beyond the path and the UID that it is asked for.
    """
    try:
        record: dict[str, Any] = json.loads(text)
    except ValueError:
        raise Broken("a line is not JSON") from None
    inputs = record.get("input") or {}
    rest = record | {"input": {key: value for key, value in inputs.items() if key not in ("path", "sop_instance_uid")}}
    if found := canaries_in(json.dumps(rest)):
        raise Broken(f"the result holds {found}")
    return record
