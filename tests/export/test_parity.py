"""The gate: what it stops, what it leaves open, and how decisions inside a network are treated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from cxredge.result import LABELS
from export import run
from export.answers import of_torch
from export.bounds import BOUNDS
from export.errors import ExportError, Problem
from export.graph import Graph
from export.images import Images, gather
from export.inner import BoxOfRegion
from export.judge import judge
from export.parity import compare
from export.region import box_by_labelling
from export.thresholds import Threshold, thresholds_of
from tests.support.exported import Shelf, plan

HALF = thresholds_of(None, None)


def moved(graph: Graph, by: float) -> Graph:
    """The same graph with another bias of the classifier."""
    model = onnx.load_from_string(graph.data)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("classifier.bias"))
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(by), tensor.name))
    return replace(graph, data=model.SerializeToString())


def test_a_graph_that_is_off_is_not_written(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "dcnn.onnx"
    out.write_bytes(b"the graph of before")
    monkeypatch.setattr(run, "build_graph", lambda subject, precision: moved(shelf.graph("dcnn"), 2e-4))
    with pytest.raises(ExportError, match=r"logits differ by 2\.\d+e-04, more than 0\.0001") as caught:
        run.export_graph(shelf.subject("dcnn"), out, plan())
    assert caught.value.problem is Problem.PARITY
    assert out.read_bytes() == b"the graph of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dcnn.failed.json", "dcnn.failed.md", "dcnn.onnx"]
    assert "FAILED" in (tmp_path / "dcnn.failed.md").read_text(encoding="utf-8")


def test_a_graph_that_passes_is_written_with_its_report(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "dcnn.onnx"
    monkeypatch.setattr(run, "build_graph", lambda subject, precision: shelf.graph("dcnn"))
    for old in ("dcnn.failed.json", "dcnn.failed.md", "dcnn.patients.json"):
        (tmp_path / old).write_text("of the graph before")
    report = run.export_graph(shelf.subject("dcnn"), out, plan())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dcnn.onnx", "dcnn.parity.json", "dcnn.parity.md"]
    assert out.read_bytes() == shelf.graph("dcnn").data
    assert json.loads((tmp_path / "dcnn.parity.json").read_text(encoding="utf-8")) == json.loads(json.dumps(report))
    text = (tmp_path / "dcnn.parity.md").read_text(encoding="utf-8")
    assert report["graph"]["sha256"] in text and "passed" in text and "mean nothing" in text


def test_a_network_that_answers_always_alike_shows_nothing(shelf: Shelf) -> None:
    same = gather(128, phantoms=1).batch.repeat(8, axis=0)
    report = compare(shelf.subject("dcnn"), shelf.graph("dcnn"), plan(Images(same, 8, 0, 0)))
    assert not report["passed"] and "agreement would show nothing" in report["reasons"][0]


def test_float16_that_would_overflow_is_stopped(shelf: Shelf) -> None:
    """All values times 10,000 from the stem on, as a network with a strange batch norm may have them."""
    graph = shelf.graph("dcnn", "fp16")
    assert graph.watched is not None
    model = onnx.load_from_string(graph.watched[0])
    stem = next(node for node in model.graph.node if node.op_type == "Conv")
    for tensor in model.graph.initializer:
        if tensor.name in (stem.input[1], stem.input[2]):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1e4), tensor.name))
    loud = replace(graph, watched=(model.SerializeToString(), graph.watched[1]))
    report = compare(shelf.subject("dcnn"), loud, plan())
    assert any("a float16 value reaches" in reason for reason in report["reasons"])


def test_flips_are_counted_at_every_threshold_and_open_ones_apart(shelf: Shelf) -> None:
    subject = shelf.subject("dcnn")
    batch = gather(128, phantoms=2).batch
    ours = of_torch(subject, batch)
    theirs = {name: value.copy() for name, value in ours.items()}
    theirs["logits"] = ours["logits"] - np.float32(5e-5)
    at_half = np.full(14, np.nan)
    at_half[3] = ours["logits"][0, 3] - 2e-5  # between ours and theirs: within the bound, so it is open
    told = judge(subject, batch, ours, theirs, [*HALF, Threshold("screening", at_half)], BOUNDS["fp32"])
    screening = told["flips"][1]
    assert (screening["decisions"], screening["flipped"], screening["open_flipped"]) == (2, 0, 1)
    assert told["passed"], told["reasons"]
    theirs["logits"][1, 3] = 2 * at_half[3] - ours["logits"][1, 3]  # to the other side, and far
    told = judge(subject, batch, ours, theirs, [Threshold("screening", at_half)], BOUNDS["fp32"])
    assert told["flips"][0]["flipped"] == 1 and not told["passed"]


def decided(shelf: Shelf, apart: float) -> dict[str, object]:
    """AG-CNN where the engine's heat map has one cell on the other side of tau: judged."""
    subject = shelf.subject("ag_cnn")
    batch = gather(128, phantoms=1).batch
    ours = of_torch(subject, batch)
    ours["heat"][0] = [[1.0, 0.0], [0.0, 0.7 + apart]]
    theirs = {name: value.copy() for name, value in ours.items()}
    theirs["heat"][0, 1, 1] = 0.7 - apart
    for answers in (ours, theirs):
        answers["box"] = np.array([box_by_labelling(answers["heat"][0] > np.float32(0.7))], np.float32)
    inner = BoxOfRegion(0.7)
    for answers in (ours, theirs):
        with torch.inference_mode():
            answers["logits"] = inner.again(subject.method, torch.from_numpy(batch), answers)["logits"].numpy()
    assert np.abs(ours["logits"] - theirs["logits"]).max() > 1e-3, "the crop makes no difference here"
    return judge(subject, batch, ours, theirs, HALF, BOUNDS["fp32"])


