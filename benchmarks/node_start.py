"""How soon a node receives again when 10,000 images wait in its spool.

    python benchmarks/node_start.py [--queued 10000] [--repeat 5] [--smoke] [--json FILE]

Seconds of new processes, from their start to the first C-ECHO that is answered, and to `/readyz`, which waits for the
model too; in turns with an empty spool (A B A B ...), medians with their range, and the node's processor seconds until
then. It must receive within 5 s. Needs Debian's dcmtk. Left out: a disk whose contents are in no cache.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks._machine import machine
from cxredge.node.database import Database
from cxredge.node.spool import Spool
from tests.support.filed import filed_bytes, tool
from tests.support.nodes import NodeFolder, wait_for
from tests.support.tiny_bundle import write_tiny_bundle

TARGET = 5.0


def fill(spool: Spool, queued: int) -> None:
    """Images in the queue: rows, and one film under as many names."""
    Database(spool.database).close()
    film = spool.folder / "film"
    film.write_bytes(filed_bytes())
    rows = []
    for number in range(queued):
        identifier = spool.new_identifier()
        os.link(film, spool.image(identifier))
        rows.append((identifier, f"1.2.3.{number}", "1.2.840.10008.5.1.4.1.1.1.1", identifier, 400_000, "STORESCU"))
    with sqlite3.connect(spool.database) as table:
        table.executemany(
            "insert into images (id, sop_instance_uid, sop_class_uid, sha256, bytes, sender, urgency, received, state)"
            " values (?, ?, ?, ?, ?, ?, 1, 1.0, 'queued')",
            rows,
        )
    table.close()


def start(place: NodeFolder) -> tuple[float, float, float]:
    """Seconds until it answers a C-ECHO, its processor seconds until then, seconds until it has its model."""
    echo = [tool("echoscu"), "-aet", "STORESCU", "-aec", "CXREDGE", "-to", "1", "127.0.0.1", str(place.port)]
    began = time.perf_counter()
    with place.start() as node:
        while subprocess.run(echo, capture_output=True).returncode != 0:
            assert node.process.poll() is None, node.log.read_text()
            time.sleep(0.02)
        receives = time.perf_counter() - began
        times = psutil.Process(node.process.pid).cpu_times()
        wait_for(lambda: node.get("/readyz")[0] == 200, "a model")
        return receives, times.user + times.system, time.perf_counter() - began


def run(queued: int, repeat: int, folder: Path) -> dict[str, Any]:
    """An empty spool and a full one, in turns."""
    bundle = write_tiny_bundle(folder / "tiny.cxr")
    sides = {"empty": 0, f"{queued} queued": queued}
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in sides}
    for turn in range(repeat):
        for name, number in sides.items():
            place = NodeFolder(folder / f"{turn}-{number}", bundle)
            fill(Spool(place.spool), number)
            times[name].append(start(place))
            shutil.rmtree(place.folder)
    return {
        name: {
            what: {"median": statistics.median(column), "least": min(column), "most": max(column)}
            for what, column in zip(("receives_s", "processor_s", "ready_s"), zip(*runs, strict=True), strict=True)
        }
        for name, runs in times.items()
    }


def main() -> None:
    """Run, report, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="300 queued, once; nothing is judged")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    queued, repeat = (300, 1) if given.smoke else (given.queued, given.repeat)
    with tempfile.TemporaryDirectory() as folder:
        figures = run(queued, repeat, Path(folder))
    for name, side in figures.items():
        said = ", ".join(
            f"{what} {one['median']:.2f} ({one['least']:.2f} to {one['most']:.2f})" for what, one in side.items()
        )
        print(f"{name:16} {said}")
    if given.json:
        given.json.write_text(json.dumps({"figures": figures, "machine": machine()}, indent=2), encoding="utf-8")
    if not given.smoke and figures[f"{queued} queued"]["receives_s"]["median"] > TARGET:
        sys.exit(f"more than {TARGET:g} s")


if __name__ == "__main__":
    main()
