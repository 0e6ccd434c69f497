"""An engine that was well when it was loaded, and falls ill: a typed error, and no findings of any kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import cxredge
from cxredge.engines.catalog import ENGINES
from cxredge.errors import Code, EngineError
from tests.support import rogue_engine

ILLS = {
    "nan": Code.ENGINE_OUTPUT,
    "wrong-shape": Code.ENGINE_OUTPUT,
    "wrong-type": Code.ENGINE_OUTPUT,
    "missing-output": Code.ENGINE_OUTPUT,
    "raise": Code.ENGINE_FAILED,
}


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Iterator[cxredge.Model]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(ENGINES, "rogue", rogue_engine.MODULE)
        with cxredge.load(tiny_bundle, engine="rogue", device="good", precision="fp32") as loaded:
            yield loaded


def probabilities(prediction: cxredge.Prediction) -> list[float]:
    return [finding.probability for finding in prediction.findings]


@pytest.mark.parametrize(("ill", "code"), ILLS.items())
def test_one_image(model: cxredge.Model, scan: Path, monkeypatch: pytest.MonkeyPatch, ill: str, code: Code) -> None:
    well = probabilities(model.predict(scan))
    monkeypatch.setenv("ROGUE_NOW", ill)
    with pytest.raises(EngineError) as caught:
        model.predict(scan)
    assert caught.value.code is code and "/a/path" not in str(caught.value)
    monkeypatch.delenv("ROGUE_NOW")
    assert probabilities(model.predict(scan)) == well


@pytest.mark.parametrize(("ill", "code"), ILLS.items())
@pytest.mark.parametrize("batch_size", [1, 3])
def test_many_images(
    model: cxredge.Model, scan: Path, monkeypatch: pytest.MonkeyPatch, ill: str, code: Code, batch_size: int
) -> None:
    """Each has an answer of its own that says so, and nothing in it looks like a result."""
    monkeypatch.setenv("ROGUE_NOW", ill)
    answers = list(model.predict_many([scan, np.zeros((300, 300), np.uint8), scan, scan], batch_size=batch_size))
    assert [answer.status for answer in answers] == ["error", "abstained", "error", "error"]
    for answer in answers:
        record = json.loads(answer.to_json())
        assert (record["findings"], record["anatomy"], record["gate"]) == ([], None, None)
        assert not answer.masks and not answer.heatmaps
        assert answer.reason is not None and answer.reason.code in (code, Code.BLANK_IMAGE)
