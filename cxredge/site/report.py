"""The report of a derived bundle, as plain data and as Markdown: numbers over all cases, nothing of one patient."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cxredge.operating_points import Calibrator, Interval, Point, sigmoid
from cxredge.result import display_name
from cxredge.site.derive import NewFinding, NewPoint
from cxredge.site.seal import interval

__all__ = ["SCHEMA", "finding_report", "markdown"]

SCHEMA = "cxredge.site/1"


def finding_report(finding: NewFinding) -> dict[str, Any]:
    """One disease as plain data."""
    choice = finding.calibration
    return {
        "label": finding.label,
        "cases": finding.cases,
        "positives": finding.positives,
        "patients_with": finding.patients[0],
        "patients_without": finding.patients[1],
        "calibration": {
            "before": asdict(finding.parent),
            "after": asdict(finding.calibrator),
            "kept": finding.calibrator == finding.parent,
            "reason": finding.reason or None,
            "log_loss_by_cross_validation": choice.losses if choice else None,
            "quality_before": asdict(choice.before) if choice else None,
            "quality_after": asdict(choice.after) if choice else None,
        },
        "operating_points": {name: _point(finding, point) for name, point in finding.points.items()},
    }


def _point(finding: NewFinding, point: NewPoint) -> dict[str, Any]:
    verdict = "kept" if point.weight == 0 else "own" if point.weight == 1 else "pooled"
    return {
        "verdict": verdict,
        "reason": point.reason or None,
        "how": point.how,
        "weight": point.weight,
        "threshold": point.probability,
        "threshold_interval": _threshold(point.chosen, finding.calibrator) if point.weight else None,
        "old_threshold": point.parent.threshold,
        "old_threshold_now": float(sigmoid(finding.calibrator.apply(point.parent_threshold))),
        "own_threshold": None if point.own is None else float(sigmoid(finding.calibrator.apply(point.own))),
        "moved_logits": point.threshold - point.parent_threshold if point.weight else 0.0,
        "called": point.called,
        "now": _rates(point.chosen),
        "before": _rates(point.before),
    }


def _threshold(chosen: Point | None, calibrator: Calibrator) -> dict[str, float] | None:
    if chosen is None or math.isnan(chosen.threshold.low):
        return None
    ends = np.array([chosen.threshold.value, chosen.threshold.low, chosen.threshold.high])
    value, low, high = sigmoid(calibrator.apply(ends)).tolist()
    return {"value": value, "low": low, "high": high}


def _rates(point: Point | None) -> dict[str, Any] | None:
    if point is None:
        return None
    each: dict[str, Interval | None] = {
        "sensitivity": point.sensitivity,
        "specificity": point.specificity,
        "ppv": point.ppv,
        "npv": point.npv,
    }
    told = {name: interval(found) if found else None for name, found in each.items()}
    return {**told, "prevalence": point.prevalence}


# Markdown

_LEGEND = (
    "Rates are on the site's cases, with 95 % intervals. `old` is the parent's threshold as it was sealed; where the "
    "calibration changed, `old, now` is the same line under the new one."
)


def markdown(report: Mapping[str, Any]) -> str:
    """The report for people."""
    parent, counts = report["parent"], report["cases"]
    parts = [
        f"# {parent['name']} {report['version']}: a site's own thresholds",
        (
            f"Derived on {report['date']} from {parent['name']} {parent['version']} (sha256 `{parent['sha256']}`). "
            f"Cases: {counts['table']} in the table (sha256 `{counts['sha256']}`), {counts['answered']} answered, "
            f"{counts['abstained']} abstained on, {counts['errors']} unreadable; {counts['patients']} patients. "
            f"Ran: {report['ran']}."
        ),
        *report["notes"],
        "## Operating points",
        _LEGEND,
        *(_points_table(name, report["findings"]) for name in report["findings"][0]["operating_points"]),
        "## Probabilities",
        "ECE and Brier score of the parent's calibration, and of the new one on patients that it was not fitted to.",
        _calibration_table(report["findings"]),
    ]
    return "\n\n".join(parts) + "\n"


def _points_table(name: str, findings: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        f"### {name}",
        "",
        "| disease | cases | positives | old | old, now | new | 95 % | sensitivity | specificity | how |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for finding in findings:
        point = finding["operating_points"][name]
        now = point["now"] or {"sensitivity": None, "specificity": None}
        cells = [
            display_name(finding["label"]),
            str(finding["cases"]),
            str(finding["positives"]),
            f"{point['old_threshold']:.3f}",
            f"{point['old_threshold_now']:.3f}",
            f"{point['threshold']:.3f}",
            _ends(point["threshold_interval"]),
            _rate(now["sensitivity"]),
            _rate(now["specificity"]),
            _how(point),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _how(point: Mapping[str, Any]) -> str:
    if point["verdict"] == "own":
        return "the site's own"
    if point["verdict"] == "kept":
        return f"kept the parent's: {point['reason']}"
    return (
        f"pooled, {point['weight']:.2f} the site's own: {point['reason']}; moved by {point['moved_logits']:+.2f} logits"
    )


def _rate(found: Mapping[str, float] | None) -> str:
    return f"{found['value']:.2f} ({_ends(found)})" if found else "not told"


def _ends(found: Mapping[str, float] | None) -> str:
    return f"{found['low']:.3f} to {found['high']:.3f}" if found else ""


def _calibration_table(findings: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        "| disease | calibration | ECE before | after | Brier before | after |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for finding in findings:
        told = finding["calibration"]
        what = f"kept the parent's: {told['reason']}" if told["kept"] else told["after"]["kind"]
        values = ["", "", "", ""]
        if told["quality_before"]:
            values = [
                f"{told[f'quality_{when}'][score]:.4f}" for score in ("ece", "brier") for when in ("before", "after")
            ]
        rows.append(f"| {' | '.join([display_name(finding['label']), what, *values])} |")
    return "\n".join(rows)
