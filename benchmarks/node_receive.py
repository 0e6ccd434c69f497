"""Receiving: 10 associations send 11 MB films at once; images a second answered for, and how long an answer takes.

    python benchmarks/node_receive.py [--count 5] [--associations 10] [--rounds N] [--json FILE]

In turns: the node's receiver; Orthanc as Debian packages it, with the settings that it comes with (files are synced,
its index is written without waiting for the disk); and a receiver of pynetdicom's own making with the same promise as
the node's (`_pynetdicom_node.py`). Each runs alone on this machine, the sender beside it: it is part of what is
measured, and costs what it takes to hand prepared bytes to the system.

An image is a raw DX film of 2500 x 2200 pixels in 16 bits with an identifier of its own. It counts when its C-STORE
was answered with 0x0000, which the node does when file, folder and row are synced. The time of an answer runs from
the first byte of the C-STORE's command to its status, at the sender, so with the image's way through the loopback
interface and with all that nine others ask for meanwhile.

Left out: analysis (the node's workers would take the cores that are left), TLS, the network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks._turns import Side, finish, in_turns, load, options, ratio, summary, verdict
from tests.support.node_child import node_child, write_config
from tests.support.orthanc import orthanc
from tests.support.scu import DX, EXPLICIT, Scu, explicit, store_message, uid_bytes

IMAGES_A_SECOND = 10.0
P99_SECONDS = 1.0
ROWS, COLUMNS = 2500, 2200
LONGEST_PDU = 1 << 17
_UID = "1.2.826.0.1.3680043.8.498.7.1{:011}"


def film(rows: int, columns: int) -> bytes:
    """A DX data set whose pixels are noise, as nothing on the way may gain from their being alike."""
    pixels = np.random.default_rng(1).integers(0, 4096, (rows, columns), np.uint16)
    short = {0x00280010: rows, 0x00280011: columns, 0x00280100: 16, 0x00280101: 12, 0x00280102: 11, 0x00280103: 0}
    elements = {tag: ("US", value.to_bytes(2, "little")) for tag, value in short.items()}
    elements |= {0x00280002: ("US", b"\1\0"), 0x00280004: ("CS", b"MONOCHROME2 "), 0x00080060: ("CS", b"DX")}
    elements |= {0x0020000D: ("UI", uid_bytes("1.2.826.0.1.3680043.8.498.8")), 0x00100020: ("LO", b"BENCHMARK ")}
    elements |= {0x0020000E: ("UI", uid_bytes("1.2.826.0.1.3680043.8.498.9")), 0x00080016: ("UI", uid_bytes(DX))}
    elements |= {0x00080018: ("UI", uid_bytes(_UID.format(0))), 0x7FE00010: ("OW", pixels.tobytes())}
    return explicit(elements)


class Sender:
    """One association of the ten: its messages are made beforehand, but for the identifier."""

    def __init__(self, port: int, called: str, data: bytes) -> None:
        self.scu = Scu.connect(port, called, contexts=((DX, (EXPLICIT,)),), timeout=600)
        longest = min(self.scu.longest or LONGEST_PDU, LONGEST_PDU)
        self.message = bytearray(store_message(1, 1, DX, _UID.format(0), data, longest))
        self.places = list(_places(self.message, _UID.format(0).encode()))

    def store(self, number: int) -> float:
        """Send one; the seconds until its answer."""
        uid = _UID.format(number).encode()
        for place in self.places:
            self.message[place : place + len(uid)] = uid
        began = time.perf_counter()
        self.scu.send(self.message)
        status = self.scu.status()
        if status != 0:
            raise SystemExit(f"an image was answered with {status:04X}")
        return time.perf_counter() - began


def _places(data: bytearray, text: bytes) -> Iterator[int]:
    place = data.find(text)
    while place >= 0:
        yield place
        place = data.find(text, place + 1)


class Numbers:
    """A number for each image that is ever sent."""

    def __init__(self) -> None:
        self._lock, self._last = threading.Lock(), 0

    def next(self) -> int:
        """One that was not given before."""
        with self._lock:
            self._last += 1
            return self._last


@dataclass
class Peer:
    """A running receiver, and what its turns took beside their seconds."""

    port: int
    title: str
    process: int
    answers: list[list[float]] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def processor_seconds(self) -> float:
        """That its process has used."""
        used = psutil.Process(self.process).cpu_times()
        return float(used.user + used.system)


def side(peer: Peer, data: bytes, count: int, associations: int, numbers: Numbers) -> Side:
    """Seconds until all of `count` images on each of the associations are answered."""

    def once() -> float:
        senders = [Sender(peer.port, peer.title, data) for _ in range(associations)]
        spent: list[list[float]] = [[] for _ in senders]

        def work(index: int) -> None:
            spent[index] = [senders[index].store(numbers.next()) for _ in range(count)]

        threads = [threading.Thread(target=work, args=(index,)) for index in range(len(senders))]
        used, began = peer.processor_seconds(), time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        whole = time.perf_counter() - began
        peer.processor.append((peer.processor_seconds() - used) / (count * associations))
        for sender in senders:
            sender.scu.release()
        if any(len(one) != count for one in spent):
            raise SystemExit("an association broke")
        peer.answers.append([second for one in spent for second in one])
        return whole

    return once


@contextmanager
def pynetdicom_node(folder: Path) -> Iterator[Peer]:
    """The receiver of `_pynetdicom_node.py`."""
    script = Path(__file__).with_name("_pynetdicom_node.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Peer(int(process.stdout.readline().split()[1]), "CXREDGE", process.pid)
    finally:
        process.stdin.close()
        process.wait(30)


def receivers(stack: ExitStack, folder: Path) -> dict[str, Peer]:
    """All that run here."""
    for name in ("ours", "orthanc", "pynetdicom"):
        (folder / name).mkdir()
    child = stack.enter_context(node_child(write_config(folder / "ours", free_disk_mb=0, images_a_minute=1_000_000)))
    found = {"ours": Peer(child.port, "CXREDGE", child.process.pid)}
    if shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"):
        server = stack.enter_context(orthanc(folder / "orthanc"))
        found["orthanc"] = Peer(server.dimse, "ORTHANC", server.process)
    else:
        print("orthanc: not run; it is not installed (Debian: orthanc, orthanc-dicomweb)")
    found["pynetdicom"] = stack.enter_context(pynetdicom_node(folder / "pynetdicom"))
    return found


def figures(peer: Peer, seconds: list[float], images: int, warm_up: int) -> dict[str, Any]:
    """A row: the rate of each turn, processor time an image, and of all answers the median and the 99th percentile."""
    every = np.concatenate([np.array(one) for one in peer.answers[warm_up:]])
    return {
        "images_a_second": summary([images / one for one in seconds]),
        "processor_ms_an_image": summary([1e3 * one for one in peer.processor[warm_up:]]),
        "answer_s": {
            "median": round(float(np.median(every)), 4),
            "p99": round(float(np.percentile(every, 99)), 4),
            "largest": round(float(every.max()), 4),
            "answers": int(every.size),
        },
    }


def told(name: str, row: dict[str, Any], judged: bool) -> str:
    """A row in words."""
    rate, late = row["images_a_second"]["median"], row["answer_s"]["p99"]
    return (
        f"{name:<11} {rate:6.1f} images/s{verdict(rate, IMAGES_A_SECOND if judged else None)}"
        f"   answer: median {row['answer_s']['median']:.3f} s, p99 {late:.3f} s"
        f"{verdict(late, P99_SECONDS if judged else None, lower_is_better=True)}"
        f"   processor {row['processor_ms_an_image']['median']:.0f} ms an image"
    )


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--count", type=int, default=5, help="images an association sends in a turn")
    parser.add_argument("--associations", type=int, default=10)
    asked = parser.parse_args()
    before, numbers = load(), Numbers()
    count, associations = (1, 2) if asked.smoke else (asked.count, asked.associations)
    rounds, warm_up = (1, 0) if asked.smoke else (asked.rounds, 1)
    data = film(*((50, 40) if asked.smoke else (ROWS, COLUMNS)))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        peers = receivers(stack, Path(name))
        sides = {who: side(peer, data, count, associations, numbers) for who, peer in peers.items()}
        taken = in_turns(sides, rounds, warm_up)
    rows = {who: figures(peer, taken[who], count * associations, warm_up) for who, peer in peers.items()}
    for who, row in rows.items():
        print(told(who, row, who == "ours" and not asked.smoke))
        if who != "ours":
            row["times_as_long_as_ours"] = ratio(taken[who], taken["ours"])
            spread = row["times_as_long_as_ours"]
            print(
                f"            takes {spread['ratio']:.2f} times as long ({spread['low']:.2f} to {spread['high']:.2f})"
            )
    finish(rows, asked, before)


if __name__ == "__main__":
    main()
