"""The node as a service: it starts, works from end to end with other people's programs, and ends as it should."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="the extra node is not installed")
pytest.importorskip("psutil", reason="psutil is not installed")

import psutil

from tests.support.filed import filed_bytes
from tests.support.nodes import NodeFolder, data_set, destination, films, reports_in, send, wait_for
from tests.support.orthanc import Orthanc, free_ports, orthanc

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and storescu")


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, tiny_bundle: Path, pacs: Orthanc) -> NodeFolder:
    pacs.forget()
    return NodeFolder(tmp_path / "node", tiny_bundle, destination(pacs))


def test_from_storescu_to_orthanc(place: NodeFolder, pacs: Orthanc, tmp_path: Path) -> None:
    """Each image that was answered for is one report in the PACS, the same to the byte; then it ends well."""
    files = films(tmp_path / "films", filed_bytes(), range(5))
    with place.start() as node:
        node.wait_ready()
        assert send(place.port, files) == files
        assert send(place.port, files[:2]) == files[:2]  # once more, as a sender does that heard no answer
        wait_for(place.is_done, "an empty queue")
        text = node.get("/metrics")[1]
        assert node.stop() == 0
    reports = reports_in(pacs)
    assert len(reports) == 5
    assert {len(found) for found in reports.values()} == {1}
    kept = sorted(data_set(path.read_bytes()) for path in place.spool.glob("results/*/*/sr.dcm"))
    assert sorted(data_set(found[0]) for found in reports.values()) == kept
    for line in ("received_total", "known_total"):
        assert f'cxredge_{line}{{sender="STORESCU"}} {5 if line[0] == "r" else 2}' in text
    assert 'cxredge_sent_total{destination="pacs"} 5' in text
    names = [one["event"] for one in node.events()]
    assert (names[0], names[-1]) == ("started", "stopped")
    assert (names.count("received"), names.count("sent")) == (5, 5)
    assert not node.events("failed")


def test_one_node_a_spool(place: NodeFolder) -> None:
    with place.start() as node:
        node.wait_ready()
        with place.start() as second:
            assert second.process.wait(60) == 2
            assert "spool_busy" in second.log.read_text()
        assert node.get("/healthz")[0] == 200
        node.kill()
    with place.start() as third:  # a crash leaves no lock behind
        third.wait_ready()
        assert third.stop() == 0


def test_an_address_that_is_taken(place: NodeFolder) -> None:
    with socket.create_server(("127.0.0.1", place.port)), place.start() as node:
        assert node.process.wait(60) == 2
        assert "node_address" in node.log.read_text()


def test_a_second_signal_ends_it_at_once(place: NodeFolder) -> None:
    """A sender that holds its association open holds up the end; whoever cannot wait asks twice."""
    with place.start() as node:
        node.wait_ready()
        workers = psutil.Process(node.process.pid).children(recursive=True)
        assert workers
        node.process.send_signal(signal.SIGSTOP)
        node.process.send_signal(signal.SIGTERM)
        node.process.send_signal(signal.SIGINT)
        node.process.send_signal(signal.SIGCONT)
        assert node.process.wait(60) == 1
        psutil.wait_procs(workers, timeout=60)
        assert not [one for one in workers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_the_queue_changes_a_node_that_runs(place: NodeFolder, pacs: Orthanc, tmp_path: Path) -> None:
    """An image whose time was too short is parked; with more time and a person's word it is analysed."""
    (file,) = films(tmp_path / "films", filed_bytes(), [1])
    patient = place.config.read_text()
    place.config.write_text(patient + "[workers]\ntimeout_s = 0.001\n")
    with place.start() as node:
        node.wait_ready()
        assert send(place.port, [file]) == [file]
        wait_for(lambda: node.events("parked"), "a parked image")
        assert len(node.events("retried")) == 1
        node.wait_ready()
        assert node.stop() == 0
    place.config.write_text(patient)
    with place.start() as node:
        node.wait_ready()
        (image,) = place.found()["images"]
        assert (image["state"], image["code"]) == ("parked", "worker_timeout")
        assert place.queue("retry", image["id"]).stdout == "1 retried\n"
        wait_for(lambda: node.events("sent"), "its report at the destination")
        assert node.stop() == 0
    assert len(reports_in(pacs)) == 1


