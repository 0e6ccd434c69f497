"""The receiving node alone, as a process that a test may kill: `python tests/support/node_child.py NODE.TOML`.

It listens on a free port, whatever the file says, prints `PORT n` and then a line an event, and ends when its standard
input does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class NodeChild:
    """A running one."""

    process: subprocess.Popen[str]
    port: int
    events: list[dict[str, Any]] = field(default_factory=list)

    def resident(self) -> int:
        """Bytes of memory."""
        import psutil

        return int(psutil.Process(self.process.pid).memory_info().rss)

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(60) == 0


def write_config(folder: Path, **limits: object) -> Path:
    """A `node.toml` whose one sender is TESTER, from all of the loopback interface, and STORESCU from there too."""
    lines = ['spool = "spool"', "[[sender]]", 'ae_title = "TESTER"', "[[sender]]", 'ae_title = "STORESCU"', "[limits]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in limits.items()]
    path = folder / "node.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@contextmanager
def node_child(config: Path, environment: Mapping[str, str] | None = None) -> Iterator[NodeChild]:
    """Start one; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, str(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("PORT "), f"the node did not start: {first!r}, {process.poll()}"
        child = NodeChild(process, int(first.split()[1]))
        reader = threading.Thread(target=_collect, args=(process, child.events), daemon=True)
        reader.start()
        yield child
    finally:
        process.kill()
        process.wait(60)
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            if stream is process.stdout:
                reader.join(60)
            stream.close()


def _collect(process: subprocess.Popen[str], events: list[dict[str, Any]]) -> None:
    assert process.stdout is not None
    events.extend(json.loads(line) for line in process.stdout if line.endswith("}\n"))


def main(path: Path) -> None:
    import msgspec

    from cxredge.node.config import read_config
    from cxredge.node.database import Database
    from cxredge.node.events import Event, Fact
    from cxredge.node.images import Images
    from cxredge.node.receive import Receiver, adopt
    from cxredge.node.spool import Spool

    def watch(event: Event, **facts: Fact) -> None:
        sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
        sys.stdout.flush()

    config = read_config(path)
    config = msgspec.structs.replace(config, receiver=msgspec.structs.replace(config.receiver, port=0))
    spool = Spool(config.spool)
    images = Images(Database(spool.database))
    spool.sweep()
    adopt(spool, images, lambda event, **facts: None, config.senders)
    receiver = Receiver(config, spool, images, watch, lambda: None)
    receiver.start()
    sys.stdout.write(f"PORT {receiver.port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    receiver.stop(10)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
