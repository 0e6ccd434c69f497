"""Thresholds, rates, and folders of files, each against an independent count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from cxredge.pixels import Geometry
from tests.support.dicom_files import write_dicom
from tests.support.phantom import draw_phantom
from training.gate import QUESTIONS
from training.gating.files import planes_of_folder
from training.gating.measure import Seen, chosen, probabilities, rates


@pytest.mark.parametrize("count", [1, 7, 199, 200, 1000])
@pytest.mark.parametrize("allowed", [0.0, 0.005, 0.1])
def test_a_threshold_refuses_no_more_than_allowed_and_is_the_lowest_such(count: int, allowed: float) -> None:
    rng = np.random.default_rng(count)
    upright = rng.beta(0.4, 1.0, (count, 3))
    for column, (name, limit) in enumerate(chosen(upright, allowed).items()):
        assert name == QUESTIONS[column]
        assert (upright[:, column] >= limit).sum() <= allowed * count
        assert limit == 0.5 or (upright[:, column] >= limit - 0.0011).sum() > allowed * count


def test_a_sure_gate_gets_one_half_and_a_chest_at_one_is_let_through() -> None:
    assert chosen(np.full((50, 3), 0.1)) == dict.fromkeys(QUESTIONS, 0.5)
    high = chosen(np.full((50, 3), 0.9999))["inverted"]
    assert 0.9999 < high < 1.0


def test_rates_are_those_of_a_plain_count() -> None:
    rng = np.random.default_rng(1)
    truth = np.full((200, 3), np.nan)
    truth[:, 0] = np.arange(200) >= 120
    truth[:120, 1:] = rng.random((120, 2)) < 0.5
    logits = np.nan_to_num(truth, nan=0.3) * 2 - 1 + rng.normal(0, 1, (200, 3))
    kinds = tuple(np.where(truth[:, 0] == 1, "hand", "as it is").tolist())
    seen = Seen(logits, truth, kinds, tuple(f"p{i}" for i in range(200)))
    limits = {"not_chest": 0.6, "inverted": 0.7, "turned": 0.8}
    found = rates(seen, limits, resamples=50)
    for column, name in enumerate(QUESTIONS):
        known = ~np.isnan(truth[:, column])
        wanted = roc_auc_score(truth[known, column], logits[known, column])
        assert found["auroc"][name]["value"] == pytest.approx(wanted, abs=1e-12)
        assert found["auroc"][name]["low"] < wanted < found["auroc"][name]["high"]
    said = probabilities(logits) >= [0.6, 0.7, 0.8]
    assert found["kinds"]["hand"] == {
        "pictures": 80,
        "stopped": int(said[120:].any(1).sum()),
        **{name: int(said[120:, c].sum()) for c, name in enumerate(QUESTIONS)},
    }
    assert found["others"] == {"pictures": 80, "stopped": int(said[120:].any(1).sum())}


def test_files_are_read_whatever_their_tags_say(tmp_path: Path) -> None:
    pixels = draw_phantom(120, 100)
    tags = {"Modality": "CT", "BodyPartExamined": "HAND", "ViewPosition": "LL", "PatientOrientation": ["A", "F"]}
    write_dicom(tmp_path / "a.dcm", pixels, window=(2048.0, 4096.0), tags=tags)
    (tmp_path / "deeper").mkdir()
    Image.fromarray((pixels >> 4).astype(np.uint8)).save(tmp_path / "deeper" / "b.png")
    (tmp_path / "c.txt").write_text("no picture", encoding="utf-8")
    found = {picture.name: picture for picture in planes_of_folder(tmp_path, Geometry(64, 64, "pad"))}
    assert list(found) == ["a.dcm", "c.txt", "deeper/b.png"]
    assert found["c.txt"].plane is None and found["c.txt"].refused == "not_an_image"
    one, other = found["a.dcm"].plane, found["deeper/b.png"].plane
    assert one is not None and other is not None and one.shape == (64, 64)
    np.testing.assert_allclose(one, other, atol=0.01)
