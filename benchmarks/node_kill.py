"""Kills a node at random instants under load, and counts what became of every image that it had answered for.

    python benchmarks/node_kill.py [--rounds 200] [--seed N] [--smoke] [--json FILE]

Not speed: a promise. DCMTK's storescu sends radiographs to a real node, whose destination is a real Orthanc. Again and
again the node, or one of its workers, is ended by SIGKILL at an instant drawn at random, from before it listens to
after it has sent, and started anew. At the end every image that was answered with success must be in Orthanc as exactly
one report, whose data set has the hash of the result file in the node's spool; and no image may have two. What was not
answered with success, storescu sends again until it is.

Needs Debian's dcmtk and orthanc, orthanc-dicomweb. Exits with 1 where the promise is broken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks._machine import machine
from tests.support.filed import filed_bytes
from tests.support.nodes import NodeFolder, RunningNode, data_set, destination, films, reports_in, send, wait_for
from tests.support.orthanc import Orthanc, orthanc
from tests.support.tiny_bundle import write_tiny_bundle

AN_ASSOCIATION = 3
SENDERS = 2
LATEST_KILL = 6.0
"""Seconds after a start: by then it has received, analysed and sent several."""
A_PAUSE = 0.5
"""Seconds between two associations of a sender: less, and most of the run is the last node's work on what is left."""
UID = "1.2.826.0.1.3680043.8.498.7"


@dataclass
class Load:
    """Senders that do not stop, and what they were told."""

    port: int
    folder: Path
    template: bytes
    acknowledged: set[str] = field(default_factory=set)
    sent: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to send."""
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _send(self, sender: int) -> None:
        association = 0
        while not self._over.is_set():
            numbers = [10_000_000 * (sender + 1) + association * AN_ASSOCIATION + one for one in range(AN_ASSOCIATION)]
            waiting = films(self.folder / str(sender), self.template, numbers, UID)
            association += 1
            while waiting:  # as a modality does: again, until it has its answer
                answered = send(self.port, waiting)
                self.acknowledged |= {f"{UID}.{path.stem}" for path in answered}
                self.sent += len(waiting)
                waiting = [path for path in waiting if path not in answered]
                if waiting and self._over.is_set():
                    return
                time.sleep(A_PAUSE)
            for number in numbers:
                (self.folder / str(sender) / f"{number}.dcm").unlink()

    def stop(self) -> None:
        """Let the associations that run end."""
        self._over.set()
        for thread in self._threads:
            thread.join()


def kill_at_random(node: RunningNode, chance: random.Random) -> str:
    """End the node, or one of its workers, at an instant that nobody knows; says which."""
    if chance.random() < 0.25:
        time.sleep(chance.uniform(0.5, LATEST_KILL))
        with suppress(psutil.Error):
            workers = psutil.Process(node.process.pid).children(recursive=True)
            if workers:
                chance.choice(workers).kill()
                time.sleep(chance.uniform(0.2, 1.0))
                node.kill()
                return "worker, then node"
    else:
        time.sleep(chance.uniform(0.0, LATEST_KILL))
    node.kill()
    return "node"


def drain(place: NodeFolder, seconds: float) -> int:
    """Wait until all is done; says how many images had to be asked for again.

    An image whose worker was killed twice is parked, as it might have been its fault: `cxredge queue retry` gives it
    its turn, as a person would.
    """
    parked = len(place.found("--state", "parked")["images"])
    if parked:
        done = place.queue("retry", "--all-parked")
        assert done.returncode == 0, done.stderr
    wait_for(place.is_done, "an empty queue", seconds, every=2.0)
    return parked


def judge(place: NodeFolder, pacs: Orthanc, acknowledged: set[str]) -> dict[str, Any]:
    """What became of each image that was answered for."""
    rows = sqlite3.connect(place.spool / "node.db").execute("select id, sop_instance_uid, state from images").fetchall()
    identifiers: dict[str, list[str]] = {}
    for identifier, uid, _ in rows:
        identifiers.setdefault(uid, []).append(identifier)
    reports = reports_in(pacs)
    count: Counter[str] = Counter()
    for uid in sorted(acknowledged):
        there = reports.get(uid, [])
        count["lost"] += not there
        count["more than one"] += len(there) > 1
        for identifier in identifiers.get(uid, []):
            file = place.spool / "results" / identifier[:2] / identifier / "sr.dcm"
            same = there and file.exists() and _hash(file.read_bytes()) == _hash(there[0])
            count["another hash"] += not same
        count["without a row"] += uid not in identifiers
    return {
        "acknowledged": len(acknowledged),
        "reports": sum(map(len, reports.values())),
        "images with two reports": sum(len(found) > 1 for found in reports.values()),
        "rows by state": dict(Counter(state for _, _, state in rows)),
        **{name: count[name] for name in ("lost", "more than one", "another hash", "without a row")},
    }


def _hash(file: bytes) -> str:
    return hashlib.sha256(data_set(file)).hexdigest()


def run(rounds: int, seed: int, folder: Path) -> dict[str, Any]:
    """All of it."""
    chance = random.Random(seed)
    bundle = write_tiny_bundle(folder / "tiny.cxr")
    (folder / "pacs").mkdir()
    with orthanc(folder / "pacs") as pacs:
        place = NodeFolder(folder / "node", bundle, destination(pacs))
        load = Load(place.port, folder / "films", filed_bytes())
        load.start()
        killed: Counter[str] = Counter()
        try:
            for number in range(rounds):
                with place.start() as node:
                    killed[kill_at_random(node, chance)] += 1
                print(f"\r{number + 1} of {rounds}, {len(load.acknowledged)} acknowledged", end="", flush=True)
        finally:
            load.stop()
        print()
        with place.start() as node:
            node.wait_ready()
            parked = drain(place, 120 + 10 * len(load.acknowledged))
            outcome = judge(place, pacs, load.acknowledged)
            code = node.stop()
    return {
        "rounds": rounds,
        "killed": dict(killed),
        "sent": load.sent,
        "parked until asked for": parked,
        **outcome,
        "last exit code": code,
    }


def is_kept(outcome: dict[str, Any]) -> bool:
    """Whether the promise holds; a run in which hardly anything was received shows nothing."""
    broken = ("lost", "more than one", "another hash", "without a row", "images with two reports", "last exit code")
    return not any(outcome[name] for name in broken) and outcome["acknowledged"] >= outcome["rounds"] // 2


def main() -> None:
    """Run, report, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="the instants; another each time if not given")
    parser.add_argument("--smoke", action="store_true", help="8 rounds")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1 << 32)
    with tempfile.TemporaryDirectory() as folder:
        outcome = {"seed": seed, **run(8 if given.smoke else given.rounds, seed, Path(folder))}
    print("\n".join(f"{name:24} {value}" for name, value in outcome.items()))
    if given.json:
        given.json.write_text(json.dumps({**outcome, "machine": machine()}, indent=2), encoding="utf-8")
    if not is_kept(outcome):
        sys.exit("the promise is broken, or too little was received to show anything")


if __name__ == "__main__":
    main()