def test_what_is_received_while_it_is_asked_to_end(place: NodeFolder, pacs: Orthanc, tmp_path: Path) -> None:
    """SIGTERM under load: it ends with 0, and what was answered for is there after the next start."""
    files = films(tmp_path / "films", filed_bytes(), range(20))
    answered: list[Path] = []
    with place.start() as node:
        node.wait_ready()
        sender = threading.Thread(target=lambda: answered.extend(send(place.port, files)))
        sender.start()
        wait_for(lambda: node.events("received"), "a first image")
        assert node.stop() == 0
        sender.join()
        assert node.events()[-1]["event"] == "stopped"
    with place.start() as node:
        node.wait_ready()
        wait_for(place.is_done, "an empty queue")
        assert node.stop() == 0
    assert len(answered) >= 1
    assert len(reports_in(pacs)) >= len(answered)


def test_a_destination_that_hangs_does_not_hold_up_the_end(tiny_bundle: Path, tmp_path: Path, pacs: Orthanc) -> None:
    """It takes the connection and says nothing, and the node would wait an hour for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hangs = f'[[destination]]\nname = "hangs"\nae_title = "X"\nhost = "127.0.0.1"\nport = {port}\n'
        place = NodeFolder(tmp_path / "node", tiny_bundle, destination(pacs) + hangs + "timeout_s = 3600.0\n")
        with place.start() as node:
            node.wait_ready()
            assert send(place.port, films(tmp_path / "films", filed_bytes(), [1]))
            connection, _ = silent.accept()
            wait_for(lambda: node.events("sent"), "the other destination, which need not wait")
            assert node.stop() == 0
            connection.close()
    assert [(one["destination"], one["state"]) for one in place.found()["deliveries"]] == [("hangs", "waiting")]


def test_systemd_is_told(place: NodeFolder, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        with place.start(env=environment) as node:
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            node.process.send_signal(signal.SIGTERM)
            heard = b""
            while heard != b"STOPPING=1":
                heard = manager.recv(100)
                assert heard in (b"WATCHDOG=1", b"STOPPING=1")
            assert node.process.wait(60) == 0


def test_check(place: NodeFolder, pacs: Orthanc, tmp_path: Path, tiny_bundle: Path) -> None:
    """A row for each thing; a destination that is down fails, and so does the command."""

    def check(folder: NodeFolder) -> tuple[int, list[str]]:
        command = [sys.executable, "-P", "-m", "cxredge", "node", "--config", str(folder.config), "--check"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    code, rows = check(place)
    assert code == 0, rows
    assert [row.split()[0] for row in rows] == ["ok"] * 5
    assert "onnxruntime fp32" in rows[3]
    assert "C-ECHO answered" in rows[4]
    web = f'[[destination]]\nname = "web"\nurl = "http://127.0.0.1:{pacs.http}/dicom-web"\n'
    wrong = f'[[destination]]\nname = "wrong"\nurl = "http://127.0.0.1:{pacs.http}/elsewhere"\n'
    down = f'[[destination]]\nname = "down"\nae_title = "X"\nhost = "127.0.0.1"\nport = {free_ports(1)[0]}\n'
    code, rows = check(NodeFolder(tmp_path / "other", tiny_bundle, web + wrong + down))
    assert code == 1
    assert [row.split()[0] for row in rows[4:]] == ["ok", "FAIL", "FAIL"], rows


def test_without_the_extra(place: NodeFolder) -> None:
    program = (
        "import sys, importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *rest: None if name == 'pynetdicom' else find(name, *rest);"
        "from cxredge.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-P", "-c", program, "node", "--config", str(place.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert 'pip install "cxredge[node]"' in done.stderr
