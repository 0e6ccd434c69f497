"""`cxredge drift` as people run it, and the same in Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cxredge.bundle import Bundle, open_bundle
from cxredge.drift import Watch, baseline_of_results, watch
from cxredge.errors import Code, InputError
from cxredge.result import LABELS, InputFacts, Record, notice
from cxredge.results import read_results
from tests.support.streams import draw_probabilities, record, write_baseline_bundle, write_results


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_baseline_bundle(tmp_path_factory.mktemp("drift") / "watched.cxr")


@pytest.fixture(scope="module")
def bundle(path: Path):
    with open_bundle(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def quiet(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 results like the baseline."""
    return write_results(tmp_path_factory.mktemp("quiet") / "r.jsonl", bundle, draw_probabilities(1, 600))


@pytest.fixture(scope="module")
def changed(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 like it, then 150 in which effusions are three times as many."""
    p = draw_probabilities(2, 450)
    rng = np.random.default_rng(3)
    p[300:, 2] = np.where(rng.random(150) < 0.222, rng.uniform(0.6, 0.99, 150), p[300:, 2])
    return write_results(tmp_path_factory.mktemp("changed") / "r.jsonl", bundle, p)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in {"CXREDGE_BUNDLE", "CXREDGE_DEBUG"}}
    line = [sys.executable, "-P", "-m", "cxredge", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    assert "Doe" not in done.stdout + done.stderr and "1.2.3.4" not in done.stdout + done.stderr
    return done


def test_no_alarm_is_0(path: Path, quiet: Path) -> None:
    done = command("drift", path, quiet, "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "cxredge.drift/1"
    assert (report["images"], report["answered"], report["abstained"], report["alarm"]) == (612, 600, 12, False)
    assert [each["label"] for each in report["findings"]] == list(LABELS)
    assert report["baseline"]["source"] == "bundle" and report["baseline"]["images"] == 5000
    p = draw_probabilities(1, 600)
    assert [each["rate"] for each in report["findings"]] == pytest.approx((p >= 0.5).mean(0).tolist())
    assert [each["recent_rate"] for each in report["findings"]] == pytest.approx((p[-100:] >= 0.5).mean(0).tolist())
    expected = (draw_probabilities(0, 5000) >= 0.5).mean(0)
    assert [each["expected_rate"] for each in report["findings"]] == pytest.approx(expected.tolist())
    assert "no alarm" in command("drift", path, quiet).stdout


def test_an_alarm_is_3_and_names_the_disease(path: Path, changed: Path) -> None:
    done = command("drift", path, changed)
    assert done.returncode == 3
    alarms = [line for line in done.stdout.splitlines() if line.startswith("ALARM")]
    assert len(alarms) == 1 and alarms[0].startswith("ALARM Effusion: more positives since about image ")
    report = json.loads(command("drift", path, changed, "--format", "json").stdout)
    alarm = report["findings"][2]["alarm"]
    assert 307 <= alarm["at"] <= 306 + 103  # 306 images came before, with the abstentions among them
    assert 280 <= alarm["since"] <= 330
    assert report["findings"][2]["evidence"] >= report["limit"] == 10_000


def test_abstentions_are_watched_too(bundle: Bundle, path: Path, tmp_path: Path) -> None:
    results = write_results(tmp_path / "r.jsonl", bundle, draw_probabilities(4, 300), abstain_every=5)
    done = command("drift", path, results)
    assert done.returncode == 3
    assert "ALARM abstentions: more abstentions" in done.stdout


def test_a_bundle_without_baseline_says_how_to_make_one(tiny_bundle: Path, tmp_path: Path) -> None:
    with open_bundle(tiny_bundle) as plain:
        first = write_results(tmp_path / "first.jsonl", plain, draw_probabilities(5, 400))
        later = write_results(tmp_path / "later.jsonl", plain, draw_probabilities(6, 200))
        p = draw_probabilities(7, 300)
        p[:, 4] = np.minimum(p[:, 4] * 6, 0.999)
        worse = write_results(tmp_path / "worse.jsonl", plain, p)
    done = command("drift", tiny_bundle, later)
    assert done.returncode == 2
    assert "cxredge site --consecutive" in done.stderr and "--baseline FIRST.jsonl" in done.stderr
    done = command("drift", tiny_bundle, later, "--baseline", first, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["baseline"] == {
        "source": "results", "data": "earlier results", "images": 400, "abstained": 8, "confidence": 0.95,
    }  # fmt: skip
    assert "ALARM Mass" in command("drift", tiny_bundle, worse, "--baseline", first).stdout


def test_too_short_a_baseline_is_refused(bundle: Bundle, path: Path, tmp_path: Path, quiet: Path) -> None:
    short = write_results(tmp_path / "short.jsonl", bundle, draw_probabilities(5, 199))
    done = command("drift", path, quiet, "--baseline", short)
    assert done.returncode == 2 and "199 images were answered, a baseline takes 200" in done.stderr


def refusal(bundle: Bundle, path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        watch(bundle, path)
    assert "Doe" not in str(caught.value)
    return caught.value


def test_results_that_do_not_fit_are_refused(bundle: Bundle, tiny_bundle: Path, tmp_path: Path) -> None:
    p = draw_probabilities(8, 3)
    with open_bundle(tiny_bundle) as other:
        foreign = write_results(tmp_path / "foreign.jsonl", other, p)
    error = refusal(bundle, foreign)
    assert error.code == Code.RESULTS_UNUSABLE and "line 1 comes from another bundle" in error.detail
    good = record(bundle.facts, p[0].tolist()).to_json()
    for name, text, says in (
        ("cut", good + "\n" + good[:100], "line 2 is no"),
        ("text", "Doe", "line 1 is no"),
        ("mixed", good + "\n" + record(bundle.facts, p[1].tolist(), "confirm").to_json(), "several operating points"),
        ("few", good.replace('"Hernia"', '"Haernia"'), "line 1 lacks findings"),
    ):
        broken = tmp_path / name
        broken.write_text(text, encoding="utf-8")
        error = refusal(bundle, broken)
        assert error.code == Code.RESULTS_UNUSABLE and says in error.detail
    assert refusal(bundle, tmp_path / "none").code == Code.RESULTS_UNUSABLE


def test_another_operating_point_has_its_own_rates(bundle: Bundle, tmp_path: Path) -> None:
    results = write_results(tmp_path / "r.jsonl", bundle, draw_probabilities(9, 300), point="screening")
    report = watch(bundle, results)
    assert report["operating_point"] == "screening" and not report["alarm"]
    expected = (draw_probabilities(0, 5000) >= 0.3).mean(0)
    assert [each["expected_rate"] for each in report["findings"]] == pytest.approx(expected.tolist())
    first = baseline_of_results(read_results(results, bundle.sha256), "first")
    with pytest.raises(InputError) as caught:
        Watch(first, "balanced")
    assert caught.value.code == Code.NO_BASELINE


def test_a_host_can_watch_as_it_predicts(bundle: Bundle) -> None:
    assert bundle.manifest.baseline is not None
    watching = Watch(bundle.manifest.baseline, "balanced")
    unread = Record(input=InputFacts(), status="error", reason=notice(Code.DICOM_BROKEN), bundle=bundle.facts)
    assert watching.add(unread) == ()
    alarms = []
    for row in draw_probabilities(10, 60):
        row[0] = 0.9
        alarms += watching.add(record(bundle.facts, row.tolist()))
    assert [alarm.what for alarm in alarms] == ["more positives"]  # raised once, not at every image
    report = watching.report()
    assert (report["errors"], report["answered"]) == (1, 60)


def test_nothing_answered_is_no_alarm(bundle: Bundle, tmp_path: Path) -> None:
    lines = [record(bundle.facts, None).to_json()]
    (tmp_path / "r.jsonl").write_text("\n".join(lines), encoding="utf-8")
    report = watch(bundle, tmp_path / "r.jsonl")
    assert (report["images"], report["abstained"], report["findings"][0]["rate"]) == (1, 1, None)


def test_a_file_is_read_with_its_last_line_unended(bundle: Bundle, tmp_path: Path) -> None:
    text = "\n\n" + record(bundle.facts, draw_probabilities(0, 1)[0].tolist()).to_json()
    (tmp_path / "r.jsonl").write_text(text, encoding="utf-8")
    assert len(list(read_results(tmp_path / "r.jsonl", bundle.sha256))) == 1
