"""Cases with true masks: the gate compares both graphs with the truth, and refuses one that lost its outlines.

The graph is the one of the tiny bundle, which finds lungs and heart in a drawn chest. Its masks alone are quantised, so
nothing but them can make it fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest

from calibration import cli
from cxredge.result import STRUCTURES
from export import metadata
from export.graphfile import open_graph
from tests.support.site_cases import draw_cases, draw_labels, draw_mask_files, write_cases
from tests.support.tiny_bundle import SIDE, tiny_model

CASES = 44


@dataclass(frozen=True)
class Sample:
    """A graph, its INT8 variant, and cases with and without true masks: two images a patient."""

    fp32: Path
    int8: onnx.ModelProto
    masked: Path
    plain: Path


def with_quantised_masks(fp32: onnx.ModelProto) -> onnx.ModelProto:
    """Probabilities in 255 steps."""
    model = onnx.ModelProto()
    model.CopyFrom(fp32)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["masks_float" if name == "masks" else name for name in names]
    for name, value in (("step", np.float32(1 / 255)), ("zero", np.uint8(0))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    for kind, one, other in (("Quantize", "masks_float", "masks_u8"), ("Dequantize", "masks_u8", "masks")):
        model.graph.node.append(onnx.helper.make_node(f"{kind}Linear", [one, "step", "zero"], [other]))
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder = tmp_path_factory.mktemp("masks")
    model = tiny_model()
    facts = {"schema": metadata.SCHEMA, "method": "tiny", "input": {"rows": SIDE, "columns": SIDE, "fit": "stretch"}}
    int8 = with_quantised_masks(model)
    metadata.write(model, facts)
    onnx.save(model, folder / "fp32.onnx")
    metadata.write(int8, facts | {"fp32_sha256": open_graph(folder / "fp32.onnx").sha256})
    images, masks = draw_cases(folder, CASES), draw_mask_files(folder, CASES)
    truth = draw_labels(np.random.default_rng(0).normal(size=(CASES, 14)))
    names = [f"p{i // 2}" for i in range(CASES)]
    masked = write_cases(folder / "masked.csv", images, truth, names, masks)
    return Sample(folder / "fp32.onnx", int8, masked, write_cases(folder / "plain.csv", images, truth, names))


def judged(sample: Sample, table: Path, out: Path, change: Callable[[onnx.ModelProto], None]) -> tuple[int, dict, str]:
    """The gate's exit code, its row of the engine, and the report for people."""
    model = onnx.ModelProto()
    model.CopyFrom(sample.int8)
    change(model)
    onnx.save(model, out / "int8.onnx")
    words = ["gate", sample.fp32, out / "int8.onnx", "--data", table, "--out", out / "gate", "--engine", "onnxruntime"]
    with pytest.raises(SystemExit) as caught:
        cli.main([str(word) for word in [*words, "--rounds", 0, "--resamples", 200]])
    report = json.loads((out / "gate.json").read_text())
    return int(caught.value.code or 0), report["engines"][0], (out / "gate.md").read_text()


def moved(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[onnx.ModelProto], None]:
    """Change one constant of the graph."""

    def apply(model: onnx.ModelProto) -> None:
        tensor = next(one for one in model.graph.initializer if one.name == name)
        value = change(onnx.numpy_helper.to_array(tensor).copy())
        tensor.CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float32), name))

    return apply


def dice_reasons(row: dict) -> list[str]:
    return [reason for reason in row["reasons"] if reason.startswith("Dice")]


def independent_dice(sample: Sample, model: onnx.ModelProto) -> np.ndarray:
    """Mean Dice of each structure, worked out apart: Pillow's resampling, plain NumPy, onnxruntime itself."""
    from PIL import Image

    from tests.support.phantom import draw_masks
    from tests.support.tiny_bundle import MASK, run_onnxruntime

    found = []
    for seed in range(CASES):
        with Image.open(sample.masked.parent / f"case-{seed:04d}.png") as file:
            image = np.asarray(file.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)[None, None] / 255
        given = run_onnxruntime(model.SerializeToString(), image)["masks"][0] >= 0.5
        truth = draw_masks(MASK, MASK, seed=seed)
        found.append([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in zip(given, truth, strict=True)])
    return np.mean(found, axis=0)


