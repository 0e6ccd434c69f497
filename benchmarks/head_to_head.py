"""All seven methods on the same real images, with one budget: mean AUROC on a test fold that none has seen.

    python benchmarks/head_to_head.py --data DIR --out DIR [--method NAME ...] [--jobs 1] [--json FILE]
    python benchmarks/head_to_head.py --smoke

One U-Net (the recipe `unet`) is trained for all; then `METHOD-nih` is fitted and evaluated for each method: the same
images, size, width, epochs, optimiser and augmentation, and a loss as the paper has it. Runs that are complete under
--out are not repeated, and one that was interrupted goes on. --smoke fits one method for one epoch on a handful of
drawn chests, by the same commands.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _runs import ROOT, command, interval, markdown, report_of

sys.path.insert(0, str(ROOT))  # before a checkout that is installed

from training.methods import METHODS

SMOKE = """
schema = "cxredge.recipe/1"
name = "{name}"
summary = "For a moment"
method = "chexnet"
options = {{ field = 64, crop = 64, mask = 32, channels = 1, width = 0.125, unet_width = 16, unet_depth = 2 }}
[[data]]
kind = "phantoms"
options = {{ train = 64, validation = 64, test = 64, least_severity = 1.0 }}
[[stages]]
name = "{stage}"
epochs = 1
batch = 16
optimiser = {{ name = "adamw", rate = 0.002 }}
loss = {{ name = "{loss}" }}
watch = "loss"
"""


def main() -> None:
    """Run what is missing, then print the table."""
    told = _arguments()
    with tempfile.TemporaryDirectory(prefix="head-to-head-") as temporary:
        out = told.out or Path(temporary)
        out.mkdir(parents=True, exist_ok=True)
        unet = _unet(out, told)
        with ThreadPoolExecutor(told.jobs) as pool:
            rows = list(pool.map(lambda name: _row(name, out, unet, told), told.method))
    rows.sort(key=lambda row: -row["auroc"]["value"])
    print(markdown(rows, hidden=("auroc",)))
    if told.json:
        from _machine import machine

        told.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder that holds nih and lungs/montgomery")
    parser.add_argument("--out", type=Path, help="where runs and reports are kept")
    parser.add_argument("--method", action="append", choices=list(METHODS), help="may be repeated; all by default")
    parser.add_argument("--jobs", type=int, default=1, help="methods at a time, one thread each")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--smoke", action="store_true")
    told = parser.parse_args()
    if not told.smoke and (told.data is None or told.out is None):
        parser.error("--data and --out are needed")
    told.method = told.method or (["chexnet"] if told.smoke else list(METHODS))
    return told


def _recipe(name: str, stage: str, out: Path, smoke: bool) -> str:
    """A recipe's name, or the file of a tiny one."""
    if not smoke:
        return name
    file = out / f"{name}.toml"
    file.write_text(SMOKE.format(name=name, stage=stage, loss="dice" if stage == "unet" else "bce"), encoding="utf-8")
    return str(file)


def _unet(out: Path, told: argparse.Namespace) -> Path:
    """The one U-Net."""
    best = out / "unet" / "best.pt"
    if not best.is_file():
        _fit(_recipe("unet", "unet", out, told.smoke), out / "unet", told)
    return best


def _fit(recipe: str, run: Path, told: argparse.Namespace, *more: str) -> None:
    words = ["fit", recipe, "--out", str(run), *more, *_data(told), *(["--resume"] if run.is_dir() else [])]
    command(*words, log=run.parent / f"{run.name}-fit.log")


def _data(told: argparse.Namespace) -> list[str]:
    return ["--data", str(told.data)] if told.data else []


def _row(name: str, out: Path, unet: Path, told: argparse.Namespace) -> dict[str, Any]:
    run = out / name
    if not (run / "report" / "report.json").is_file():
        _fit(_recipe(f"{name}-nih", "classifier", out, told.smoke), run, told, "--unet", str(unet))
        words = ["evaluate", str(run / "best.pt"), "--out", str(run / "report"), *_data(told)]
        command(*words, log=out / f"{name}-evaluate.log")
    return _figures(name, run)


def _figures(name: str, run: Path) -> dict[str, Any]:
    from training.checkpoint import read
    from training.describe import describe

    facts, _ = read(run / "best.pt")
    size, mean = describe(name, facts.config), report_of(run)["auroc"]["mean"]
    epochs = [len(json.loads(path.read_text(encoding="utf-8"))) for path in sorted(run.glob("*/history.json"))]
    chosen = facts.scores.get("auroc")
    return {
        "method": name,
        "parameters": f"{size['parameters'] / 1e6:.2f} M",
        "multiply-adds": f"{size['gmacs']:.3f} G",
        "epochs": " + ".join(map(str, epochs)),
        "validation": "not measurable" if chosen is None else f"{chosen:.3f}",
        "test": interval(mean),
        "auroc": mean,
    }


if __name__ == "__main__":
    main()
