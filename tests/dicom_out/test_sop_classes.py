"""The classes that results are announced as are those that they have."""

from __future__ import annotations

from cxredge.dicom_out import SOP_CLASSES
from tests.dicom_out.conftest import Made


def test_classes(made: Made) -> None:
    assert {kind: str(dataset.SOPClassUID) for kind, dataset in made.datasets.items()} == SOP_CLASSES
