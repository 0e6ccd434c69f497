"""A real node in a process of its own, DCMTK's storescu as its sender, and what a real Orthanc got of it."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread

from cxredge.dicom_out import SOP_CLASSES
from tests.support.filed import tool
from tests.support.orthanc import Orthanc, free_ports

__all__ = ["NodeFolder", "RunningNode", "data_set", "films", "send", "wait_for"]

PATIENCE = 180.0
"""Seconds that a test waits for a condition: the machine may be busy, and nothing here is timed."""


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE, every: float = 0.1) -> None:
    """Wait until it holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(every)


@dataclass
class NodeFolder:
    """A folder with node.toml, its spool beside it; the same ports each time it is started."""

    folder: Path
    bundle: Path
    destinations: str = ""
    more: str = ""
    port: int = 0
    metrics: int = 0
    runs: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        free = free_ports(2)
        self.port, self.metrics = self.port or free[0], self.metrics or free[1]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            f'spool = "spool"\n[receiver]\nport = {self.port}\n[[sender]]\nae_title = "STORESCU"\n'
            f'[model]\nbundle = "{self.bundle.as_posix()}"\nengine = "onnxruntime"\nprecision = "fp32"\nthreads = 1\n'
            f"[metrics]\nport = {self.metrics}\n{self.destinations}\n{self.more}\n",
            encoding="utf-8",
        )

    @property
    def config(self) -> Path:
        """The node.toml."""
        return self.folder / "node.toml"

    @property
    def spool(self) -> Path:
        """The spool."""
        return self.folder / "spool"

    def start(self, **options: Any) -> RunningNode:
        """Start it, without waiting for anything."""
        self.runs += 1
        log = self.folder / f"node-{self.runs:03}.log"
        command = [sys.executable, "-P", "-m", "cxredge", "node", "--config", str(self.config)]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True, **options)
        return RunningNode(self, process, log)

    def queue(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `cxredge queue`."""
        command = [sys.executable, "-P", "-m", "cxredge", "queue", "--config", str(self.config), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)

    def found(self, *arguments: str) -> dict[str, Any]:
        """What `cxredge queue list --json` shows."""
        done = self.queue("list", "--json", "--limit", "1000000", *arguments)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def is_done(self) -> bool:
        """Whether everything that can be done is done: nothing queued, running or waiting."""
        found = self.found()
        open_images = [image for image in found["images"] if image["state"] in ("queued", "running")]
        return not open_images and not [one for one in found["deliveries"] if one["state"] == "waiting"]


@dataclass
class RunningNode:
    """Its process."""

    place: NodeFolder
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.place.metrics}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_ready(self) -> RunningNode:
        """Wait until it receives and has a model."""

        def is_ready() -> bool:
            assert self.process.poll() is None, self.log.read_text(errors="replace")
            return self.get("/readyz")[0] == 200

        wait_for(is_ready, "a node that is ready")
        return self

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Its log, parsed; a last line that a kill cut off is left out."""
        lines = self.log.read_text(encoding="utf-8").split("\n")[:-1]
        found = [json.loads(line) for line in lines]
        return [one for one in found if name in (None, one["event"])]

    def kill(self) -> None:
        """End it without warning (SIGKILL), itself alone: what becomes of its workers is its business."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self) -> int:
        """End it well; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def __enter__(self) -> RunningNode:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


def films(
    folder: Path, template: bytes, numbers: Sequence[int], prefix: str = "1.2.826.0.1.3680043.8.498.7"
) -> list[Path]:
    """One file a number: the same film, each with a SOP Instance UID of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = dcmread(io.BytesIO(template))
    made = []
    for number in numbers:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{prefix}.{number}"
        path = folder / f"{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        made.append(path)
    return made


_SENT = re.compile(r"Sending file: (?P<file>.*)|Received Store Response \((?P<status>.*)\)")


def send(port: int, files: Sequence[Path], *options: str) -> list[Path]:
    """Send them in one association with DCMTK's storescu; those that were answered with success."""
    command = [tool("storescu"), "-v", "-R", "-nh", "-to", "5", "-ts", "30", "-ta", "10", "-td", "60", *options]
    command += ["-aec", "CXREDGE", "127.0.0.1", str(port), *map(str, files)]
    said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    sending, answered = "", []
    for match in _SENT.finditer(said.stdout.decode("utf-8", "replace")):
        if match["file"] is not None:
            sending = match["file"].strip()
        elif match["status"].startswith("Success"):
            answered.append(Path(sending))
    return answered


def data_set(file: bytes) -> bytes:
    """A DICOM file without its preamble and file meta information, which whoever stores it writes anew."""
    assert file[128:132] == b"DICM"
    assert file[132:136] == b"\x02\0\0\0", "the first element is the length of group 2"
    return file[144 + int.from_bytes(file[140:144], "little") :]


def reports_in(pacs: Orthanc) -> dict[str, list[bytes]]:
    """Every SR in Orthanc by the SOP Instance UID of the image that it is about."""
    found: dict[str, list[bytes]] = {}
    for one in pacs.json("/instances"):
        file = pacs.get(f"/instances/{one}/file")[0]
        dataset = dcmread(io.BytesIO(file))
        if dataset.Modality == "SR":
            (about,) = {
                item.ReferencedSOPInstanceUID
                for evidence in dataset.CurrentRequestedProcedureEvidenceSequence
                for series in evidence.ReferencedSeriesSequence
                for item in series.ReferencedSOPSequence
                if item.ReferencedSOPClassUID != SOP_CLASSES["seg"]
            }
            found.setdefault(str(about), []).append(file)
    return found


def destination(pacs: Orthanc, *, name: str = "pacs", objects: Sequence[str] = ("sr",), more: str = "") -> str:
    """Orthanc as a [[destination]]."""
    listed = ", ".join(f'"{kind}"' for kind in objects)
    return (
        f'[[destination]]\nname = "{name}"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {pacs.dimse}\n'
        f"objects = [{listed}]\nlongest_pause_s = 2.0\n{more}\n"
    )
