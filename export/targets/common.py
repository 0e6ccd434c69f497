"""What all targets share: the options that an order cannot carry, a limit on memory, and reasons out of exceptions."""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cxredge.errors import Code, CxredgeError, EngineError, UsageError
from export.memory import out_of_memory

__all__ = ["OPTIONS", "Options", "limit_memory", "options_beside", "reasons"]

OPTIONS = "options.json"

_UNKNOWN = (
    re.compile(r"No conversion rule found for operations:\s*(?P<names>[^\n]+)"),  # OpenVINO
    re.compile(r"No Op registered for (?P<names>\w+)"),  # ONNX Runtime: an operator that no standard has
    re.compile(r"Could not find an implementation for (?P<names>\w+)"),  # ONNX Runtime: one that it lacks
    re.compile(r"(?P<names>\S+) is not a registered function/op"),  # ONNX Runtime: of another domain
    re.compile(r"No importer registered for op: (?P<names>\w+)"),  # TensorRT
)


@dataclass(frozen=True)
class Options:
    """What `python -m export compile` was told beyond engine, device and precision.

    Attributes:
        memory: bytes that the child may take; None for no limit.
        most: the largest batch of a TensorRT plan.
        version_compatible: a TensorRT plan that later releases can load.
        full_weights: float32 weights in OpenVINO's IR, not compressed to float16.
    """

    memory: int | None = None
    most: int = 16
    version_compatible: bool = False
    full_weights: bool = False

    def write(self, folder: Path) -> None:
        """Leave them where `options_beside` finds them."""
        (folder / OPTIONS).write_text(json.dumps(asdict(self)), encoding="utf-8")


def options_beside(artefact: Path) -> Options:
    """The options that lie in the artefact's folder."""
    return Options(**json.loads(artefact.with_name(OPTIONS).read_text(encoding="utf-8")))


def limit_memory(most: int | None) -> None:
    """Let this process take no more than so many bytes of its own.

    Raises:
        UsageError: the system has no such limit.
    """
    if most is None:
        return
    if sys.platform != "linux":
        raise UsageError(Code.BAD_ARGUMENT, "a limit on memory needs Linux; leave --memory-limit out")
    import resource

    # Private, writable memory: what is mapped from files or only reserved is not counted.
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


@contextmanager
def reasons(engine: str) -> Iterator[None]:
    """Give a vendor's exceptions a code and a reason; all that they say goes to the log."""
    try:
        yield
    except CxredgeError:
        raise
    except Exception as error:
        traceback.print_exc()
        text = str(error)
        if isinstance(error, MemoryError) or out_of_memory(text):
            raise EngineError(Code.OUT_OF_MEMORY, f"{engine}, while compiling") from None
        found = next((match for match in (pattern.search(text) for pattern in _UNKNOWN) if match), None)
        why = (
            f"it does not know the operator {found['names'].strip()}" if found else _line(text) or type(error).__name__
        )
        raise EngineError(Code.ENGINE_FAILED, f"{engine}: {why}") from None


def _line(text: str) -> str:
    """The first line of a vendor's message that says more than where in its source it was raised."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or [""])[0][:200]
