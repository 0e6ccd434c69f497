"""Fuzz every boundary in Python for a while: `python -m tests.fuzz --seconds 120 [--target dicom] [--keep FOLDER]`.

Each target gets its share of the time in a process of its own. A find is tried again in a new process without a driver,
whose cost could make an input look slow; what breaks there too is kept, and the exit code is 1. A find is mended at the
root and becomes a row of `tests/support/bad_inputs` or a test. One file again:

    python -m tests.fuzz --target dicom --replay FILE
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "dicom", "raster", "command", "manifest", "archive", "golden", "graph", "signature", "results", "cases",
)  # fmt: skip
WEIGHTS = {"dicom": 4.0, "raster": 2.0, "command": 2.0}
_SLACK = 900.0
"""Seconds for imports and seeds beside a target's own share, and for an input that hangs to be seen."""


# The package is the installed one, whatever lies in the folder that this is started in.
_START = f"import sys; sys.path.append({str(ROOT)!r}); from tests.fuzz.child import main; main()"


def _child(target: str, *words: str, limit: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-X", "faulthandler", "-c", _START, target, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=limit)


def fuzz(target: str, seconds: float, seed: int, driver: str, out: Path) -> tuple[dict[str, Any], list[Path]]:
    """One target: what it counted, and the finds that hold."""
    until, finds, told = time.monotonic() + seconds, [], {}
    while (left := until - time.monotonic()) > 1 or not told:
        words = ["--seconds", f"{max(left, 1):.0f}", "--seed", str(seed), "--driver", driver, "--out", str(out)]
        done = _child(target, *words, limit=max(left, 1) + _SLACK)
        written = out / "told.json"
        if not (out / "current").exists():
            if not written.exists():
                raise SystemExit(f"{target} did not run:\n{done.stderr[-4000:]}")
            told = json.loads(written.read_text(encoding="utf-8"))
            break
        crash = out / "found" / f"crash-{len(finds)}"
        shutil.move(out / "current", crash)
        crash.with_suffix(".txt").write_text(
            f"the process ended with {done.returncode}\n{done.stderr[-4000:]}", "utf-8"
        )
        finds.append(crash)
        told = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {"inputs": 0}
        seed += 1
        if len(finds) > 5:
            break
    return told, [path for path in sorted((out / "found").iterdir()) if path.suffix != ".txt" and again(target, path)]


def again(target: str, path: Path) -> str:
    """What is wrong with an input in a new process; "" where nothing is."""
    try:
        done = _child(target, "--replay", str(path), limit=900)
    except subprocess.TimeoutExpired:
        return "it hangs"
    return done.stdout.strip() if done.returncode == 0 else f"the process ended with {done.returncode}"


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="of all targets together (default 120)")
    parser.add_argument("--target", choices=NAMES, action="append", help="default: all")
    parser.add_argument("--seed", type=int, default=0, help="another one gives another run (default 0)")
    parser.add_argument("--driver", choices=["auto", "atheris", "random"], default="auto")
    parser.add_argument("--keep", type=Path, help="folder for finds (default: a new one)")
    parser.add_argument("--replay", type=Path, help="one file, with one --target")
    return parser.parse_args()


def main() -> None:
    """Run the targets, print a line each, and leave with 1 where something broke."""
    asked = _asked()
    targets = asked.target or list(NAMES)
    if asked.replay is not None:
        reason = again(targets[0], asked.replay.resolve())
        print(reason or "it holds")
        sys.exit(1 if reason else 0)
    there = importlib.util.find_spec("atheris") is not None
    driver = ("atheris" if there else "random") if asked.driver == "auto" else asked.driver
    print(f"driver: {driver}" + ("" if there else "; pip install '.[fuzz]' brings atheris, where it has a build"))
    keep = (asked.keep or Path(tempfile.mkdtemp(prefix="cxredge-finds-"))).resolve()
    whole = sum(WEIGHTS.get(name, 1.0) for name in targets)
    found: list[tuple[str, Path]] = []
    with tempfile.TemporaryDirectory(prefix="cxredge-fuzz-") as scratch:
        for name in targets:
            out = Path(scratch) / name
            out.mkdir()
            told, finds = fuzz(name, asked.seconds * WEIGHTS.get(name, 1.0) / whole, asked.seed, driver, out)
            print(name, json.dumps({key: value for key, value in told.items() if key != "finds"}), flush=True)
            for path in finds:
                place = keep / name / path.name
                place.parent.mkdir(parents=True, exist_ok=True)
                for each in (path, path.with_suffix(".txt")):
                    shutil.copy(each, place.parent)
                found.append((name, place))
                print(f"  FOUND {place}: {place.with_suffix('.txt').read_text(encoding='utf-8').splitlines()[0]}")
    print(f"{len(found)} finds" + (f" in {keep}" if found else ""))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
