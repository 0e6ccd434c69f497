"""What INT8 costs each trained method: layers left in float, the gate's figures on both engines, and the time.

    python benchmarks/learning.py --out RUNS --cache RUNS/cache            # first: the trained methods
    python benchmarks/int8_methods.py --runs RUNS --out DIR [--method NAME ...] [--most-float SHARE] [--json FILE]
    python benchmarks/int8_methods.py --smoke                              # one network of random weights, few images

Each method's checkpoint is exported; `python -m calibration quantize` makes the INT8 graph from phantoms that it never
saw and chooses on others which layers stay float; `gate` then compares both graphs on a third set, on which nothing
was chosen, by ONNX Runtime and by OpenVINO. What is done already is not done again. Fails where a graph does not pass.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
from _machine import machine
from _runs import ROOT, markdown
from PIL import Image

from cxredge.result import LABELS, STRUCTURES
from training.fit.drawn import draw_one
from training.methods import METHODS
from training.phantoms.dicom import write_dicom
from training.recipes import Recipe, find

ENGINES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
SETS = {"calibrate": (800_000, 200), "judge": (820_000, 600), "held-out": (840_000, 600)}
"""First seed and number: beyond the recipes' own folds, which take 0 to 700,000 and up to 2,000 each."""

SMOKE = {"calibrate": (800_000, 8), "judge": (820_000, 24), "held-out": (840_000, 24)}
NARROW = ("width=0.125", "blocks=[1,1,2,1]", "field=64", "crop=64", "mask=32", "unet_width=4", "unet_depth=2")


