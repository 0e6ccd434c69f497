"""A patient who cannot be mistaken goes through all that a node does, and is found nowhere but in the DICOM files."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra node is not installed")
pytest.importorskip("psutil", reason="psutil is not installed")

import psutil

from tests.support.filed import filed_bytes, tool
from tests.support.nodes import NodeFolder, RunningNode, destination, films, reports_in, send, wait_for
from tests.support.orthanc import Orthanc, free_ports, orthanc

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and storescu")

ROOT = "1.2.826.0.1.3680043.8.498.404170417"
CANARY: dict[str, Any] = {
    "PatientName": "Zzyzx^Quillfeather",
    "PatientID": "CANARY-40417",
    "PatientBirthDate": "19290417",
    "OtherPatientIDs": ["CANARY-40418"],
    "PatientComments": "Zzyzx breeds quillfeathers",
    "StudyInstanceUID": f"{ROOT}.1",
    "SeriesInstanceUID": f"{ROOT}.1.1",
    "SOPInstanceUID": f"{ROOT}.1.1.1",
    "StudyID": "ZZYZXSTUDY",
    "AccessionNumber": "ACCZZY7741",
    "StudyDescription": "Zzyzx thorax",
    "InstitutionName": "Quillfeather Memorial",
    "ReferringPhysicianName": "Drquack^Ottoline",
    "OperatorsName": "Drquack^Operator",
    "StationName": "ZZYZXSTATION",
}
WORDS = ("zzyzx", "quillfeather", "canary-4041", "19290417", "acczzy", "404170417", "drquack", "ottoline")


def found_in(text: str) -> list[str]:
    return [word for word in WORDS if word in text.lower()]


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


def broken_films(folder: Path) -> list[Path]:
    """The same patient's: cut pixel data, a lateral view, a CT, no study, values that break their kind."""
    made = []
    cases: dict[str, dict[str, Any]] = {
        "lateral": {"ViewPosition": "LL"},
        "ct": {"Modality": "CT"},
        "no_study": {"StudyInstanceUID": None},
        "odd": {"PatientAge": "Zzyzx", "PatientBirthDate": "Zzyzx"},
        "cut": {},
    }
    for number, (name, tags) in enumerate(cases.items(), start=100):
        with_uid = CANARY | {"SOPInstanceUID": f"{ROOT}.{number}"} | tags
        data = filed_bytes(tags=with_uid)
        path = folder / f"{name}.dcm"
        path.write_bytes(data[:-100_000] if name == "cut" else data)
        made.append(path)
    return made


def kill_a_worker(node: RunningNode) -> None:
    for worker in psutil.Process(node.process.pid).children(recursive=True):
        worker.kill()


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_nothing_of_the_patient_is_seen(tmp_path: Path, tiny_bundle: Path, pacs: Orthanc) -> None:
    down = f'[[destination]]\nname = "down"\nae_title = "X"\nhost = "127.0.0.1"\nport = {free_ports(1)[0]}\n'
    place = NodeFolder(tmp_path / "node", tiny_bundle, destination(pacs, objects=("sr", "seg", "sc", "pr")) + down)
    good = films(tmp_path / "films", filed_bytes(tags=CANARY), range(1, 4), ROOT)
    bad = broken_films(tmp_path / "films")
    seen: list[str] = []
    with place.start() as node:  # the way through, and every way out of it
        node.wait_ready()
        assert send(place.port, good) == good
        send(place.port, bad)
        send(place.port, good[:1], "-aet", "ZZYZXAET")  # a title that the sender chose, refused
        refused = [tool("storescu"), "-aec", "QUILLFEATHER", "127.0.0.1", str(place.port), str(good[0])]
        assert subprocess.run(refused, capture_output=True, timeout=60).returncode != 0
        kill_a_worker(node)
        send(place.port, films(tmp_path / "more", filed_bytes(tags=CANARY), range(10, 14), ROOT))
        wait_for(lambda: len(reports_in(pacs)) >= len(good), "reports")
        wait_for(lambda: not place.found("--state", "queued", "--state", "running")["images"], "all analysed")
        seen += [node.get(page)[1] for page in ("/metrics", "/readyz")]
        for arguments in (["list"], ["list", "--json"], ["retry", "--all-parked"], ["drop", "--all-given-up"]):
            done = place.queue(*arguments)
            seen += [done.stdout, done.stderr]
        kill_a_worker(node)
        node.kill()
    seen.append(node.log.read_text())
    place.config.write_text(place.config.read_text() + "[workers]\ntimeout_s = 0.001\n")
    with place.start() as node:  # every image is a poison now: workers end while they hold it
        node.wait_ready()
        send(place.port, films(tmp_path / "late", filed_bytes(tags=CANARY), range(20, 22), ROOT))
        wait_for(lambda: len(node.events("parked")) >= 2, "parked images")
        done = place.queue("list", "--state", "parked")
        seen += [done.stdout, done.stderr, node.get("/metrics")[1]]
        assert node.stop() == 0
    seen.append(node.log.read_text())
    events = {
        one["event"] for log in place.folder.glob("*.log") for one in RunningNode(place, node.process, log).events()
    }
    wanted = {
        "received",
        "connection_refused",
        "analysed",
        "abstained",
        "parked",
        "worker_ended",
        "sent",
        "send_failed",
    }
    assert wanted <= events
    for text in seen:
        assert not found_in(text), text
    names = "\n".join(str(path.relative_to(place.folder)) for path in place.folder.rglob("*"))
    assert not found_in(names)
    table = sqlite3.connect(place.spool / "node.db")
    for query in ("select id, state, code, reason, sender from images", "select * from deliveries"):
        assert not found_in(repr(table.execute(query).fetchall()))
    # The search can find: the patient is in the report, as it must be.
    assert found_in(next(iter(reports_in(pacs).values()))[0].decode("latin-1"))
