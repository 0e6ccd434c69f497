"""One target in a process of its own: `python -m tests.fuzz.child TARGET --seconds 30 --out FOLDER`.

`FOLDER/current` holds the input that runs, so that even a crash or a hang leaves it behind; `found/` holds what broke
an invariant, with the reason beside it; `told.json` counts.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import importlib
import json
import os
import random
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

HANGS_AFTER = 60.0
"""Seconds by the clock; the process then ends with its stacks on standard error."""
MORE = 2 << 30
"""Bytes of address space beyond what the loaded target has: a leak ends here, not in the machine's swap. The peak of
resident memory, which is what is promised, is measured."""
_FINDS_OF_A_KIND = 3
_WATCHED = ("pydicom.filereader", "cxredge.dicom.header", "cxredge.dicom.image", "cxredge.rasters", "cxredge.reading")
"""Imported under the driver's eyes, as they are otherwise imported only when the first input runs."""


class Desk:
    """Runs inputs through the judge, and keeps what it says."""

    def __init__(self, target: Target, out: Path, seconds: float) -> None:
        from tests.fuzz.judge import Judge

        self.judge = Judge(target.run)
        self.out = out
        self._seconds = seconds
        self._until = 0.0
        self.count = 0
        self._kinds: dict[str, int] = {}
        self._told_at = 0.0
        (out / "found").mkdir(parents=True, exist_ok=True)

    def take(self, data: bytes) -> None:
        """One input."""
        (self.out / "current").write_bytes(data)
        now = time.monotonic()
        self._until = self._until or now + self._seconds  # from the first input on: making the seeds does not count
        if now - self._told_at > 1:
            self._told_at = now
            self._tell()
            faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)  # until it is set anew
        reason = self.judge(data)
        self.count += 1
        if reason is not None:
            self._keep(data, reason)

    def end(self) -> None:
        """Count for the last time, and let the input that ran last go: it did no harm."""
        self._tell()
        faulthandler.cancel_dump_traceback_later()
        (self.out / "current").unlink(missing_ok=True)

    def over(self) -> bool:
        """Whether the time is over."""
        return 0 < self._until < time.monotonic()

    def _keep(self, data: bytes, reason: str) -> None:
        kind = re.sub(r"[0-9]+", "0", reason)
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if self._kinds[kind] <= _FINDS_OF_A_KIND:
            place = self.out / "found" / hashlib.sha256(data).hexdigest()[:16]
            place.write_bytes(data)
            place.with_suffix(".txt").write_text(reason + "\n", encoding="utf-8", errors="replace")

    def _tell(self) -> None:
        told = {"inputs": self.count, **self.judge.told(), "finds": self._kinds}
        (self.out / "told.json").write_text(json.dumps(told), encoding="utf-8")


def at_random(desk: Desk, target: Target, seed: int) -> None:
    """Seeds first, then damage to seeds and to damaged ones that gave a new kind of answer."""
    from tests.fuzz.mutate import damaged

    chance, pool = random.Random(seed), list(target.seeds())
    for data in list(pool):
        desk.take(data)
    while not desk.over():
        known = len(desk.judge.kinds)
        data = damaged(chance.choice(pool), pool, chance, target.most)
        desk.take(data)
        if len(desk.judge.kinds) > known:
            pool.append(data)
    desk.end()


def by_coverage(desk: Desk, target: Target, seed: int) -> None:
    """Atheris (libFuzzer): inputs that reach new lines are kept and damaged further."""
    import atheris

    from tests.fuzz.mutate import damaged

    seeds = list(target.seeds())
    corpus = desk.out / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(data[: target.most])

    def mutate(data: bytes, most: int, number: int) -> bytes:
        if number % 2:
            made: bytes = atheris.Mutate(data, most)
            return made
        return damaged(data, seeds, random.Random(number), most)

    def one(data: bytes) -> None:
        desk.take(data)
        if desk.over():
            desk.end()
            os._exit(0)  # libFuzzer never returns

    settings = ["fuzz", f"-max_len={target.most}", f"-seed={seed + 1}"]  # it takes 0 for "any"
    settings += ["-rss_limit_mb=0", "-timeout=3600", "-verbosity=0", str(corpus)]
    atheris.Setup(settings, one, custom_mutator=mutate)
    atheris.Fuzz()


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    import resource

    status = Path("/proc/self/status").read_text(encoding="ascii")
    size = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmSize:"))
    resource.setrlimit(resource.RLIMIT_AS, (size + MORE, size + MORE))


def _made(name: str, *, instrument: bool) -> Target:
    """The target; its modules are imported here, so that atheris can watch them."""
    watching: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if instrument:
        import atheris

        watching = atheris.instrument_imports(include=["cxredge", "pydicom"])
    with watching:
        for module in _WATCHED:
            importlib.import_module(module)
        from tests.fuzz.targets import TARGETS

        return TARGETS[name]()


def main() -> None:
    """Fuzz one target, or try one file again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--driver", choices=["atheris", "random"], default="random")
    parser.add_argument("--replay", type=Path, help="run this one file and print what was wrong with it, if anything")
    asked = parser.parse_args()
    target = _made(asked.target, instrument=asked.driver == "atheris" and asked.replay is None)
    if asked.replay is not None:
        print(replay(target, asked.replay.read_bytes()) or "")  # noqa: T201
        return
    _limit_memory()
    desk = Desk(target, asked.out, asked.seconds)
    if asked.driver == "atheris":
        by_coverage(desk, target, asked.seed)
    else:
        at_random(desk, target, asked.seed)


def replay(target: Target, data: bytes) -> str | None:
    """The reason once more, without a driver: what a first call imports and loads is done before."""
    from tests.fuzz.judge import Judge

    _warm(target)
    _limit_memory()
    run = target.run_all if hasattr(target, "run_all") else None
    return Judge((lambda one: run([one])) if run else target.run)(data)


def _warm(target: Target) -> None:
    run = target.run_all if hasattr(target, "run_all") else None
    for seed in list(target.seeds())[:3]:
        with contextlib.suppress(Exception):
            run([seed]) if run else target.run(seed)


if __name__ == "__main__":
    main()
