"""Files: complete or not there, and never over something else."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

import cxredge
from cxredge.dicom_out import results_as_dicom, write_results
from cxredge.dicom_out.results import DicomResult
from cxredge.errors import Code, CxredgeError
from tests.dicom_out.conftest import CREATED
from tests.support.filed import filed_bytes


def result(model: cxredge.Model, seconds: int = 0, **tags: object) -> list[DicomResult]:
    """The report of a lateral film, made some seconds later."""
    source = filed_bytes(tags={"ViewPosition": "LL"} | tags)
    return results_as_dicom(model.predict(source), source, ["sr"], created=CREATED + timedelta(seconds=seconds))


def test_the_same_result_again_leaves_the_file(model: cxredge.Model, tmp_path: Path) -> None:
    (path,) = write_results(result(model), tmp_path, "film")
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    (again,) = write_results(result(model, seconds=60), tmp_path, "film")
    assert again == path
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_another_result_of_the_image_takes_its_place(model: cxredge.Model, tmp_path: Path) -> None:
    (path,) = write_results(result(model), tmp_path, "film")
    before = path.read_bytes()
    write_results(result(model, PatientName="Corrected^Name"), tmp_path, "film")
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]  # no temporary file stays


@pytest.mark.parametrize("content", [b"", b"not a DICOM file", "film", "other"], ids=str)
def test_another_file_is_never_replaced(model: cxredge.Model, tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "film.sr.dcm"
    if content == "film":  # the radiograph itself
        path.write_bytes(filed_bytes())
    elif content == "other":  # the result of another film of the same name
        write_results(result(model, SOPInstanceUID="1.2.3.4"), tmp_path, "film")
    else:
        path.write_bytes(content)  # type: ignore[arg-type]
    before = path.read_bytes()
    with pytest.raises(CxredgeError) as caught:
        write_results(result(model), tmp_path, "film")
    assert caught.value.code == Code.OUTPUT_UNWRITABLE
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom rights bind")
def test_a_folder_without_rights(model: cxredge.Model, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CxredgeError) as caught:
        write_results(result(model), tmp_path, "film")
    tmp_path.chmod(0o700)
    assert caught.value.code == Code.OUTPUT_UNWRITABLE


def test_a_folder_that_is_a_file(model: cxredge.Model, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a file")
    with pytest.raises(CxredgeError) as caught:
        write_results(result(model), tmp_path / "there", "film")
    assert caught.value.code == Code.OUTPUT_UNWRITABLE
