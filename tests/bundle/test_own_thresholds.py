"""Calibration and thresholds of single precisions: what decides is what belongs to the precision that really ran."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cxredge
from cxredge.bundle import open_bundle, verify
from cxredge.bundle.manifest import decode, encode, from_tree
from cxredge.errors import BundleError, Code
from cxredge.operating_points import logit
from tests.support.own_thresholds import POINTS, SCALE, own_findings, write_own_thresholds


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_own_thresholds(tmp_path_factory.mktemp("own") / "own.cxr")


@pytest.mark.parametrize(("precision", "scale", "limits"), [
    ("fp32", SCALE, POINTS), ("int8", 1.0, {"balanced": 0.5, "screening": 0.3, "confirm": 0.7}),
])  # fmt: skip
def test_the_precision_that_ran_decides_with_its_own(
    own: Path, tiny_bundle: Path, scan: Path, precision: str, scale: float, limits: dict[str, float]
) -> None:
    how = {"engine": "onnxruntime", "precision": precision}
    with cxredge.load(own, **how) as model, cxredge.load(tiny_bundle, **how) as plain:
        for point, limit in limits.items():
            told = json.loads(model.predict(scan, operating_point=point).to_json())
            usual = plain.predict(scan, operating_point=point)
            assert told["ran"]["precision"] == precision
            for finding, other in zip(told["findings"], usual.findings, strict=True):
                assert (finding["operating_point"], finding["threshold"]) == (point, limit)
                assert finding["positive"] == (finding["probability"] >= limit)
                wanted = scale * float(logit(np.array(other.probability)))
                assert float(logit(np.array(finding["probability"]))) == pytest.approx(wanted, abs=1e-6)


def test_bf16_takes_those_of_the_graph_that_it_runs(own: Path) -> None:
    verify(own)
    with open_bundle(own) as bundle:
        m = bundle.manifest
        assert m.findings_for("bf16") == m.findings_for("fp32") != m.findings
        assert m.findings_for("int8") == m.findings_for() == m.findings
        assert m.thresholds("confirm", "fp32") == (0.8,) * 14 and m.thresholds("confirm") == (0.7,) * 14
        with pytest.raises(BundleError) as caught:
            m.thresholds("best", "fp32")
    assert caught.value.code is Code.OPERATING_POINT_UNKNOWN


def test_a_bundle_without_them_is_byte_for_byte_what_it_was(tiny_bundle: Path) -> None:
    with open_bundle(tiny_bundle) as bundle:
        data = encode(bundle.manifest)
        assert b"by_precision" not in data and decode(data) == bundle.manifest


def changed(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(tree: dict[str, Any]) -> None:
        at = tree["findings_by_precision"]
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed("fp16", value=own_findings()), "never run"),
        (changed("fp64", value=own_findings()), "fp64"),
        (changed("fp32", value=own_findings()[:-1]), "one a label"),
        (changed("fp32", value=own_findings()[::-1]), "one a label"),
        (changed("fp32", value=[]), "one a label"),
        (changed("fp32", 3, "operating_points", "more", value={"threshold": 0.1, "how": "x", "data": "x"}), "other op"),
        (changed("fp32", 3, "operating_points", value={"a": {"threshold": 0.1, "how": "x", "data": "x"}}), "other op"),
        (changed("fp32", 3, "calibration", "offset", value=1.0), "temperature has no offset"),
        (changed("fp32", 3, "operating_points", "confirm", "threshold", value=1.5), "threshold"),
        (lambda tree: tree.update(findings_by_precision={}), "findings_by_precision"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(own: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    with open_bundle(own) as bundle:
        tree = copy.deepcopy(json.loads(encode(bundle.manifest)))
    from_tree(tree)
    change(tree)
    with pytest.raises(BundleError, match=said) as caught:
        from_tree(tree)
    assert caught.value.code is Code.BUNDLE_INVALID
