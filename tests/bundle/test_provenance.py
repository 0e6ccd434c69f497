"""The manifest's later fields: optional, checked, and absent where there is nothing to say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest

from cxredge.bundle import json_schema, open_bundle, verify, write_bundle
from cxredge.bundle.manifest import encode
from cxredge.drift import make_baseline
from cxredge.errors import BundleError, Code
from cxredge.result import LABELS
from tests.support.tiny_bundle import tiny_files, tiny_manifest

Tree = dict[str, Any]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes | Path]:
    return {**tiny_files(int8=False), "report.json": b"{}"}


def full_manifest() -> Tree:
    p = np.random.default_rng(0).random((300, len(LABELS)))
    limits = {name: [limit] * 14 for name, limit in (("balanced", 0.5), ("screening", 0.3), ("confirm", 0.7))}
    later = {
        "derived": {
            "parent": {"name": "chest", "version": "3", "sha256": "a" * 64},
            "cases_sha256": "b" * 64,
            "cases": 300,
            "patients": 280,
            "date": "2026-11-21",
            "ran": "onnxruntime 1.23, cpu, fp32",
            "report": "report.json",
        },
        "baseline": msgspec.to_builtins(make_baseline(p, limits, 7, "drawn")),
    }
    tree: Tree = json.loads(json.dumps(tiny_manifest(int8=False) | later))
    return tree


def test_both_are_sealed_read_back_and_in_the_schema(files: dict, tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "full", full_manifest(), files)
    verify(path)
    jsonschema.validate(json.loads((path / "manifest.json").read_text("utf-8")), json_schema())
    with open_bundle(path) as bundle:
        assert bundle.manifest.derived is not None and bundle.manifest.baseline is not None
        assert bundle.manifest.derived.parent.sha256 == "a" * 64
        assert bundle.manifest.baseline.findings[13].label == "Hernia"
        assert (bundle.manifest.baseline.images, bundle.manifest.baseline.abstained) == (300, 7)


def test_a_bundle_without_them_is_the_one_that_it_was(tiny_bundle: Path) -> None:
    """The fields came later: bundles that do not use them keep their bytes, so older readers go on reading them."""
    with open_bundle(tiny_bundle) as bundle:
        assert bundle.manifest.derived is None and bundle.manifest.baseline is None
        tree = json.loads(encode(bundle.manifest))
    assert "derived" not in tree and "baseline" not in tree


def put(*keys: str | int, value: Any) -> Callable[[Tree], None]:
    def change(tree: Any) -> None:
        for key in keys[:-1]:
            tree = tree[key]
        tree[keys[-1]] = value

    return change


FINDING = ("baseline", "findings", 2)
CHANGES: dict[str, Callable[[Tree], object]] = {
    "a report that is not there": put("derived", "report", value="other.json"),
    "no parent": lambda tree: tree["derived"].pop("parent"),
    "a date in words": put("derived", "date", value="yesterday"),
    "a hash cut short": put("derived", "cases_sha256", value="ab"),
    "an unknown field": put("derived", "hospital", value="St. Elsewhere"),
    "labels in another order": lambda tree: tree["baseline"]["findings"].reverse(),
    "counts that do not add up": put(*FINDING, "counts", 0, value=299),
    "a bin too few": lambda tree: tree["baseline"]["findings"][2]["edges"].append(1.0),
    "edges that fall": put(*FINDING, "edges", 1, value=0.0),
    "more positives than images": put(*FINDING, "positives", "balanced", value=301),
    "a point left out": lambda tree: tree["baseline"]["findings"][2]["positives"].pop("confirm"),
    "no images": put("baseline", "images", value=0),
    "negative counts": put(*FINDING, "positives", "balanced", value=-1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_contradicts_itself_is_refused(files: dict, tmp_path: Path, name: str) -> None:
    tree = full_manifest()
    CHANGES[name](tree)
    with pytest.raises(BundleError) as caught:
        write_bundle(tmp_path / "bad", tree, files)
    assert caught.value.code == Code.BUNDLE_INVALID
    assert not (tmp_path / "bad").exists()
