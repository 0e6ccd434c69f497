"""Every row of the tables in README.md, one after another, and the tables as Markdown.

    python benchmarks/run_all.py --peer-python PYTHON --peer-script SCRIPT --out benchmarks/results/DATE-HARDWARE
    python benchmarks/run_all.py --table benchmarks/results/DATE-HARDWARE        # only the tables, of what lies there

Takes about half an hour on two cores that do nothing else. A file that fails is said and left out; the rest goes on.
Without --out the folder is named after the day and the processor.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks import _peer
from benchmarks._machine import machine

HERE = Path(__file__).resolve().parent
FILES = ("against_torchxrayvision", "cold_against_peer", "engine_overhead", "folder", "densenet", "growth")
WITH_PEER = FILES[:2]


def named() -> str:
    """`2026-11-21-amd-epyc-2-cores`: the day and the hardware."""
    facts = machine()
    name = f"{datetime.now(UTC).date()}-{facts['cpu']}-{facts['cores']}-cores"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def run(name: str, out: Path, asked: argparse.Namespace) -> None:
    """One file of this folder, its JSON into `out`."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(out / f"{name}.json")]
    if name in WITH_PEER and asked.peer_python and asked.peer_script:
        command += ["--peer-python", str(asked.peer_python), "--peer-script", str(asked.peer_script)]
    command += ["--plot", str(out / "growth.png")] if name == "growth" else []
    print(f"--- {name}", flush=True)
    if subprocess.run(command + (["--smoke"] if asked.smoke else []), check=False).returncode:
        print(f"{name} failed: no row of it", flush=True)


def read(out: Path, name: str) -> dict[str, Any] | None:
    """What a file measured; None where it did not."""
    path = out / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else None


def table(out: Path) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| | ours | peer or limit | ratio (10th to 90th percentile) | at least |"
    yield "| --- | --- | --- | --- | --- |"
    for name, row in (read(out, "against_torchxrayvision") or {}).items():
        theirs = f"{row['theirs']['median']:.0f} ms" if "theirs" in row else "not run"
        yield _line(f"warm, {name}", f"{row['ours']['median']:.1f} ms", theirs, row, row.get("at_least"))
    for row in (read(out, "cold_against_peer") or {}).values():
        ours, theirs = row["ours_seconds"]["median"], row.get("theirs_seconds", {}).get("median")
        told = "not run" if theirs is None else f"{theirs:.2f} s"
        yield _line("cold process", f"{ours:.2f} s", told, row, row.get("at_least"))
        if "memory_share" in row:
            memory = f"{row['theirs_mb']['median']:.0f} MB"
            share = f"{row['memory_share']:.2f} of it | at most {row['memory_at_most']:g}"
            yield f"| its peak memory | {row['ours_mb']['median']:.0f} MB | {memory} | {share} |"
    for engine, row in (read(out, "engine_overhead") or {}).items():
        over = row["overhead"]
        spread = f"{over['ratio']:.0%} more ({over['low']:.0%} to {over['high']:.0%}) | at most {over['at_most']:.0%}"
        ours, bare = row["predict"]["median"], row["bare"]["median"]
        yield f"| over the bare call of {engine} | {ours:.1f} ms | {bare:.1f} ms | {spread} |"
    for engine, row in (read(out, "folder") or {}).items():
        rates, share = row["images_a_second"], row["share"]
        spread = f"{share['ratio']:.0%} ({share['low']:.0%} to {share['high']:.0%}) | {share['least']:.0%}"
        ours, most = rates["ours"]["median"], rates[row["limit"]]["median"]
        yield f"| folder of films, {engine} | {ours:.1f} images/s | {most:.1f} images/s | {spread} |"
    yield from _densenet(read(out, "densenet"))


def _densenet(rows: dict[str, Any] | None) -> Iterator[str]:
    if rows is None:
        return
    slow = {"network": "network: torch", "film to outputs": "film to outputs: pydicom, Pillow, torch"}
    for name, row in rows.items():
        kind = name.partition(":")[0]
        if kind in slow and name != slow[kind]:
            least = 8 if name == "network: openvino int8" else None
            theirs = f"{rows[slow[kind]]['median']:.1f} ms"
            yield _line(f"DenseNet-121, {name}", f"{row['median']:.1f} ms", theirs, row, least)


def _line(name: str, ours: str, theirs: str, row: dict[str, Any], least: float | None) -> str:
    spread = f"{row['ratio']:.1f} ({row['low']:.1f} to {row['high']:.1f})" if "ratio" in row else ""
    return f"| {name} | {ours} | {theirs} | {spread} | {'' if least is None else f'{least:g}'} |"


def main() -> None:
    """Run all, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--table", type=Path, help="only print the tables of this folder")
    parser.add_argument("--only", help="names of files, with commas")
    parser.add_argument("--smoke", action="store_true", help="at its smallest, one file unless --only says more")
    _peer.add_options(parser)
    asked = parser.parse_args()
    if asked.smoke:  # CI runs each file by itself already
        asked.only = asked.only or "engine_overhead"
        asked.out = asked.out or Path(tempfile.mkdtemp(prefix="cxredge-benchmarks-"))
    out = asked.table or asked.out or HERE / "results" / named()
    if asked.table is None:
        out.mkdir(parents=True, exist_ok=True)
        for name in asked.only.split(",") if asked.only else FILES:
            run(name, out, asked)
    print("\n".join(table(out)))


if __name__ == "__main__":
    main()
