"""What the bundle's own gate report says of a precision: speed is never shown as if it were all there is."""

from __future__ import annotations

import json
from typing import Any

from cxredge.benchmark.record import Accuracy, Combination
from cxredge.bundle import BF16_GATE, Bundle

__all__ = ["Reports", "accuracy_of", "read_gate_reports"]

Reports = dict[str, dict[str, Any]]
"""Gate reports, by the precision that each compared with fp32."""


def read_gate_reports(bundle: Bundle) -> Reports:
    """The reports that the bundle was sealed with."""
    names = {"int8": bundle.manifest.gate_report, "bf16": BF16_GATE if BF16_GATE in bundle.manifest.files else None}
    read = {precision: json.loads(bundle.read(name)) for precision, name in names.items() if name is not None}
    return {precision: report for precision, report in read.items() if isinstance(report, dict)}


def accuracy_of(reports: Reports, combination: Combination) -> tuple[Accuracy | None, str]:
    """The accuracy of one combination, or why it is not known.

    A precision was compared with fp32 engine by engine. One that was not is not given fp32's figure.
    """
    if not reports:
        return None, "the bundle has no gate report"
    report = next(iter(reports.values())) if combination.precision == "fp32" else reports.get(combination.precision)
    if report is None:
        return None, f"no gate report compares {combination.precision}"
    row = next((row for row in report.get("engines", []) if row.get("engine") == combination.engine), None)
    mean = (row or {}).get("mean_auroc")
    if not mean:
        return None, f"the gate report has no mean AUROC on {combination.engine}"
    drop = None if combination.precision == "fp32" else mean["drop"]["value"]
    cases = report.get("cases", {}).get("images")
    return Accuracy(mean_auroc=mean[combination.precision], mean_auroc_drop=drop, cases=cases), ""
