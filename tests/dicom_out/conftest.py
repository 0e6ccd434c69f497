"""One prediction on one drawn film, and its objects: made once for all tests that only look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("highdicom", reason="the extra dicom is not installed")

import cxredge
from cxredge.dicom_out import results_as_dicom, write_results
from tests.support.filed import filed_bytes

CREATED = datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=UTC)


@dataclass(frozen=True)
class Made:
    """What came of one file: the prediction, the data sets by kind, and their files by kind."""

    source: bytes
    prediction: Any
    datasets: dict[str, Any]
    files: dict[str, Path]


@pytest.fixture(scope="session")
def model(tiny_bundle: Path) -> Iterator[cxredge.Model]:
    with cxredge.load(tiny_bundle, engine="onnxruntime", precision="fp32", threads=1) as loaded:
        yield loaded


def make(model: cxredge.Model, source: bytes, folder: Path, **options: Any) -> Made:
    """Predict, make all objects, write them."""
    options.setdefault("created", CREATED)
    prediction = next(model.predict_many([source]))
    results = results_as_dicom(prediction, source, **options)
    paths = write_results(results, folder, "film")
    kinds = [result.kind for result in results]
    datasets = {result.kind: result.dataset for result in results}
    return Made(source, prediction, datasets, dict(zip(kinds, paths, strict=True)))


@pytest.fixture(scope="session")
def made(model: cxredge.Model, tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = make(model, filed_bytes(), tmp_path_factory.mktemp("made"))
    assert list(made.files) == ["sr", "seg", "sc", "pr"]
    return made


@pytest.fixture(scope="session")
def abstained(model: cxredge.Model, tmp_path_factory: pytest.TempPathFactory) -> Made:
    lateral = filed_bytes(tags={"ViewPosition": "LL"})
    return make(model, lateral, tmp_path_factory.mktemp("abstained"))
