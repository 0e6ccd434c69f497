"""The reference table: one row a real file, with the outcome that it must have (outcomes.csv)."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cxredge.errors import CxredgeError
from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import open_source, read_plane

with (Path(__file__).parent / "outcomes.csv").open(encoding="utf-8", newline="") as _file:
    TABLE = list(csv.DictReader(_file))


@pytest.mark.shared
@pytest.mark.parametrize("row", TABLE, ids=[row["file"] for row in TABLE])
def test_outcome(row: dict[str, str], shared_data: Path) -> None:
    warnings: list[str] = []
    try:
        radiograph = open_source(shared_data / "dicom" / row["file"])
        found = read_plane(radiograph, Geometry(256, 256, "pad"), Percentiles())[2]
        outcome, code = "ok", ""
        warnings = sorted(notice.code for notice in (*radiograph.warnings, *found))
    except CxredgeError as error:
        outcome, code = str(error.code.kind), str(error.code)
    assert (outcome, code, " ".join(warnings)) == (row["outcome"], row["code"], row["warnings"])


@pytest.mark.shared
def test_table_is_complete_and_agrees_with_the_index(shared_data: Path) -> None:
    """Every file has a row; and what is no radiograph by the index's own columns never has a result."""
    with (shared_data / "dicom" / "index.csv").open(encoding="utf-8", newline="") as file:
        index = {row["file"]: row for row in csv.DictReader(file)}
    outcomes = {row["file"]: row["outcome"] for row in TABLE}
    assert outcomes.keys() == index.keys()
    for name, row in index.items():
        chest = row["body_part"] in ("CHEST", "THORAX") and row["modality"] in ("CR", "DX")
        assert (outcomes[name] == "ok") == chest, name


@pytest.mark.shared
def test_no_patient_data_in_messages(shared_data: Path) -> None:
    """Names, numbers, dates and UIDs of the files do not appear in any message."""
    from pydicom import dcmread

    checked = 0
    for row in TABLE:
        path = shared_data / "dicom" / row["file"]
        try:
            open_source(path)
            continue
        except CxredgeError as error:
            message = str(error)
        try:
            ds = dcmread(path, stop_before_pixels=True, force=True)
            values = [str(ds.get(k, "")) for k in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate")]
            values += [str(ds.get(k, "")) for k in ("SOPInstanceUID", "StudyInstanceUID", "InstitutionName")]
        except Exception:  # noqa: S112 - broken on purpose
            continue
        for value in values:
            if len(value) > 3:
                assert value not in message
                checked += 1
    assert checked > 300
