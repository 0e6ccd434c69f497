"""Results of real predictions, made once: what couriers carry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("highdicom", reason="the extra dicom is not installed")
pytest.importorskip("pynetdicom", reason="the extra node is not installed")

from pydicom.uid import generate_uid

import cxredge
from cxredge.dicom_out import results_as_dicom
from cxredge.dicom_out.writing import encoded
from tests.support.filed import filed_bytes
from tests.support.orthanc import Orthanc, orthanc


@pytest.fixture(scope="session")
def result_sets(tiny_bundle: Path) -> list[dict[str, bytes]]:
    """The four objects of each of four films, by kind."""
    made = []
    with cxredge.load(tiny_bundle, engine="onnxruntime", precision="fp32", threads=1) as model:
        for _ in range(4):
            film = filed_bytes(tags={"SOPInstanceUID": generate_uid()})
            results = results_as_dicom(model.predict(film), film)
            made.append({result.kind: encoded(result.dataset) for result in results})
    return made


@pytest.fixture(scope="session")
def one_pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def pacs(one_pacs: Orthanc) -> Orthanc:
    """A real Orthanc that holds nothing."""
    one_pacs.forget()
    return one_pacs