def main() -> None:
    """Quantise what was asked for, print the table, and fail where a graph did not pass."""
    told = _arguments()
    with tempfile.TemporaryDirectory(prefix="int8-methods-") as spare:
        out = told.out or Path(spare)
        rows = [_row(method, told, out) for method in told.method]
    print(markdown(rows, hidden=("passed",)))
    if told.json:
        told.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n", encoding="utf-8")
    failed = [row["method"] for row in rows if not row["passed"]]
    if failed and not told.smoke:
        sys.exit(f"no INT8 graph that passes its gate: {', '.join(failed)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="the --out folder of learning.py")
    parser.add_argument("--out", type=Path, help="where graphs, cases and reports go; a temporary folder by default")
    parser.add_argument("--method", action="append", choices=list(METHODS), help="may be repeated; all by default")
    parser.add_argument("--most-float", type=float, default=0.5, help="share of the layers that may stay float")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--smoke", action="store_true")
    told = parser.parse_args()
    if not told.smoke and told.runs is None:
        parser.error("--runs: the folder that `python benchmarks/learning.py --out` left")
    told.method = told.method or (["chexnet"] if told.smoke else list(METHODS))
    return told


def _row(method: str, told: argparse.Namespace, out: Path) -> dict[str, Any]:
    """One method: exported, quantised, compared on cases that nothing was chosen on."""
    recipe, folder = find(f"{method}-phantoms"), out / method
    graph, made = folder / "fp32.onnx", folder / "int8"
    cases = {name: _cases(recipe, name, told.smoke, out / "cases") for name in SETS}
    if not graph.is_file():
        source = ["--random", "--method", method, *(w for pair in NARROW for w in ("--set", pair))]
        checkpoint = [] if told.smoke else [str(told.runs / method / "best.pt")]
        _run(folder, "export", "onnx", *(checkpoint or source), "--out", str(graph), "--phantoms", "8")
    data = ["--data", str(cases["calibrate"]), "--judge", str(cases["judge"])]
    few = ["--rounds", "3", "--resamples", "50"] if told.smoke else []
    most = ["--most-float", str(told.most_float)]
    if not (made / "quantisation.json").is_file():
        images = str((SMOKE if told.smoke else SETS)["calibrate"][1])
        _run(folder, "calibration", "quantize", str(graph), *data, "--out", str(made), "--images", images, *most, *few)
    if not (made / "int8.onnx").is_file():
        return _told(method, made / "failed.gate.json", made)
    _run(folder, "calibration", "gate", str(graph), str(made / "int8.onnx"), "--data", str(cases["held-out"]),
         "--out", str(made / "held-out"), *few)  # fmt: skip
    return _told(method, made / "held-out.json", made)


def _told(method: str, report: Path, made: Path) -> dict[str, Any]:
    """The figures of a gate report, both engines in each cell."""
    gate, layers = (json.loads(path.read_text(encoding="utf-8")) for path in (report, made / "quantisation.json"))
    engines = {row["engine"]: row for row in gate["engines"]}

    def both(figure: Callable[[dict[str, Any]], str]) -> str:
        return " / ".join(figure(engines[name]) for name in ENGINES)

    whole = layers["layers"]
    return {
        "method": method,
        "layers in float": f"{sum(layer['float'] for layer in whole)} of {len(whole)}",
        "AUROC, float": both(lambda row: _mean(row, lambda mean: f"{mean['fp32']:.4f}")),
        "drop of the mean": both(lambda row: _mean(row, lambda mean: f"{mean['drop']['value']:+.4f}")),
        "largest drop": both(_largest),
        "drop of Dice": both(lambda row: f"{max(row['dice']['drop'].values()):+.4f}"),
        "flips": both(lambda row: f"{max(flip['share'] for flip in row['flips']):.2%}"),
        "float's time over INT8's": both(lambda row: f"{row['latency']['ratio']:.2f}"),
        "gate": both(lambda row: "passed" if row["passed"] else "; ".join(row["reasons"])),
        "passed": all(row["passed"] for row in gate["engines"]),
    }


def _mean(row: Mapping[str, Any], figure: Callable[[Mapping[str, Any]], str]) -> str:
    return "none" if row["mean_auroc"] is None else figure(row["mean_auroc"])


def _largest(row: Mapping[str, Any]) -> str:
    drops = [found["drop"]["value"] for found in row["auroc"].values() if found["gates"]]
    return f"{max(drops):+.4f}" if drops else "none"


def _cases(recipe: Recipe, name: str, smoke: bool, out: Path) -> Path:
    """A set of phantoms as the recipe draws them: DICOM files, true masks, and the table of cases."""
    options = {**recipe.data[0].options}
    seed = int(options.pop("seed", 0)) * 1_000_000
    for fold in ("train", "validation", "test"):
        options.pop(fold, None)
    size = 64 if smoke else int(recipe.options["field"])
    folder = out / f"{name}-{size}"
    table = folder / "cases.csv"
    if table.is_file():
        return table
    first, count = (SMOKE if smoke else SETS)[name]
    rows = [_case(seed + first + number, size, options, folder) for number in range(count)]
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "patient", *STRUCTURES, *LABELS])
        writer.writerows(rows)
    return table


def _case(seed: int, size: int, options: Mapping[str, Any], folder: Path) -> Sequence[object]:
    """One phantom on disk, and its row."""
    phantom, name = draw_one(seed, size=size, options=options), f"{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    path = write_dicom(phantom, folder, name)
    outlines = [f"{name}.{structure}.png" for structure in STRUCTURES]
    for file, mask in zip(outlines, phantom.masks, strict=True):
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / file)
    return [path.name, f"phantom:{seed}", *outlines, *(int(value) for value in phantom.labels)]


def _run(folder: Path, package: str, *words: str) -> None:
    """A command of the workbench; a refusal by the gate (exit code 1) is a result, anything else ends the run."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{words[0]}.log"
    with log.open("wb") as said:
        done = subprocess.run([sys.executable, "-m", package, *words], cwd=ROOT, stdout=said, stderr=said, check=False)
    refused = package == "calibration" and done.returncode == 1
    if done.returncode and not refused:
        sys.exit(f"{words[0]} failed\n{log.read_text(encoding='utf-8', errors='replace')[-4000:]}")


if __name__ == "__main__":
    main()
