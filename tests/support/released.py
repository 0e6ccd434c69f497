"""Whether a bill of materials is that of the locked release: `python -m tests.support.released BILL LOCKED`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["locked", "problems"]

_PIN = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)(?: ; [^\\]+)?")


def plain(name: str) -> str:
    """A package's name as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> dict[str, tuple[str, list[str]]]:
    """Version and hashes by name, of a file of requirements.

    Raises:
        ValueError: a line is neither a pin nor a hash, or a pin has no hash: an address, an option, an open version.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    name = ""
    for line in text.splitlines():
        stripped = line.removesuffix("\\").strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith("--hash=sha256:") and len(stripped) == 78 and name:
            found[name][1].append(stripped)
        elif pin := _PIN.fullmatch(stripped):
            name = plain(pin[1])
            found[name] = (pin[2], [])
        else:
            raise ValueError(f"neither a pin nor a hash: {stripped[:60]}")
    if bare := [each for each, (_, hashes) in found.items() if not hashes]:
        raise ValueError(f"without a hash: {', '.join(bare)}")
    return found


def problems(bill: Mapping[str, Any], pins: Mapping[str, tuple[str, list[str]]]) -> list[str]:
    """What the bill lacks, has too much, has in another version, or tells of the machine that made it."""
    root = bill["metadata"]["component"]["name"]
    there = {plain(part["name"]): part["version"] for part in bill["components"]}
    wanted = {name: version for name, (version, _) in pins.items()}
    found = [f"{name} {wanted.get(name)} is locked, the bill has {there.get(name)}" for name in sorted(
        name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name)
    )]  # fmt: skip
    found += [f"it is the bill of {root}"] * (root != "cxredge")
    return found + ["it names a path of this machine"] * ("file:/" in json.dumps(bill))


if __name__ == "__main__":
    wrong = problems(
        json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), locked(Path(sys.argv[2]).read_text(encoding="utf-8"))
    )
    print("\n".join(wrong) or f"{sys.argv[1]}: complete")  # noqa: T201
    sys.exit(1 if wrong else 0)
