"""The input gate among calibration's parts: read, compared, scored; what does not belong together is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.cases import read_table
from calibration.errors import CalibrationError
from calibration.gate import Held, compare
from calibration.input_gate import HALF, compare_gates, limits_for, read_input_gate, sealed
from calibration.planes import Planes
from calibration.running import Answers
from calibration.scores import read_scores, write_scores
from cxredge.engines.base import EngineInfo
from cxredge.pixels import Geometry
from export.graphfile import GraphFile
from tests.support.site_cases import write_cases

REPORT: dict[str, Any] = {
    "schema": "cxredge.input_gate/1",
    "checkpoint": {"sha256": "a" * 64},
    "thresholds": {"not_chest": 0.5, "inverted": 0.7, "turned": 0.9},
    "files": [{"folder": "x", "rows": [{"file": "doe.dcm"}]}],
}


def graph(path: Path, *outputs: str, checkpoint: str = "a" * 64) -> GraphFile:
    face = dict.fromkeys(outputs, (3,))
    return GraphFile(path, b"", None, (4, 4), face, "fp32", {"checkpoint_sha256": checkpoint})  # type: ignore[arg-type]


def written(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(REPORT | changes), encoding="utf-8")
    return path


def test_thresholds_come_in_the_order_of_the_output(tmp_path: Path) -> None:
    path, gated = written(tmp_path / "g.json"), graph(tmp_path / "g.onnx", "logits", "gate")
    assert limits_for(path, gated) == (0.5, 0.7, 0.9) and limits_for(None, gated) == HALF
    told = read_input_gate(path, gated)
    assert told is not None and "doe" not in json.dumps(sealed(told)), "a file's name may be a patient's"
    assert read_input_gate(None, graph(tmp_path / "g.onnx", "logits")) is None


@pytest.mark.parametrize(
    ("changes", "outputs", "said"),
    [
        (None, ("gate",), "the graph has a gate: --input-gate"),
        ({}, ("logits",), "has no gate: leave --input-gate out"),
        ({"checkpoint": {"sha256": "b" * 64}}, ("gate",), "of another checkpoint"),
        ({"schema": "cxredge.gate/1"}, ("gate",), "is no report"),
        ({"thresholds": {"not_chest": 0.5, "inverted": 0.5}}, ("gate",), "is no report"),
        ({"thresholds": {"not_chest": 0.5, "inverted": 0.5, "turned": 1.5}}, ("gate",), "is no report"),
        ({"thresholds": {"not_chest": 0.0, "inverted": 0.5, "turned": 0.5}}, ("gate",), "is no report"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, changes: dict[str, Any] | None, outputs: tuple[str, ...], said: str
) -> None:
    path = None if changes is None else written(tmp_path / "g.json", **changes)
    with pytest.raises(CalibrationError, match=said):
        read_input_gate(path, graph(tmp_path / "g.onnx", *outputs))


def held(tmp_path: Path, count: int) -> Held:
    truth = np.tile([0.0, 1.0], count // 2)[:, None].repeat(14, 1)
    paths = [tmp_path / f"{i}.png" for i in range(count)]
    table = read_table(write_cases(tmp_path / "cases.csv", paths, truth, [f"p{i}" for i in range(count)]))
    hashes = tuple(f"{i:064x}" for i in range(count))
    planes = Planes(table, hashes, np.zeros((count, 4, 4), np.float32), 0, Geometry(4, 4, "pad"))
    return Held(planes, {"balanced": [0.0] * 14}, resamples=10, gate_limits=(0.5, 0.7, 0.9))


def answers(case: Held, gate: np.ndarray | None) -> Answers:
    logits = (case.planes.table.truth * 2 - 1).astype(np.float32)
    masks = np.packbits(np.ones((len(logits), 3, 16), bool), axis=-1)
    maps = np.random.default_rng(1).random((len(logits), 14, 3, 3)).astype(np.float32)
    return Answers(logits, masks, maps, (4, 4), EngineInfo("test", "1", "cpu", "int8", 1), gate)


def test_flips_at_its_thresholds_are_told_and_too_many_refuse(tmp_path: Path) -> None:
    case = held(tmp_path, 100)
    gate = np.full((100, 3), -3.0, np.float32)
    moved = gate.copy()
    moved[4, 1] = 1.0  # 0.73: over 0.7
    moved[5, 2] = 1.0  # under 0.9
    row = compare(case, answers(case, gate), answers(case, moved))
    told = row["input_gate"]
    assert row["passed"] and (told["decisions"], told["flipped"]) == (300, 1)
    assert told["images"][0]["image"] == f"{4:064x}" and told["images"][0]["question"] == "inverted"
    assert told["largest"] == pytest.approx(1 / (1 + np.exp(-1)) - 1 / (1 + np.exp(3)), abs=1e-6)
    moved[10:14, 0] = 1.0
    row = compare(case, answers(case, gate), answers(case, moved))
    assert row["reasons"] == ["5 of 300 decisions of the input gate flip, 1% is allowed"]
    assert compare(case, answers(case, None), answers(case, None))["input_gate"] is None
    assert compare_gates(gate, gate, HALF, [""] * 100, "int8")["flipped"] == 0  # type: ignore[index]


def test_scores_keep_its_logits(tmp_path: Path) -> None:
    case = held(tmp_path, 8)
    gate = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    for name, given in (("with", gate), ("without", None)):
        write_scores(tmp_path / name, graph(tmp_path / "g.onnx"), case.planes, answers(case, given))
    kept = read_scores(tmp_path / "with").gate
    assert kept is not None
    np.testing.assert_array_equal(kept, gate)
    assert read_scores(tmp_path / "without").gate is None