def test_dice_is_told_against_true_masks_with_an_interval(sample: Sample, tmp_path: Path) -> None:
    # Hearts a little larger in INT8: by far less than fails the gate, enough to have an interval.
    prior = moved("prior", lambda value: value + np.reshape([0, 0, 0.02], (1, 3, 1, 1)))
    code, row, text = judged(sample, sample.masked, tmp_path, prior)
    dice = row["dice"]
    assert (dice["against"], dice["images"]) == ("truth", CASES) and (code, row["reasons"]) == (0, [])
    assert f"Against true masks, {CASES} images" in text and "own masks" not in text
    wanted = independent_dice(sample, onnx.load(sample.fp32))
    for k, name in enumerate(STRUCTURES):
        assert dice["fp32"][name] == pytest.approx(wanted[k], abs=0.02) and dice["fp32"][name] > 0.8
        assert dice["drop"][name] == pytest.approx(dice["fp32"][name] - dice["int8"][name], abs=1e-12)
        ends = dice["interval"][name]
        assert ends["low"] <= ends["value"] == dice["drop"][name] <= ends["high"] <= 0.005 and dice["shown"][name]
        assert f"{ends['low']:+.4f} to {ends['high']:+.4f}" in text
    heart = dice["interval"]["heart"]
    assert heart["low"] < heart["high"] and heart["value"] != 0


@pytest.mark.parametrize(
    ("what", "structures"),
    [
        (moved("prior", lambda value: value + np.reshape([0, 0, 1.5], (1, 3, 1, 1))), ["heart"]),
        (moved("prior", lambda value: value[:, [1, 0, 2]]), ["left_lung", "right_lung"]),
    ],
    ids=["large hearts", "left is right"],
)
def test_a_graph_that_lost_its_masks_fails_for_that_reason(
    what: Callable[[onnx.ModelProto], None], structures: list[str], sample: Sample, tmp_path: Path
) -> None:
    """Its logits and heat maps are as they were, so the masks alone make it fail."""
    code, row, text = judged(sample, sample.masked, tmp_path, what)
    assert code == 1 and row["reasons"] == dice_reasons(row) and not row["passed"]
    assert [reason.split()[2] for reason in row["reasons"]] == structures
    assert all("against truth, 0.005 is allowed" in reason for reason in row["reasons"])
    assert "FAILED" in text and row["reasons"][0] in text
    for name in structures:
        assert row["dice"]["interval"][name]["low"] > 0.005 and not row["dice"]["shown"][name]


def test_masks_that_are_better_than_those_of_fp32_pass(sample: Sample, tmp_path: Path) -> None:
    """Against the truth a graph may differ from fp32 as far as it likes, if it is no worse."""
    worse = sample.fp32.with_name("worse.onnx")
    model = onnx.load(sample.fp32)
    moved("prior", lambda value: value + np.reshape([0, 0, 1.5], (1, 3, 1, 1)))(model)
    onnx.save(model, worse)
    int8 = onnx.ModelProto()
    int8.CopyFrom(sample.int8)
    told = metadata.read(int8) | {"fp32_sha256": open_graph(worse).sha256}
    del int8.metadata_props[:]
    metadata.write(int8, told)
    other = Sample(worse, int8, sample.masked, sample.plain)
    code, row, _ = judged(other, sample.masked, tmp_path, lambda _: None)
    assert code == 0 and row["dice"]["drop"]["heart"] < -0.02
    # Without true masks fp32's own are the measure, and the report says so.
    code, row, text = judged(other, sample.plain, tmp_path, lambda _: None)
    assert code == 1 and "Dice of heart" in row["reasons"][0] and "against fp32" in row["reasons"][0]
    assert row["dice"]["against"] == "fp32" and row["dice"]["fp32"] is None
    assert "Against fp32's own masks" in text and "true masks," not in text
