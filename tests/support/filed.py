"""A drawn radiograph as a PACS has it: with patient, study and order; and other people's tools to look at results."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.dicom_files import dicom_bytes
from tests.support.phantom import draw_phantom

FILED: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 100",
    "PatientName": "Müller^Zoë",
    "PatientID": "PHANTOM-1",
    "PatientBirthDate": "19500102",
    "PatientSex": "F",
    "PatientAge": "076Y",
    "PatientWeight": "61.5",
    "OtherPatientIDs": ["A-1", "B-2"],
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.1.1",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.1.1.1",
    "StudyDate": "20260301",
    "StudyTime": "101500",
    "StudyID": "S1",
    "AccessionNumber": "ACC-77",
    "StudyDescription": "Thorax p.a., Übersicht",
    "ReferringPhysicianName": "Größer^Jürgen",
    "Manufacturer": "Drawn Devices",
    "SeriesNumber": 1,
    "InstanceNumber": 1,
    "PixelSpacing": [0.4, 0.4],
}

SYSTEM = "/usr/bin:/usr/local/bin:/opt/homebrew/bin"
"""Where DCMTK is; pynetdicom has programs of the same names, and an environment's come first."""


def filed_bytes(
    rows: int = 480,
    columns: int = 400,
    *,
    tags: dict[str, Any] | None = None,
    draw: Callable[[int, int], npt.NDArray[np.uint16]] = draw_phantom,
    **options: Any,
) -> bytes:
    """A drawn chest as a DX file with all that `FILED` says, and with `tags` over it (None removes one)."""
    pixels = draw(rows, columns)
    if options.get("photometric") == "MONOCHROME1":
        pixels = 4095 - pixels
    options.setdefault("window", (2048.0, 4096.0))
    return dicom_bytes(pixels, tags=FILED | (tags or {}), **options)


def tool(name: str) -> str:
    """The path of a program that this test compares with; without it the test is skipped."""
    path = shutil.which(name, path=SYSTEM) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: dcmtk, dicom3tools)")
    return path


def run_tool(name: str, *arguments: str | Path) -> tuple[str, str]:
    """Run it and give its output and its messages; it must succeed."""
    done = subprocess.run([tool(name), *map(str, arguments)], capture_output=True, timeout=60)
    output, messages = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    assert done.returncode == 0, output + messages
    return output, messages


def complaints(path: Path) -> list[str]:
    """What dciodvfy calls an error of the object."""
    done = subprocess.run([tool("dciodvfy"), "-new", str(path)], capture_output=True, timeout=60)
    return [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.startswith("Error")]
