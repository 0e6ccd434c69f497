"""How often `cxredge drift` alarms for nothing, and how soon it sees a change: by simulation.

Fourteen diseases are called positive at the rates of RATES, with scores that hang together (a correlation of 0.3), and
2 % of the images are abstained on. The baseline is itself drawn, so that its own chance is part of every figure.

- false alarms: the share of streams of 10,000 unchanged images that raise any alarm. One false alarm in 10,000 images
  would be a share of 0.63.
- threefold: from image 500 on, the first disease's rate is 0.3 in place of 0.1; the images until its alarm.
- imperfect: the disease's prevalence goes from 0.1 to 0.3, called with a sensitivity of 0.85 and a specificity of 0.9,
  so that its rate goes from 0.175 to 0.325.

    python benchmarks/drift.py [--runs 400] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.append(str(Path(__file__).resolve().parents[1]))

from cxredge.bundle import BaselineSpec, FindingBaseline
from cxredge.drift import IMAGES_PER_FALSE_ALARM
from cxredge.drift.detectors import ABSTENTION, Detectors
from cxredge.result import LABELS

RATES = (0.10, 0.03, 0.12, 0.18, 0.05, 0.055, 0.012, 0.047, 0.042, 0.02, 0.022, 0.015, 0.03, 0.002)
ABSTAINED = 0.02
SHARED = 0.3
POINT = "balanced"
BLOCK = 100
Q = NormalDist().inv_cdf
BINS = np.array([Q(k / 10) for k in range(1, 10)])


def draw(rng: np.random.Generator, runs: int, rates: tuple[float, ...] = RATES) -> npt.NDArray[np.intp]:
    """The outcome of one image in each of so many runs, [runs, 29], as `Detectors.step` takes it."""
    common, own = rng.normal(size=(runs, 1)), rng.normal(size=(runs, len(LABELS)))
    score = SHARED**0.5 * common + (1 - SHARED) ** 0.5 * own
    called = score >= np.array([Q(1 - rate) for rate in rates])
    refused = rng.random((runs, 1)) < ABSTAINED
    cells = np.concatenate([called, np.searchsorted(BINS, score), np.zeros((runs, 1))], axis=1).astype(np.intp)
    cells[:, :-1][refused[:, 0]] = -1
    cells[:, -1] = refused[:, 0]
    return cells


def raised(rng: np.random.Generator, cells: npt.NDArray[np.intp], was: float, now: float) -> npt.NDArray[np.intp]:
    """The same images, but the first disease is called at the rate `now`; those added score like other positives."""
    answered = cells[:, 0] >= 0
    added = answered & (cells[:, 0] == 0) & (rng.random(len(cells)) < (now - was) / (1 - was))
    changed = cells.copy()
    changed[added, 0], changed[added, len(LABELS)] = 1, len(BINS)
    return changed


def baseline(rng: np.random.Generator, images: int, rates: tuple[float, ...] = RATES) -> BaselineSpec:
    """What a bundle would have recorded of so many drawn images."""
    cells = draw(rng, images, rates)
    told = cells[cells[:, -1] == 0]
    findings = [
        FindingBaseline(
            label=label,
            positives={POINT: int(told[:, c].sum())},
            edges=tuple(k / 10 for k in range(1, 10)),
            counts=tuple(np.bincount(told[:, len(LABELS) + c], minlength=10).tolist()),
        )
        for c, label in enumerate(LABELS)
    ]
    return BaselineSpec(data="drawn", images=len(told), abstained=len(cells) - len(told), findings=tuple(findings))


def false_alarms(seed: int, usual: int, runs: int, *, images: int = IMAGES_PER_FALSE_ALARM, drawn: int = 10) -> float:
    """The share of unchanged streams with any alarm; `drawn` baselines are shared out over the runs."""
    rng = np.random.default_rng(seed)
    each = max(1, runs // drawn)
    watchers = [Detectors(baseline(rng, usual), POINT) for _ in range(drawn)]
    states = [watcher.start(each) for watcher in watchers]
    alarmed = np.zeros((drawn, each), bool)
    for _ in range(0, images, BLOCK):
        for index, (watcher, state) in enumerate(zip(watchers, states, strict=True)):
            for cells in draw(rng, BLOCK * each).reshape(BLOCK, each, -1):
                watcher.step(state, cells)
                alarmed[index] |= (watcher.totals(state) >= IMAGES_PER_FALSE_ALARM).any(-1)
    return float(alarmed.mean())


def delays(
    seed: int, usual: int, runs: int, *, was: float = 0.1, now: float = 0.3, before: int = 500, most: int = 1000
) -> npt.NDArray[np.float64]:
    """Images from the change to the first disease's alarm; runs in which it had alarmed before are left out."""
    rng = np.random.default_rng(seed)
    rates = (was, *RATES[1:])
    watcher = Detectors(baseline(rng, usual, rates), POINT)
    state = watcher.start(runs)
    seen = np.full(runs, np.inf)
    for image in range(-before, most):
        cells = draw(rng, runs, rates)
        watcher.step(state, raised(rng, cells, was, now) if image >= 0 else cells)
        alarm = watcher.totals(state)[:, 0] >= IMAGES_PER_FALSE_ALARM
        seen = np.where(alarm & np.isinf(seen), image + 1, seen)
    return np.asarray(seen[seen > 0])


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few short runs")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs, images = (20, 300) if arguments.smoke else (arguments.runs, IMAGES_PER_FALSE_ALARM)
    assert len(RATES) == ABSTENTION
    figures: dict[str, Any] = {"runs": runs, "seed": 1}
    for usual in (1000,) if arguments.smoke else (200, 1000, 5000, 20_000):
        row = {"false_alarms": false_alarms(1, usual, runs, images=images)}
        for name, was, now in (("threefold", 0.1, 0.3), ("imperfect", 0.175, 0.325)):
            # Ten baselines, so that the luck of one does not decide.
            found = np.concatenate([delays(seed, usual, max(2, runs // 10), was=was, now=now) for seed in range(10)])
            seen = found[np.isfinite(found)]  # within a thousand images
            row |= {f"{name}_seen": len(seen) / len(found), f"{name}_mean": float(seen.mean())}
            row |= {f"{name}_median": float(np.median(found))}
            row |= {f"{name}_within_100": float((found <= 100).mean())}
        figures[f"baseline of {usual}"] = row
        print(f"baseline of {usual} images: " + ", ".join(f"{name} {value:.3g}" for name, value in row.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
