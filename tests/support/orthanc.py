"""A real Orthanc on free ports of the loopback interface, with a storage of its own that goes with it."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_STARTS_WITHIN = 30.0
_PORTS = (10_000, 32_000)
_NUMBERS = random.SystemRandom()  # not the seeded one: tests run beside each other


@dataclass(frozen=True)
class Orthanc:
    """A running server."""

    http: int
    dimse: int
    process: int

    def get(self, path: str, accept: str = "*/*") -> tuple[bytes, str]:
        """The body and its content type."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own server
            return answer.read(), answer.headers["Content-Type"]

    def json(self, path: str) -> Any:
        """What it answers, parsed."""
        return json.loads(self.get(path)[0])

    def forget(self) -> None:
        """Delete all that was stored."""
        for patient in self.json("/patients"):
            url = f"http://127.0.0.1:{self.http}/patients/{patient}"
            urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=20)

    def stow(self, files: list[Path]) -> Any:
        """Store over DICOMweb (STOW-RS); the answer, parsed."""
        edge = "cxredge-boundary"
        parts = [
            f"--{edge}\r\nContent-Type: application/dicom\r\n\r\n".encode() + path.read_bytes() + b"\r\n"
            for path in files
        ]
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={edge}',
            "Accept": "application/dicom+json",
        }
        body = b"".join(parts) + f"--{edge}--\r\n".encode()
        url = f"http://127.0.0.1:{self.http}/dicom-web/studies"
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
            return json.loads(answer.read())

    def wado(self, study: str, series: str, instance: str) -> bytes:
        """Fetch one object over DICOMweb (WADO-RS)."""
        path = f"/dicom-web/studies/{study}/series/{series}/instances/{instance}"
        body, kind = self.get(path, 'multipart/related; type="application/dicom"; transfer-syntax=*')
        message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body, policy=policy.HTTP)
        (part,) = message.iter_parts()
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        return content


def free_ports(count: int) -> list[int]:
    """Ports that no one had a moment ago.

    Below those that systems give to whoever asks for any: such a one can be another process's, as its side of a
    connection, before the server that it is meant for has started.
    """
    found: list[socket.socket] = []
    while len(found) < count:
        one = socket.socket()
        try:
            one.bind(("127.0.0.1", _NUMBERS.randrange(*_PORTS)))
        except OSError:
            one.close()
        else:
            found.append(one)
    ports = [one.getsockname()[1] for one in found]
    for one in found:
        one.close()
    return ports


@contextmanager
def orthanc(folder: Path, **options: Any) -> Iterator[Orthanc]:
    """Start it with an empty storage in `folder`, and stop it; skips the test where it is not installed.

    `options` join its configuration.
    """
    program = shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None or not DICOMWEB.exists():
        pytest.skip("Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)")
    http, dimse = free_ports(2)
    config = {
        "Name": "cxredge-tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http,
        "DicomPort": dimse,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowGet": True,
        "Plugins": [str(DICOMWEB)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **options,
    }
    (folder / "orthanc.json").write_text(json.dumps(config), encoding="utf-8")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT)
    try:
        server = Orthanc(http, dimse, process.pid)
        _wait(server, process, folder / "orthanc.log")
        yield server
    finally:
        process.terminate()
        process.wait(20)


def _wait(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            server.json("/system")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"Orthanc did not start:\n{log.read_text(errors='replace')[-2000:]}")
