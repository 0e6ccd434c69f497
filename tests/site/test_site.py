"""A derived bundle from end to end, by the command and by the API."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

import cxredge
from cxredge.bundle import open_bundle, verify
from cxredge.errors import CxredgeError
from cxredge.operating_points import Point, choose, logit, parse_rule, youden
from cxredge.result import LABELS
from cxredge.site import Wishes, adapt
from tests.site.conftest import COUNT, ENGINE, Site
from tests.support.site_cases import FEW, PLENTY, SOME, write_cases

DAY = date(2026, 11, 21)


def command(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    environment = {k: v for k, v in os.environ.items() if k not in {"CXREDGE_BUNDLE", "CXREDGE_DEBUG"}}
    line = [sys.executable, "-P", "-m", "cxredge", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, env=environment, timeout=300)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


@pytest.fixture(scope="module")
def derived(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("derived") / "site.cxr"
    wishes = Wishes(results=site.results, consecutive=True, day=DAY, resamples=300)
    return out, adapt(site.bundle, site.cases, out, wishes)


def test_the_command_runs_the_bundle_and_seals(site: Site, tmp_path: Path, derived: tuple[Path, dict]) -> None:
    out = tmp_path / "new.cxr"
    done = command("site", site.bundle, site.cases, "-o", out, *ENGINE, "--date", DAY, "--format", "json",
                   "--report", tmp_path / "report", "--consecutive")  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["schema"] == "cxredge.site/1"
    assert json.loads((tmp_path / "report" / "site_report.json").read_text("utf-8")) == told
    with open_bundle(out) as bundle:
        assert bundle.sha256 == told["sha256"]
    # Run on the images or taken from earlier results: the same lines.
    for one, other in zip(told["findings"], derived[1]["findings"], strict=True):
        for name, point in one["operating_points"].items():
            assert point["threshold"] == pytest.approx(other["operating_points"][name]["threshold"], abs=1e-5)


def test_the_new_bundle_is_whole_and_names_its_origin(site: Site, derived: tuple[Path, dict]) -> None:
    out, report = derived
    assert "site_report.md" in verify(out)
    with open_bundle(site.bundle) as parent, open_bundle(out) as bundle:
        origin = bundle.manifest.derived
        assert origin is not None
        assert (origin.parent.name, origin.parent.sha256) == (parent.manifest.name, parent.sha256)
        assert origin.cases_sha256 == hashlib.sha256(site.cases.read_bytes()).hexdigest()
        assert (origin.cases, origin.patients, origin.date) == (COUNT, COUNT, "2026-11-21")
        assert bundle.manifest.version == f"1+site.20261121.{origin.cases_sha256[:8]}" == report["version"]
        assert bundle.manifest.clinical is False
        for name in parent.manifest.files:
            assert bundle.read(name) == parent.read(name)
        assert json.loads(bundle.read("site_report.json")) | {"sha256": report["sha256"]} == report
    told = command("info", "--bundle", out).stdout.decode()
    assert "parent sha256" in told and origin.parent.sha256 in told and "220 of 220 patients" in told
    assert "drift baseline     220 images" in told
    assert origin.parent.sha256 in command("verify", out).stdout.decode()
    assert "derived" not in command("info", "--bundle", site.bundle).stdout.decode()


def test_the_golden_answer_still_holds(derived: tuple[Path, dict]) -> None:
    from cxredge.engines.base import EngineRequest
    from cxredge.engines.registry import open_session

    with open_bundle(derived[0]) as bundle:
        session = open_session(bundle.graph("fp32"), EngineRequest(engine="onnxruntime", precision="fp32"))
        golden = bundle.golden()
        golden.check(session.run(golden.input), "fp32")
        session.close()


def test_many_positives_give_the_sites_own_threshold(site: Site, derived: tuple[Path, dict]) -> None:
    for label in PLENTY:
        c = LABELS.index(label)
        point = derived[1]["findings"][c]["operating_points"]["balanced"]
        assert (point["verdict"], point["weight"], point["reason"]) == ("own", 1.0, None)
        alone = choose(site.truth[:, c], site.probabilities[:, c], {"": youden()}, resamples=0)[""]
        assert isinstance(alone, Point)
        called = site.probabilities[:, c] >= alone.threshold.value
        assert point["now"]["sensitivity"]["value"] == pytest.approx(called[site.truth[:, c] == 1].mean())
        assert point["threshold_interval"]["low"] <= point["threshold"] <= point["threshold_interval"]["high"]


def test_some_positives_move_the_parents_threshold_by_their_share(site: Site, derived: tuple[Path, dict]) -> None:
    for label in SOME:
        c = LABELS.index(label)
        point = derived[1]["findings"][c]["operating_points"]["balanced"]
        assert (point["verdict"], point["reason"]) == ("pooled", "30 of 50 positives")
        assert point["weight"] == pytest.approx(30 / 50)
        alone = choose(site.truth[:, c], logit(site.probabilities[:, c]), {"": youden()}, resamples=0)[""]
        assert isinstance(alone, Point)  # the parent is calibrated by the identity: its threshold 0.5 is the logit 0
        assert point["moved_logits"] == pytest.approx(0.6 * alone.threshold.value)
        assert derived[1]["findings"][c]["operating_points"]["screening"]["weight"] == pytest.approx(30 / 60)


def test_few_positives_leave_the_parents_threshold_as_it_is(site: Site, derived: tuple[Path, dict]) -> None:
    out, report = derived
    rare = [label for label in LABELS if label not in PLENTY + SOME]
    with open_bundle(site.bundle) as parent, open_bundle(out) as bundle:
        for label in rare:
            c = LABELS.index(label)
            told = report["findings"][c]
            assert (
                told["calibration"]["kept"] and told["calibration"]["reason"] == f"only {FEW} positives, 20 are needed"
            )
            for name, point in told["operating_points"].items():
                assert (point["verdict"], point["now"]) == ("kept", None)
                old, new = (each.manifest.findings[c].operating_points[name] for each in (parent, bundle))
                assert new.threshold == old.threshold
                assert new.how.startswith("kept the parent's (only 3 positives")
    assert "kept the parent's: only 3 positives" in markdown_of(out)


def test_a_threshold_that_parts_no_case_is_told_aloud(site: Site, derived: tuple[Path, dict]) -> None:
    """The random weights give Mass no score near the parent's threshold: neither that nor a part of it can serve."""
    for name, limit in (("balanced", 0.5), ("confirm", 0.7)):
        told = [note for note in derived[1]["notes"] if note.startswith(f"**At `{name}` nobody")]
        assert len(told) == 1 and told[0] in markdown_of(derived[0])
        for c, label in enumerate(LABELS):
            point = derived[1]["findings"][c]["operating_points"][name]
            aloud = point["called"] == 0 and label in PLENTY + SOME  # of a rare disease, nobody may be right
            assert (label.replace("_", " ").capitalize() in told[0]) == aloud
            if point["verdict"] == "kept":
                assert point["called"] == pytest.approx((site.probabilities[:, c] >= limit).mean())


