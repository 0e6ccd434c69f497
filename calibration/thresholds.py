"""From scores to each disease's calibration and operating points, `cxredge.thresholds/1`.

Both come from the same cases: thresholds are chosen on logits, where a calibration changes no rank, and carried through
it afterwards (docs/site.md says why that leaks nothing).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.errors import CalibrationError, Problem
from calibration.scores import Scores
from cxredge.operating_points import (
    STANDARD,
    Calibrator,
    Choice,
    Interval,
    Point,
    Quality,
    Rule,
    ScoresError,
    auroc_intervals,
    average_precision,
    best_f1,
    choose,
    choose_calibration,
    least_cost,
    nearest_corner,
    sigmoid,
)
from cxredge.result import LABELS

__all__ = ["MISS_COSTS", "SCHEMA", "How", "derive", "read_points", "read_thresholds", "rules_for"]

SCHEMA = "cxredge.thresholds/1"
MISS_COSTS = 10.0
"""False alarms that one missed disease is worth in the point `cost`, unless another rule is given."""


@dataclass(frozen=True, slots=True)
class How:
    """How thresholds are chosen.

    Attributes:
        rules: beside or in place of the usual six, by name.
        prevalence: at which PPV and NPV are told; None takes each disease's own among the cases.
        resamples: of the bootstrap.
        seed: of folds and bootstrap.
    """

    rules: Mapping[str, Rule]
    prevalence: float | None = None
    resamples: int = 1000
    seed: int = 0


def rules_for(prevalence: float, more: Mapping[str, Rule]) -> dict[str, Rule]:
    """The standard three, the nearest corner, the best F1, the least cost at this prevalence; and more."""
    usual = {**STANDARD, "corner": nearest_corner(), "f1": best_f1()}
    if 0 < prevalence < 1:
        usual["cost"] = least_cost(prevalence, MISS_COSTS)
    return usual | dict(more)


def derive(scores: Scores, how: How) -> dict[str, Any]:
    """Everything as plain data. Thresholds that cases cannot carry are refused in words.

    Raises:
        ScoresError: a score is not finite.
    """
    each, mean = auroc_intervals(scores.truth, scores.logits, scores.patients, resamples=how.resamples, seed=how.seed)
    findings = [_finding(scores, how, c, each.get(c)) for c in range(len(LABELS))]
    return {
        "schema": SCHEMA,
        "scores": scores.facts,
        "cases": len(scores.images),
        "patients": len(set(scores.patients)),
        "bootstrap": {"resamples": how.resamples, "seed": how.seed, "level": 0.95, "over": "patients"},
        "mean_auroc": _interval(mean),
        "findings": findings,
    }


def _finding(scores: Scores, how: How, c: int, auroc: Interval | None) -> dict[str, Any]:
    known = ~np.isnan(scores.truth[:, c])
    truth, logits = scores.truth[known, c], scores.logits[known, c]
    patients = [tag for tag, there in zip(scores.patients, known.tolist(), strict=True) if there]
    own = float(truth.mean()) if len(truth) else 0.0
    prevalence = own if how.prevalence is None else how.prevalence
    choice, kept = _calibrate(truth, logits, patients, how.seed)
    calibrator = choice.calibrator if choice else Calibrator("temperature", 1.0)
    told = choose(
        truth,
        logits,
        rules_for(prevalence, how.rules),
        patients,
        prevalence=prevalence if 0 < prevalence < 1 else None,
        resamples=how.resamples,
        seed=how.seed,
    )
    return {
        "label": LABELS[c],
        "cases": len(truth),
        "positives": int((truth == 1).sum()),
        "prevalence": own,
        "auroc": _interval(auroc),
        "average_precision": average_precision(truth, logits) if auroc is not None else None,
        "calibration": _calibration(calibrator, choice, kept),
        "points": {name: _point(found, calibrator) for name, found in told.items() if isinstance(found, Point)},
        "refused": {name: found.reason for name, found in told.items() if not isinstance(found, Point)},
    }


def _calibrate(truth: Any, logits: Any, patients: list[str], seed: int) -> tuple[Choice | None, str]:
    """The choice among none, temperature and Platt by cross-validated log loss; or why none can be made."""
    try:
        return choose_calibration(truth, logits, patients, current=Calibrator("temperature", 1.0), seed=seed), ""
    except ScoresError as error:
        return None, error.detail


def _calibration(calibrator: Calibrator, choice: Choice | None, kept: str) -> dict[str, Any]:
    return {
        "kind": calibrator.kind,
        "scale": calibrator.scale,
        "offset": calibrator.offset,
        "kept": choice is None or choice.kept,
        "reason": kept,
        "losses": choice.losses if choice else {},
        "before": _quality(choice.before) if choice else None,
        "after": _quality(choice.after) if choice else None,
    }


def _quality(found: Quality) -> dict[str, float]:
    return {"log_loss": found.log_loss, "ece": found.ece, "brier": found.brier}


def _point(point: Point, calibrator: Calibrator) -> dict[str, Any]:
    return {
        "how": point.how,
        "logit": _interval(point.threshold),
        "threshold": float(sigmoid(calibrator.apply(point.threshold.value))),
        "sensitivity": _interval(point.sensitivity),
        "specificity": _interval(point.specificity),
        "ppv": _interval(point.ppv),
        "npv": _interval(point.npv),
        "prevalence": point.prevalence,
        "positives": point.positives,
        "negatives": point.negatives,
    }


def _interval(found: Interval | None) -> dict[str, float | None] | None:
    if found is None:
        return None
    ends = {"value": found.value, "low": found.low, "high": found.high}
    return {name: end if math.isfinite(end) else None for name, end in ends.items()}


def read_thresholds(path: Path) -> dict[str, Any]:
    """What `derive` gave, as it was written.

    Raises:
        CalibrationError: it is no such file.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree["schema"] == SCHEMA and [finding["label"] for finding in tree["findings"]] == list(LABELS):
            return dict(tree)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise CalibrationError(Problem.SCORES, f"{path} is not of `python -m calibration thresholds`")


def read_points(path: Path) -> dict[str, list[float | None]]:
    """The thresholds as logits, by operating point and disease, for the gate."""
    findings = read_thresholds(path)["findings"]
    names = list(dict.fromkeys(name for finding in findings for name in finding["points"]))
    found = {
        name: [finding["points"][name]["logit"]["value"] if name in finding["points"] else None for finding in findings]
        for name in names
    }
    return {name: values for name, values in found.items() if any(value is not None for value in values)}
