"""A parent with thresholds of its own for one precision: a site starts from those of the precision that ran."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from cxredge.bundle import open_bundle, verify
from cxredge.site import Wishes, adapt, read_cases
from cxredge.site.scores import run_cases, score_results
from tests.site.conftest import Site
from tests.support.own_thresholds import POINTS, SCALE, write_own_thresholds

FP32 = {"engine": "onnxruntime", "precision": "fp32"}


def test_a_site_works_from_the_set_that_decided(site: Site, tmp_path: Path) -> None:
    parent = write_own_thresholds(tmp_path / "own.cxr")
    cases = read_cases(site.cases)
    scored = run_cases(parent, cases, lambda: None, **FP32)
    with open_bundle(site.bundle) as plain:
        usual = score_results(site.results, cases, plain)
    # Undone with the wrong set, the logits would be twice as large.
    np.testing.assert_allclose(scored.logits, usual.logits, atol=1e-5)
    assert scored.precision == usual.precision == "fp32"

    out = tmp_path / "new.cxr"
    report = adapt(parent, site.cases, out, Wishes(model=FP32, day=date(2026, 11, 21), resamples=50))
    assert any("one set for all" in note for note in report["notes"])
    verify(out)
    with open_bundle(out) as new:
        assert new.manifest.findings_by_precision is None
        hernia = new.manifest.findings[-1]  # three cases: all is kept, and it is fp32's that is kept
        assert hernia.calibration.scale == SCALE
        assert {name: point.threshold for name, point in hernia.operating_points.items()} == pytest.approx(POINTS)
