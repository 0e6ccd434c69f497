"""A real PACS takes the objects, shows them in the image's study, and gives back what it was sent."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

import cxredge
from cxredge.dicom_out import results_as_dicom, write_results
from tests.dicom_out.conftest import CREATED, Made
from tests.support.filed import FILED, run_tool
from tests.support.orthanc import Orthanc, orthanc


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def empty(pacs: Orthanc) -> Orthanc:
    pacs.forget()
    return pacs


def store(pacs: Orthanc, *paths: Path) -> None:
    """Send them as docs/dicom-results.md says."""
    run_tool("storescu", "-R", "-aec", "ORTHANC", "127.0.0.1", str(pacs.dimse), *paths)


def by_class(data: list[bytes]) -> dict[str, Dataset]:
    return {str(dataset.SOPClassUID): dataset for dataset in (dcmread(io.BytesIO(one)) for one in data)}


def assert_equal(there: dict[str, Dataset], made: Made) -> None:
    """All four, every attribute and every pixel."""
    assert len(there) == 4
    for path in made.files.values():
        sent = dcmread(path)
        assert there[str(sent.SOPClassUID)] == sent


def test_over_dimse(empty: Orthanc, made: Made, tmp_path: Path) -> None:
    (tmp_path / "image.dcm").write_bytes(made.source)
    store(empty, tmp_path / "image.dcm", *made.files.values())
    (study,) = empty.json("/studies?expand")
    assert len(study["Series"]) == 5  # the image's, and one for each object
    assert study["PatientMainDicomTags"]["PatientName"] == FILED["PatientName"]
    (tmp_path / "back").mkdir()
    query = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={FILED['StudyInstanceUID']}"]
    back = ["-od", tmp_path / "back", "-aec", "ORTHANC", "127.0.0.1", str(empty.dimse)]
    run_tool("getscu", "-S", *query, *back)
    files = [path.read_bytes() for path in (tmp_path / "back").iterdir() if "DX" not in path.name[:2]]
    there = by_class(files)
    there.pop(str(dcmread(io.BytesIO(made.source)).SOPClassUID), None)
    assert_equal(there, made)


def test_over_dicomweb(empty: Orthanc, made: Made) -> None:
    answer = empty.stow(list(made.files.values()))
    assert len(answer["00081199"]["Value"]) == 4  # Referenced SOP Sequence: what was stored
    assert not answer.get("00081198", {}).get("Value")  # Failed SOP Sequence
    fetched = [
        empty.wado(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID) for ds in made.datasets.values()
    ]
    assert_equal(by_class(fetched), made)


def test_what_is_sent_twice_is_there_once(empty: Orthanc, made: Made, model: cxredge.Model, tmp_path: Path) -> None:
    store(empty, *made.files.values())
    again = results_as_dicom(model.predict(made.source), made.source, created=CREATED)
    store(empty, *write_results(again, tmp_path, "again"))
    assert len(empty.json("/instances")) == 4
    assert len(empty.json("/studies")) == 1


def test_an_abstention_is_filed_too(empty: Orthanc, abstained: Made) -> None:
    store(empty, abstained.files["sr"])
    (instance,) = empty.json("/instances?expand")
    assert instance["MainDicomTags"]["SOPInstanceUID"] == abstained.datasets["sr"].SOPInstanceUID
