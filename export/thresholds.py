"""Where a decision can flip: one half, and the operating points that were chosen on the validation fold."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.result import LABELS
from export.errors import ExportError, Problem
from training.checkpoint import Facts
from training.evaluate.report import SCHEMA

__all__ = ["PUBLISHED", "Threshold", "thresholds_of"]

PUBLISHED = "published_threshold."
"""Before a label, in an imported checkpoint's scores: the probability threshold that came with the weights."""


@dataclass(frozen=True)
class Threshold:
    """One decision a label: a logit of at least `logits[c]` is positive; not-a-number where there is none."""

    name: str
    logits: npt.NDArray[np.float64]


def thresholds_of(evaluation: Path | None, facts: Facts | None) -> list[Threshold]:
    """Probability one half for every label; what came with the weights; the points of an evaluation's `report.json`.

    Args:
        evaluation: the report of `python -m training evaluate`; None for none.
        facts: of the checkpoint, which the report must be of.

    Raises:
        ExportError: it is no such report, or one of another checkpoint.
    """
    found = [Threshold("one half", np.zeros(len(LABELS)))]
    published = _published(facts)
    if published is not None:
        found.append(published)
    if evaluation is None:
        return found
    report = _read(evaluation)
    if facts is None or _other(report["checkpoint"], facts):
        detail = f"{evaluation} is of {report['checkpoint'].get('recipe')}, not of this checkpoint"
        raise ExportError(Problem.PARITY, detail)
    diseases = report["points"]["diseases"]
    for name in report["points"]["rules"]:
        logits = [_logit(diseases.get(label, {}).get(name)) for label in LABELS]
        if not all(map(math.isnan, logits)):
            found.append(Threshold(name, np.array(logits)))
    return found


def _published(facts: Facts | None) -> Threshold | None:
    """The thresholds that came with imported weights, as logits."""
    scores = facts.scores if facts else {}
    given = [scores.get(f"{PUBLISHED}{label}") for label in LABELS]
    if not any(given):
        return None
    logits = [math.log(p / (1 - p)) if p and 0 < p < 1 else math.nan for p in given]
    return Threshold("published", np.array(logits))


def _read(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if report["schema"] == SCHEMA and report["points"] and report["checkpoint"]:
            return dict(report)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ExportError(Problem.PARITY, f"{path} is no report of `python -m training evaluate` ({SCHEMA})")


def _other(told: dict[str, Any], facts: Facts) -> bool:
    """Whether the report tells of another checkpoint."""
    mine = {"method": facts.method, "stage": facts.stage, "epoch": facts.epoch}
    return any(told.get(key) != value for key, value in mine.items())


def _logit(rates: dict[str, Any] | None) -> float:
    value = None if rates is None else rates.get("threshold_logit")
    return math.nan if value is None else float(value)