def markdown_of(bundle: Path) -> str:
    with open_bundle(bundle) as opened:
        return opened.read("site_report.md").decode()


def test_what_the_derived_bundle_decides_is_what_its_report_says(site: Site, derived: tuple[Path, dict]) -> None:
    """Through the whole path: a threshold carried through a calibration must not lose a single case to rounding."""
    out, report = derived
    with cxredge.load(out, engine="onnxruntime", precision="fp32") as model:
        found = [prediction.findings for prediction in model.predict_many(site.images)]
        limits = {point: model.manifest.thresholds(point) for point in model.manifest.operating_points}
    p = np.array([[finding.probability for finding in each] for each in found])
    assert ((p >= limits["balanced"]) == np.array([[finding.positive for finding in each] for each in found])).all()
    for point, thresholds in limits.items():
        called = p >= thresholds
        for c, label in enumerate(LABELS):
            told = report["findings"][c]["operating_points"][point]
            if told["now"] is None:
                continue
            sick = site.truth[:, c] == 1
            rates = called[sick, c].mean(), 1 - called[~sick, c].mean()
            assert rates == pytest.approx((told["now"]["sensitivity"]["value"], told["now"]["specificity"]["value"])), (
                label
            )


def test_calibration_is_fitted_and_judged(derived: tuple[Path, dict]) -> None:
    changed = [finding["calibration"] for finding in derived[1]["findings"] if not finding["calibration"]["kept"]]
    assert len(changed) >= len(PLENTY)
    for told in changed:
        losses = told["log_loss_by_cross_validation"]
        assert losses[told["after"]["kind"]] == min(losses.values()) < losses["current"]
        assert told["quality_after"]["brier"] < told["quality_before"]["brier"]


def test_the_same_cases_give_the_same_bytes(site: Site, derived: tuple[Path, dict], tmp_path: Path) -> None:
    again = tmp_path / "again.cxr"
    adapt(site.bundle, site.cases, again, Wishes(results=site.results, consecutive=True, day=DAY, resamples=300))
    assert again.read_bytes() == derived[0].read_bytes()


def test_a_site_can_adapt_again(site: Site, derived: tuple[Path, dict], tmp_path: Path) -> None:
    first, _ = derived
    adapt(first, site.cases, tmp_path / "second.cxr",
          Wishes(day=date(2027, 1, 2), resamples=50, model={"engine": "onnxruntime", "precision": "fp32"}))  # fmt: skip
    with open_bundle(first) as parent, open_bundle(tmp_path / "second.cxr") as bundle:
        origin = bundle.manifest.derived
        assert origin is not None and origin.parent.sha256 == parent.sha256
        assert bundle.manifest.version.count("site") == 1 and "20270102" in bundle.manifest.version
        assert bundle.manifest.baseline is None  # these cases were not said to be consecutive
        for one, other in zip(parent.manifest.findings[:4], bundle.manifest.findings[:4], strict=True):
            old, new = one.operating_points["balanced"], other.operating_points["balanced"]
            assert old.sensitivity is not None and new.sensitivity is not None
            assert old.sensitivity.value == pytest.approx(new.sensitivity.value)


