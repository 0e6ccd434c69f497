"""Other people's tools find nothing wrong: dciodvfy (dicom3tools), dcmdump and dsrdump (DCMTK)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cxredge
from tests.dicom_out.conftest import Made, make
from tests.support.dicom_files import BIG_ENDIAN, IMPLICIT, JPEG_LS
from tests.support.filed import complaints, filed_bytes, run_tool

CR: dict[str, Any] = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
    "Modality": "CR",
    "PresentationIntentType": None,
    "PatientOrientation": None,
}
BARE: dict[str, Any] = {
    "PatientName": None,
    "PatientID": None,
    "PatientBirthDate": None,
    "PatientSex": None,
    "StudyDate": None,
    "StudyTime": None,
    "StudyID": None,
    "AccessionNumber": None,
    "ReferringPhysicianName": None,
    "SpecificCharacterSet": None,
    "StudyDescription": None,
    "PatientWeight": None,
    "PatientAge": None,
    "OtherPatientIDs": None,
}
SOURCES: dict[str, dict[str, Any]] = {
    "implicit": {"syntax": IMPLICIT},
    "big endian": {"syntax": BIG_ENDIAN},
    "jpeg-ls": {"syntax": JPEG_LS},
    "cr": {"tags": CR},
    "inverted": {"photometric": "MONOCHROME1"},
    "without type 2": {"tags": BARE},
    "in a time zone": {"tags": {"TimezoneOffsetFromUTC": "+0545"}},
}


@pytest.mark.parametrize("kind", ["sr", "seg", "sc", "pr"])
def test_dciodvfy_finds_no_error(made: Made, kind: str) -> None:
    assert complaints(made.files[kind]) == []


def test_dciodvfy_of_an_abstention(abstained: Made) -> None:
    assert complaints(abstained.files["sr"]) == []


@pytest.mark.parametrize("name", SOURCES)
def test_dciodvfy_whatever_the_image_is_stored_as(model: cxredge.Model, tmp_path: Path, name: str) -> None:
    made = make(model, filed_bytes(**SOURCES[name]), tmp_path)
    assert {kind: complaints(path) for kind, path in made.files.items()} == {"sr": [], "seg": [], "sc": [], "pr": []}


def test_dciodvfy_can_complain(made: Made, tmp_path: Path) -> None:
    from pydicom import dcmread

    broken = dcmread(made.files["sr"])
    del broken.StudyInstanceUID
    broken.save_as(tmp_path / "broken.dcm")
    assert complaints(tmp_path / "broken.dcm")


def test_dsrdump_prints_the_report(made: Made) -> None:
    text, messages = run_tool("dsrdump", "--print-all-codes", "+Pl", made.files["sr"])
    assert "E:" not in messages
    assert "W:" not in messages
    for line in ('"Pleural effusion"', '"Positive"', '"Negative"', "not for diagnosis", '"Cardiothoracic ratio"'):
        assert line in text
    assert text.count("Measurement Group") == 14 + 4


def test_dsrdump_prints_an_abstention(abstained: Made) -> None:
    text, messages = run_tool("dsrdump", "+Pl", abstained.files["sr"])
    assert messages == ""
    assert "lateral_view" in text
    assert text.count("Not Attempted") == 14


def test_dcmdump_reads_every_object(made: Made) -> None:
    for path in made.files.values():
        text, messages = run_tool("dcmdump", path)
        assert messages == ""
        assert "(0008,0070) LO [cxredge]" in text
