"""kill -9 while DCMTK's storescu sends: what was acknowledged is there when the node starts again, whole."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from cxredge.node.spool import Spool
from tests.support.dicom_files import write_dicom
from tests.support.filed import tool
from tests.support.node_child import NodeChild, node_child, write_config
from tests.support.phantom import draw_phantom
from tests.support.receiving import WITHIN, data_set_of

SENDERS = 3
FILMS = 12
ROUNDS = 3
SAID = re.compile(r"Sending file: (\S+)|Received Store Response \((\w+)\)")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """A folder for each sender."""
    made = []
    for sender in range(SENDERS):
        folder = tmp_path_factory.mktemp(f"films-{sender}")
        image = draw_phantom(500, 400, seed=sender)
        uids = [f"1.2.826.0.1.3680043.8.498.81.{sender}.{number}" for number in range(FILMS)]
        made.append([write_dicom(folder / uid, image, tags={"SOPInstanceUID": uid}) for uid in uids])
    return made


def acknowledged(log: Path) -> list[str]:
    """The SOP Instance UIDs of the films that storescu got success for."""
    found, sending = [], ""
    for name, answer in SAID.findall(log.read_text(errors="replace")):
        sending = Path(name).name if name else sending
        if answer == "Success":
            found.append(sending)
    return found


def send(
    child: NodeChild, films: list[list[Path]], folder: Path, number: int
) -> list[tuple[subprocess.Popen[bytes], Path]]:
    running = []
    for sender, paths in enumerate(films):
        log = folder / f"{number}-{sender}.log"
        command = [tool("storescu"), "-v", "-aec", "CXREDGE", "127.0.0.1", str(child.port), *map(str, paths)]
        with log.open("wb") as stream:
            running.append((subprocess.Popen(command, stdout=stream, stderr=stream), log))
    return running


def rows(spool: Spool) -> dict[str, str]:
    with closing(sqlite3.connect(spool.database)) as database:
        return dict(database.execute("select sop_instance_uid, id from images"))


def test_kill_9_loses_nothing_that_was_acknowledged(films: list[list[Path]], tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    chance = random.Random(seed)
    config, spool = write_config(tmp_path, free_disk_mb=0), Spool(tmp_path / "spool")
    for number in range(ROUNDS):
        with node_child(config) as child:
            running = send(child, films, tmp_path, number)
            wanted, until = chance.randrange(1, SENDERS * FILMS - 4), time.monotonic() + WITHIN
            while sum(len(acknowledged(log)) for _, log in running) < wanted:
                assert time.monotonic() < until
                assert any(process.poll() is None for process, _ in running)
                time.sleep(chance.random() * 0.01)
            child.process.kill()
            for process, _ in running:
                process.wait(WITHIN)
        answered = {uid for _, log in running for uid in acknowledged(log)}
        assert len(answered) >= wanted
        with node_child(config) as child:  # a start sweeps and adopts
            child.stop()
        there = rows(spool)
        assert answered <= set(there)
        assert set(spool.identifiers()) == set(there.values())
        assert not list(spool.incoming.iterdir())
        for paths in films:
            for path in paths:
                if path.name in there:
                    assert data_set_of(spool.image(there[path.name])) == data_set_of(path)
        if number % 2:
            _start_anew(spool)


def _start_anew(spool: Spool) -> None:
    """The next round's films are new ones again."""
    for path in [*spool.folder.glob("images/*/*.dcm"), *spool.folder.glob("node.db*")]:
        path.unlink()