def test_another_crop_is_allowed_where_a_cell_lies_at_tau(shelf: Shelf) -> None:
    told = decided(shelf, 2e-6)
    assert told["passed"], told["reasons"]
    assert told["inner"]["differ"] == 1 and 0 < told["inner"]["farthest"] < 1e-5  # type: ignore[index]


def test_another_crop_is_refused_elsewhere(shelf: Shelf) -> None:
    told = decided(shelf, 0.01)
    assert not told["passed"] and "decided otherwise" in told["reasons"][0]  # type: ignore[index]


def test_another_box_without_a_reason_is_refused(shelf: Shelf) -> None:
    subject = shelf.subject("ag_cnn")
    batch = gather(128, phantoms=1).batch
    ours = of_torch(subject, batch)
    theirs = {name: value.copy() for name, value in ours.items()}
    theirs["box"] = np.array([[0.0, 0.0, 0.5, 0.5]], np.float32)
    if np.allclose(ours["box"], theirs["box"]):
        theirs["box"] = np.array([[0.5, 0.5, 1.0, 1.0]], np.float32)
    told = judge(subject, batch, ours, theirs, HALF, BOUNDS["fp32"])
    assert len(told["reasons"]) >= 2 and any("SciPy" in reason for reason in told["reasons"])


def test_thresholds_come_from_the_evaluation_of_this_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    points = {"rules": {"balanced": "", "confirm": ""}, "diseases": {"Edema": {"balanced": {"threshold_logit": -1.5}}}}
    made = {"method": "dcnn", "stage": "classifier", "epoch": 3, "recipe": "x"}
    path.write_text(json.dumps({"schema": "cxredge.evaluation/1", "checkpoint": made, "points": points}))
    with pytest.raises(ExportError, match="not of this checkpoint"):
        thresholds_of(path, None)
    facts = _facts(epoch=3)
    half, balanced = thresholds_of(path, facts)
    assert (half.name, balanced.name) == ("one half", "balanced") and not half.logits.any()
    assert balanced.logits[LABELS.index("Edema")] == -1.5 and np.isnan(balanced.logits).sum() == 13
    with pytest.raises(ExportError, match="not of this checkpoint"):
        thresholds_of(path, _facts(epoch=4))
    for strange in ("{}", path.read_text().replace("evaluation/1", "evaluation/2")):
        path.write_text(strange)
        with pytest.raises(ExportError, match=r"no report .*cxredge\.evaluation/1"):
            thresholds_of(path, facts)


def _facts(epoch: int):  # type: ignore[no-untyped-def]
    from training.checkpoint import Facts, SplitFacts

    return Facts(
        method="dcnn", config={}, recipe={}, departures=(), split=SplitFacts("x", False, ""), data=(), trained_on=(),
        stage="classifier", epoch=epoch, scores={}, versions={},
    )  # fmt: skip


@pytest.mark.shared
def test_real_images(shelf: Shelf, shared_data: Path) -> None:
    found = gather(128, phantoms=0, folders=(shared_data / "nih", shared_data / "dicom" / "radiographs"), each=4)
    assert found.real == 8 and found.batch.shape == (8, 1, 128, 128)
    assert found.batch.min() >= 0 and found.batch.max() <= 1
    report = compare(shelf.subject("cxr_irnet"), shelf.graph("cxr_irnet"), plan(found))
    assert report["passed"], report["reasons"]
    with pytest.raises(ExportError, match="none of its"):
        gather(128, phantoms=0, folders=(shared_data / "shapes",))
