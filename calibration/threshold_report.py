"""Thresholds as Markdown, and the pictures of their curves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.plots import OURS, QUIET, mark_points, plot_panel, plot_sheet
from calibration.reports import table
from calibration.scores import Scores
from cxredge.files import write_atomically
from cxredge.operating_points import precision_recall, reliability, roc_curve, sigmoid
from cxredge.result import LABELS, display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["threshold_report", "write_thresholds"]


def write_thresholds(report: Mapping[str, Any], scores: Scores, out: Path) -> None:
    """thresholds.json and .md; roc.png, pr.png and reliability.png of all 14; a picture a disease that has curves."""
    write_atomically(out / "thresholds.json", (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(out / "thresholds.md", threshold_report(report).encode())
    curves = _Curves(report, scores)
    ran = f"{report['scores']['method']}, {report['scores']['precision']}, {report['cases']} cases"
    for name, draw in (("roc", curves.roc), ("pr", curves.pr), ("reliability", curves.reliability)):
        plot_sheet(draw, f"{_TITLES[name]}: {ran}", out / f"{name}.png")
    draws = {_TITLES["roc"]: curves.roc, _TITLES["pr"]: curves.pr, _TITLES["reliability"]: curves.reliability}
    for label in LABELS:
        if curves.measurable(label):
            plot_panel(draws, label, out / f"{label.lower()}.png")


_TITLES = {"roc": "ROC", "pr": "Precision and recall", "reliability": "Reliability"}


class _Curves:
    """Draws one disease's curve into a panel; one that has none says why."""

    def __init__(self, report: Mapping[str, Any], scores: Scores) -> None:
        self.findings = {finding["label"]: finding for finding in report["findings"]}
        self.scores = scores

    def measurable(self, label: str) -> bool:
        return self.findings[label]["auroc"] is not None

    def _cases(self, label: str) -> tuple[Any, Any]:
        c = LABELS.index(label)
        known = ~np.isnan(self.scores.truth[:, c])
        return self.scores.truth[known, c], self.scores.logits[known, c]

    def _empty(self, axes: Axes, label: str) -> bool:
        axes.set(xlim=(0, 1), ylim=(0, 1))
        if self.measurable(label):
            return False
        axes.text(0.5, 0.5, "one class only", ha="center", va="center", fontsize=8, color=QUIET)
        return True

    def roc(self, axes: Axes, label: str) -> None:
        if self._empty(axes, label):
            return
        curve, finding = roc_curve(*self._cases(label)), self.findings[label]
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.6, linestyle=":")
        axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=OURS, linewidth=1.3)
        rates = {
            name: [point[key]["value"] for key in ("specificity", "sensitivity")]
            for name, point in finding["points"].items()
        }
        places = {name: (1 - specificity, sensitivity) for name, (specificity, sensitivity) in rates.items()}
        mark_points(axes, places, finding["auroc"]["value"])

    def pr(self, axes: Axes, label: str) -> None:
        if self._empty(axes, label):
            return
        curve, finding = precision_recall(*self._cases(label)), self.findings[label]
        axes.plot(curve.recall, curve.precision, color=OURS, linewidth=1.3)
        axes.axhline(finding["prevalence"], color=QUIET, linewidth=0.6, linestyle=":")
        axes.text(0.96, 0.9, f"{finding['average_precision']:.3f}", ha="right", fontsize=8)

    def reliability(self, axes: Axes, label: str) -> None:
        """Before in grey, after in colour. After: the sealed fit, on the cases that it was fitted to."""
        if self._empty(axes, label):
            return
        truth, logits = self._cases(label)
        made = self.findings[label]["calibration"]
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.6, linestyle=":")
        for z, color in ((logits, QUIET), (made["scale"] * logits + made["offset"], OURS)):
            found = reliability(truth, sigmoid(z))
            axes.plot(found.probability, found.rate, "o-", color=color, markersize=3, linewidth=1)


def threshold_report(report: Mapping[str, Any]) -> str:
    """`cxredge.thresholds/1` as Markdown."""
    told, mean = report["scores"], report["mean_auroc"]
    head = (
        f"{report['cases']} images of {report['patients']} patients (table `{told['table_sha256'][:12]}`), "
        f"{told['ran']}, graph `{told['graph_sha256'][:12]}`. Mean AUROC {_ci(mean)}. Intervals: 95 %, bootstrap over "
        f"patients, {report['bootstrap']['resamples']} resamples."
    )
    lines = [
        [display_name(f["label"]), str(f["positives"]), _ci(f["auroc"]), *_calibration(f["calibration"])]
        for f in report["findings"]
    ]
    parts = [f"# Thresholds of {told['method']}, {told['precision']}", head]
    parts.append(table(["Disease", "Positives", "AUROC", "Calibration", "ECE", "Brier"], lines))
    parts.append("ECE and Brier: before, and after on patients that the fit has not seen.")
    for finding in report["findings"]:
        parts += _points(finding)
    return "\n\n".join(parts) + "\n"


def _ci(found: Mapping[str, float | None] | None) -> str:
    if found is None or found["value"] is None:
        return "not measurable"
    if found["low"] is None or found["high"] is None:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _calibration(made: Mapping[str, Any]) -> list[str]:
    if made["before"] is None:
        return [f"none: {made['reason']}", "", ""]
    kind = "as it was" if made["kept"] else f"{made['kind']}, scale {made['scale']:.3f}, offset {made['offset']:.3f}"
    return [kind, *(f"{made['before'][key]:.4f} to {made['after'][key]:.4f}" for key in ("ece", "brier"))]


def _points(finding: Mapping[str, Any]) -> list[str]:
    lines = [
        [name, f"{p['threshold']:.4f}", *(_ci(p[key]) for key in ("logit", "sensitivity", "specificity", "ppv", "npv"))]
        for name, p in finding["points"].items()
    ]
    lines += [[name, f"refused: {why}", "", "", "", "", ""] for name, why in finding["refused"].items()]
    head = ["Point", "Probability", "Logit", "Sensitivity", "Specificity", "PPV", "NPV"]
    return [
        f"## {display_name(finding['label'])}",
        f"PPV and NPV at a prevalence of {_at(finding)}.",
        table(head, lines),
    ]


def _at(finding: Mapping[str, Any]) -> str:
    return next((f"{p['prevalence']:.3f}" for p in finding["points"].values() if p["prevalence"]), "none")