def test_nothing_of_a_patient_is_in_bundle_report_or_output(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "folder"
    done = command("site", site.bundle, site.cases, "-o", out, "--results", site.results)
    assert done.returncode == 0
    everything = done.stdout + done.stderr + b"".join(path.read_bytes() for path in out.iterdir())
    assert b"Patient-" not in everything and b"case-0" not in everything and b"never read" not in everything
    hashed = hashlib.sha256(b"cxredge.site:Patient-7").hexdigest()[:16].encode()
    assert hashed not in everything


def test_another_rule_for_a_point(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "own.cxr"
    done = command("site", site.bundle, site.cases, "-o", out, "--results", site.results,
                   "--point", "screening=sensitivity:0.8", "--format", "json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    point = json.loads(done.stdout)["findings"][0]["operating_points"]["screening"]
    assert point["how"] == parse_rule("sensitivity:0.8").how
    assert 0.8 <= point["now"]["sensitivity"]["value"] < 0.82


def test_a_point_without_a_rule_keeps_its_decisions(site: Site, tmp_path: Path) -> None:
    """A bundle's own names mean what its maker says; a new calibration must not change what they decide."""
    from tests.support.tiny_bundle import tiny_files, tiny_manifest, write_bundle

    tree = tiny_manifest(int8=False) | {"clinical": True}
    for finding in tree["findings"]:
        finding["operating_points"] = {**finding["operating_points"], "house": {
            "threshold": 0.42, "how": "house rule", "data": "none"}}  # fmt: skip
    parent = write_bundle(tmp_path / "parent.cxr", tree, tiny_files(int8=False))
    adapt(parent, site.cases, tmp_path / "new.cxr", Wishes(resamples=50, model={"engine": "onnxruntime"}))
    with open_bundle(tmp_path / "new.cxr") as bundle:
        assert bundle.manifest.clinical is False  # who signed, signed for other thresholds
        finding = bundle.manifest.findings[0]
        assert finding.calibration.scale != 1.0
        carried = logit(finding.operating_points["house"].threshold) - finding.calibration.offset
        assert carried / finding.calibration.scale == pytest.approx(float(logit(0.42)))
        assert "no rule is known" in finding.operating_points["house"].how


def refused(site: Site, tmp_path: Path, *arguments: object, cases: Path | None = None) -> str:
    out = tmp_path / "new.cxr"
    done = command("site", site.bundle, cases or site.cases, "-o", out, *arguments)
    assert done.returncode == 2 and done.stdout == b""
    assert not out.exists() and not list(tmp_path.glob(".new*"))
    return done.stderr.decode()


def test_too_few_cases_are_refused(site: Site, tmp_path: Path) -> None:
    few = write_cases(tmp_path / "few.csv", site.images[:199], site.truth[:199])
    assert "too_few_cases" in refused(site, tmp_path, cases=few)


def test_too_few_answers_are_refused(site: Site, tmp_path: Path) -> None:
    broken = []
    for index, path in enumerate(site.images):
        broken.append(tmp_path / f"b{index}.png" if index < 30 else path)
        if index < 30:
            broken[-1].write_bytes(b"nothing")
    told = refused(site, tmp_path, *ENGINE, cases=write_cases(tmp_path / "cases.csv", broken, site.truth))
    assert "190 of 220 were answered (0 abstained on, 30 unreadable)" in told


def test_missing_images_and_results_are_refused_without_their_names(site: Site, tmp_path: Path) -> None:
    cases = write_cases(tmp_path / "cases.csv", [*site.images[:-1], tmp_path / "Smith.png"], site.truth)
    for how in ((), ("--results", site.results)):
        told = refused(site, tmp_path, *how, cases=cases)
        assert "1 of 220" in told and "Smith" not in told


def test_results_of_another_bundle_are_refused(site: Site, derived: tuple[Path, dict], tmp_path: Path) -> None:
    with pytest.raises(CxredgeError) as caught:
        adapt(derived[0], site.cases, tmp_path / "x.cxr", Wishes(results=site.results))
    assert caught.value.code == "results_unusable" and "another bundle" in caught.value.detail


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--point", "best=youden"), "but balanced, confirm, screening"),
        (("--point", "screening"), "NAME=RULE"),
        (("--point", "screening=sensitivity:2"), "between 0 and 1"),
        (("--date", "21.11.2026"), "YYYY-MM-DD"),
    ],
)
def test_wrong_usage_is_refused_before_anything_runs(site: Site, tmp_path: Path, arguments: tuple, says: str) -> None:
    assert says in refused(site, tmp_path, *arguments)


def test_an_output_that_exists_is_left_as_it_is(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "there.cxr"
    out.write_bytes(b"mine")
    done = command("site", site.bundle, site.cases, "-o", out, "--results", site.results)
    assert done.returncode == 2 and b"output_unwritable" in done.stderr
    assert out.read_bytes() == b"mine"
