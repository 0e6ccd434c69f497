"""Not speed: whether ONNX Runtime and OpenVINO, both at float32, decide alike on real films.

    python benchmarks/engines_agree.py [--data FOLDER] [--limit N] [--json FILE]

All films of ChestX-ray14's test fold in FOLDER/nih (by default CXREDGE_DATA, or ../shared/data), through the embedded
bundle with both engines: how many decisions there are at each of its operating points, how many of them flip, how many
films one engine answers and the other does not, and the largest difference of a probability. A flip, or a film that is
answered by one alone, is exit code 1. Nothing is chosen or tuned by it. --smoke takes drawn films instead.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks._turns import finish, load, options

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("onnxruntime", "openvino")


def test_fold(data: Path, limit: int | None) -> list[Path]:
    """The fold's films, in the table's order."""
    with (data / "nih" / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["fold"] == "test"]
    return [data / "nih" / row["image"] for row in rows][:limit]


def drawn(count: int) -> list[Any]:
    """Drawn films of 8 bits, as arrays."""
    from tests.support.phantom import example_film

    return [(example_film(512, 512, seed=seed) >> 4).astype(np.uint8) for seed in range(count)]


def answers(engine: str, films: Iterable[Any]) -> tuple[list[np.ndarray | None], dict[str, np.ndarray], Any]:
    """Of each film the fourteen probabilities, or None; the thresholds by operating point; what ran."""
    import cxredge

    with cxredge.load(engine=engine, precision="fp32") as model:
        given = [
            np.array([finding.probability for finding in prediction.findings]) if prediction.status == "ok" else None
            for prediction in map(model.predict, films)
        ]
        points = {
            name: np.array([finding.operating_points[name].threshold for finding in model.manifest.findings])
            for name in model.manifest.operating_points
        }
        return given, points, model.ran


def compare(films: list[Any]) -> dict[str, Any]:
    """Both engines on the same films."""
    (ours, points, ran), (theirs, _, also_ran) = (answers(engine, films) for engine in ENGINES)
    both = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    first, second = (np.array(side) for side in zip(*both, strict=True))
    flips = {name: int(((first >= limits) != (second >= limits)).sum()) for name, limits in points.items()}
    margin = min(float(np.abs(first - limits).min()) for limits in points.values())
    return {
        "ran": [f"{one.engine} {one.engine_version} {one.device} {one.precision}" for one in (ran, also_ran)],
        "films": len(films),
        "answered_by_both": len(both),
        "answered_by_one_alone": sum((a is None) != (b is None) for a, b in zip(ours, theirs, strict=True)),
        "decisions": {name: int(first.size) for name in points},
        "flips": flips,
        "largest_difference": float(np.abs(first - second).max()),
        "closest_to_a_threshold": margin,
    }


def _folder(asked: argparse.Namespace) -> Path:
    named = asked.data or os.environ.get("CXREDGE_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


def main() -> None:
    """Compare, print, judge."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--data", type=Path, help="the folder that holds nih/labels.csv")
    parser.add_argument("--limit", type=int, help="the first N films")
    asked = parser.parse_args()
    before = load()
    if asked.smoke:
        films: list[Any] = drawn(4)
    elif (_folder(asked) / "nih" / "labels.csv").is_file():
        films = test_fold(_folder(asked), asked.limit)
    else:
        raise SystemExit("needs the real films: --data or CXREDGE_DATA names the folder that holds nih/labels.csv")
    told = compare(films)
    for name, value in told.items():
        print(f"{name:<24}{value}")
    finish({"fp32": told}, asked, before)
    if sum(told["flips"].values()) or told["answered_by_one_alone"]:
        raise SystemExit("MISSED: the engines do not decide alike")


if __name__ == "__main__":
    main()
