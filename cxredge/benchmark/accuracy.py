"""What the bundle's own gate report says of a precision: speed is never shown as if it were all there is."""

from __future__ import annotations

import json
from typing import Any

from cxredge.benchmark.record import Accuracy, Combination
from cxredge.bundle import Bundle

__all__ = ["accuracy_of", "read_gate_report"]


def read_gate_report(bundle: Bundle) -> dict[str, Any] | None:
    """The report that the INT8 graph was sealed with; None where the bundle holds none."""
    name = bundle.manifest.gate_report
    if name is None:
        return None
    report = json.loads(bundle.read(name))
    return report if isinstance(report, dict) else None


def accuracy_of(report: dict[str, Any] | None, combination: Combination) -> tuple[Accuracy | None, str]:
    """The accuracy of one combination, or why it is not known.

    INT8 was compared with fp32 engine by engine. What runs the fp32 graph otherwise (bf16) or another graph (fp16)
    was not, and is not given fp32's figure.
    """
    if report is None:
        return None, "the bundle has no gate report"
    if combination.precision not in ("fp32", "int8"):
        return None, f"the gate report does not compare {combination.precision}"
    row = next((row for row in report.get("engines", []) if row.get("engine") == combination.engine), None)
    mean = (row or {}).get("mean_auroc")
    if not mean:
        return None, f"the gate report has no mean AUROC on {combination.engine}"
    drop = None if combination.precision == "fp32" else mean["drop"]["value"]
    cases = report.get("cases", {}).get("images")
    return Accuracy(mean_auroc=mean[combination.precision], mean_auroc_drop=drop, cases=cases), ""
