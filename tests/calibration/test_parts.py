"""What needs no engine: who is drawn, which layers fall back, what the gate counts, who is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.cases import patient_tag, read_table
from calibration.errors import CalibrationError, Problem
from calibration.fallback import Attempts, Verdict, search
from calibration.gate import Held, compare
from calibration.layers import Layer
from calibration.planes import Planes
from calibration.running import Answers
from calibration.sampling import BANDS, stratified
from calibration.seen import refuse_seen, seen_by, write_seen
from calibration.sensitivity import Damage
from cxredge.engines.base import EngineInfo
from cxredge.pixels import Geometry
from cxredge.result import LABELS
from export.graphfile import GraphFile
from tests.support.site_cases import write_cases


def test_rare_diseases_and_all_exposures_calibrate() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((1000, 14))
    truth[:5, 13] = 1  # five hernias in a thousand
    truth[5:300, 0] = 1
    exposure = rng.random(1000)
    chosen = stratified(truth, exposure, 60)
    assert len(set(chosen)) == 60 and set(range(5)) <= set(chosen)
    counts = np.bincount((np.argsort(np.argsort(exposure)) * BANDS // 1000)[chosen], minlength=BANDS)
    assert counts.min() >= 10
    assert stratified(truth, exposure, 60) == chosen != stratified(truth, exposure, 60, seed=1)
    assert stratified(truth, exposure, 5000) == list(range(1000))


PASSED, NO = Verdict(), Verdict(("no",), ("logits",))


def damages(*worst: float) -> list[Damage]:
    return [Damage(Layer(f"layer{i}", "Conv", True, 1), {"logits": value}) for i, value in enumerate(worst)]


@pytest.mark.parametrize("needed", range(9))
def test_the_search_leaves_no_layer_float_that_need_not_be(needed: int) -> None:
    order = [f"layer{i}" for i in range(19, -1, -1)]  # the last is the most harmful
    found = search(damages(*(100.0 - 2 * i for i in range(20))), lambda names: PASSED if len(names) >= needed else NO)
    assert found.passed and list(found.names) == order[:needed]


def test_harmful_layers_start_in_float_and_a_hopeless_search_ends() -> None:
    tried: list[int] = []
    found = search(damages(10.0, 60.0, 15.0, 70.0), lambda names: tried.append(len(names)) or NO)
    assert not found.passed and tried == [2]
    found = search(damages(10.0, 60.0, 15.0, 70.0), lambda names: PASSED)
    assert found.names == ("layer0", "layer2")


def test_what_harms_the_outputs_at_fault_falls_back_first() -> None:
    told = [(30.0, 21.0), (22.0, 60.0), (50.0, 10.0), (25.0, 50.0), (60.0, 60.0), (60.0, 60.0)]
    both = [Damage(Layer(f"layer{i}", "Conv", True, 1), {"logits": a, "masks": b}) for i, (a, b) in enumerate(told)]
    for output, second in (("logits", "layer1"), ("masks", "layer0")):
        verdict = Verdict(("no",), (output,))
        found = search(both, lambda names, verdict=verdict: PASSED if len(names) >= 2 else verdict)
        assert found.names == ("layer2", second)  # layer2 is below the floor whatever is at fault


def test_an_interrupted_search_is_not_repeated(tmp_path: Path) -> None:
    calls: list[str] = []

    def make() -> dict[str, object]:
        calls.append("made")
        return {"reasons": []}

    for key in (["a"], ["a"], ["b"]):
        assert Attempts(tmp_path / "attempts.json", key).once("x", make) == {"reasons": []}
    assert calls == ["made", "made"]  # the second run remembered, the third was of something else


def held(truth: np.ndarray, tmp_path: Path, points: dict[str, list[float | None]]) -> Held:
    paths = [tmp_path / f"{i}.png" for i in range(len(truth))]
    table = read_table(write_cases(tmp_path / "cases.csv", paths, truth, [f"p{i}" for i in range(len(truth))]))
    hashes = tuple(f"{i:064x}" for i in range(len(truth)))
    planes = Planes(table, hashes, np.zeros((len(truth), 4, 4), np.float32), 0, Geometry(4, 4, "pad"))
    return Held(planes, points, resamples=20)


def answers(logits: np.ndarray, mask: np.ndarray | None = None) -> Answers:
    masks = np.ones((len(logits), 3, 4, 4), bool) if mask is None else mask
    bits = np.packbits(masks.reshape(len(logits), 3, -1), axis=-1)
    maps = np.random.default_rng(1).random((len(logits), 14, 3, 3)).astype(np.float32)
    return Answers(logits.astype(np.float32), bits, maps, (4, 4), EngineInfo("test", "1", "cpu", "int8", 1))


def test_the_gate_sees_each_kind_of_harm(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((200, 14)) < 0.4).astype(float)
    logits = truth + rng.normal(0, 0.5, truth.shape)
    case = held(truth, tmp_path, {"balanced": [0.5] * 14})
    same = compare(case, answers(logits), answers(logits))
    assert same["passed"] and same["dice"]["against"] == "fp32" and same["flips"][0]["flipped"] == 0
    assert same["mean_auroc"]["drop"]["value"] == 0
    worse = logits.copy()
    worse[:, 4] = logits[::-1, 4]
    row = compare(case, answers(logits), answers(worse))
    assert any(reason.startswith("AUROC of Mass drops") for reason in row["reasons"])
    smaller = np.ones((200, 3, 4, 4), bool)
    smaller[:, 2, 0] = False
    assert any("Dice of heart" in r for r in compare(case, answers(logits), answers(logits, smaller))["reasons"])


def test_flips_are_counted_and_listed_by_image(tmp_path: Path) -> None:
    truth = np.tile([0.0, 1.0], 100)[:, None].repeat(14, 1)
    logits = truth * 2 - 1
    moved = logits.copy()
    moved[7, :] *= -0.1  # one image of 200: 0.5 % of the decisions
    points: dict[str, list[float | None]] = {"balanced": [0.0] * 13 + [None]}
    row = compare(held(truth, tmp_path, points), answers(logits), answers(moved))
    told = row["flips"][0]
    assert (told["decisions"], told["flipped"]) == (200 * 13, 13)
    assert {flip["image"] for flip in told["images"]} == {f"{7:064x}"}
    assert {flip["label"] for flip in told["images"]} == set(LABELS[:13])
    moved[8:12, :] *= -0.1
    row = compare(held(truth, tmp_path, points), answers(logits), answers(moved))
    assert "65 of 2600 decisions flip at balanced, 1% is allowed" in row["reasons"]


def test_a_disease_with_few_positives_cannot_fail_the_gate_nor_pass_it_alone(tmp_path: Path) -> None:
    truth = np.zeros((100, 14))
    truth[:5, 0] = 1
    logits = np.random.default_rng(0).normal(0, 1, truth.shape)
    other = logits.copy()
    other[:, 0] = -logits[:, 0]
    row = compare(held(truth, tmp_path, {"balanced": [9.0] * 14}), answers(logits), answers(other))
    assert row["auroc"]["Atelectasis"]["gates"] is False
    assert row["reasons"] == ["no disease has 20 positives and 20 negatives among the cases: AUROC cannot be compared"]


def graph(path: Path, **facts: object) -> GraphFile:
    return GraphFile(path, b"", None, (4, 4), {}, "fp32", dict(facts))  # type: ignore[arg-type]


def test_patients_who_trained_or_calibrated_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    facts = write_seen(path, [patient_tag("chestxray14:17")], [patient_tag("chestxray14:18")])
    assert len(seen_by(graph(path, **facts))) == 2
    refuse_seen(graph(path, **facts), [patient_tag("chestxray14:19")])
    for name in ("chestxray14:17", "chestxray14:18"):
        with pytest.raises(CalibrationError) as caught:
            refuse_seen(graph(path, **facts), [patient_tag(name), patient_tag("chestxray14:19")])
        assert caught.value.problem is Problem.LEAK and "1 of the 2 patients" in str(caught.value)


def test_who_only_chose_the_epoch_may_judge_where_that_is_asked_for(tmp_path: Path) -> None:
    path, kept = tmp_path / "g.onnx", tmp_path / "g.patients.json"
    facts = write_seen(path, ["a" * 16, "b" * 16], ["c" * 16], ["b" * 16, "c" * 16])
    refuse_seen(graph(path, **facts), ["b" * 16], chosen_too=True)
    for tags, asked in ((["b" * 16], False), (["a" * 16], True), (["c" * 16], True)):  # "c" calibrated as well
        with pytest.raises(CalibrationError, match="1 of the 1 patients"):
            refuse_seen(graph(path, **facts), tags, chosen_too=asked)
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"chosen_on": ["a" * 16, "b" * 16]}))
    with pytest.raises(CalibrationError, match="not the list"):  # nobody is moved to where he may judge
        refuse_seen(graph(path, **facts), ["a" * 16], chosen_too=True)


def test_a_list_of_patients_cannot_be_shortened_or_left_out(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    facts = write_seen(path, ["a" * 16, "b" * 16], [])
    kept = tmp_path / "g.patients.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"trained_on": ["a" * 16]}))
    with pytest.raises(CalibrationError, match="not the list"):
        seen_by(graph(path, **facts))
    kept.unlink()
    with pytest.raises(CalibrationError, match="is needed"):
        seen_by(graph(path, **facts))
    assert seen_by(graph(path, seen_sha256=None)) == frozenset()


def test_the_tag_of_a_patient_is_that_of_training() -> None:
    from training.checkpoint import patient_tag as theirs

    assert patient_tag("chestxray14:17") == theirs("chestxray14:17")
