"""Sealing a derived bundle: the parent's graphs and golden pair, a site's own calibration and thresholds."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cxredge.bundle import BaselineSpec, Bundle, Manifest, write_bundle
from cxredge.drift import make_baseline
from cxredge.operating_points import Interval, sigmoid
from cxredge.site.derive import NewFinding, NewPoint
from cxredge.site.scores import Floats

__all__ = ["REPORT_JSON", "REPORT_MARKDOWN", "Origin", "baseline_of_cases", "seal"]

REPORT_JSON = "site_report.json"
REPORT_MARKDOWN = "site_report.md"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a derived bundle comes from.

    Attributes:
        cases_sha256: of the table.
        cases, patients: those that were answered.
        date: as YYYY-MM-DD.
        ran: engine, device and precision.
    """

    cases_sha256: str
    cases: int
    patients: int
    date: str
    ran: str


def version_of(manifest: Manifest, origin: Origin) -> str:
    """The parent's version, the date and the cases: `1.2+site.20261121.0f3a9c1e`."""
    base = manifest.version.partition("+site.")[0]
    return f"{base[:50]}+site.{origin.date.replace('-', '')}.{origin.cases_sha256[:8]}"


def baseline_of_cases(
    manifest: Manifest, findings: Sequence[NewFinding], logits: Floats, abstained: int, origin: Origin
) -> BaselineSpec:
    """What the derived bundle would have said of the cases."""
    there = logits[~np.isnan(logits).all(1)]
    p = np.stack([sigmoid(finding.calibrator.apply(there[:, c])) for c, finding in enumerate(findings)], axis=1)
    limits = {name: [finding.points[name].probability for finding in findings] for name in manifest.operating_points}
    return make_baseline(p, limits, abstained, _data(origin))


def seal(
    parent: Bundle,
    out: str | os.PathLike[str],
    findings: Sequence[NewFinding],
    origin: Origin,
    baseline: BaselineSpec | None,
    reports: dict[str, bytes],
) -> Path:
    """Write the derived bundle in one step; it is verified before it gets its name.

    Raises:
        BundleError: the parent is not as it was sealed.
        UsageError: OUTPUT_UNWRITABLE.
    """
    manifest = parent.manifest
    tree: dict[str, Any] = msgspec.to_builtins(manifest)
    files: dict[str, bytes | Path] = {name: parent.read(name) for name in manifest.files}
    if manifest.derived:  # the report of the parent's own site tells of other thresholds
        del files[manifest.derived.report]
    del tree["schema"], tree["files"]
    tree |= {
        "version": version_of(manifest, origin),
        "findings": [_finding(finding, origin) for finding in findings],
        # Those of the parent fit this site worse than the site's own fit another precision, whose gate bounds how much.
        "findings_by_precision": None,
        # Whoever signed for clinical use signed for the parent's thresholds.
        "clinical": False,
        "derived": {
            "parent": {"name": manifest.name, "version": manifest.version, "sha256": parent.sha256},
            "cases_sha256": origin.cases_sha256,
            "cases": origin.cases,
            "patients": origin.patients,
            "date": origin.date,
            "ran": origin.ran,
            "report": REPORT_JSON,
        },
        "baseline": msgspec.to_builtins(baseline),
    }
    return write_bundle(Path(out), tree, files | reports)


def _data(origin: Origin) -> str:
    return f"{origin.cases} cases of a site, table sha256 {origin.cases_sha256}, {origin.date}"


def _finding(finding: NewFinding, origin: Origin) -> dict[str, Any]:
    new = finding.calibrator
    return {
        "label": finding.label,
        "calibration": {"kind": new.kind, "scale": new.scale, "offset": new.offset},
        "operating_points": {name: _point(finding, point, origin) for name, point in finding.points.items()},
    }


def _point(finding: NewFinding, point: NewPoint, origin: Origin) -> dict[str, Any]:
    if point.weight == 0:  # measured where the parent measured it, with the line where the parent drew it
        kept: dict[str, Any] = msgspec.to_builtins(point.parent)
        how = f"kept the parent's ({point.reason}): {point.parent.how}"
        return kept | {"threshold": point.probability, "how": how[:4000]}
    how = point.how
    if point.weight < 1:
        how += f"; pooled with the parent's, {point.weight:.2f} of it the site's own ({point.reason})"
    chosen = point.chosen
    return {
        "threshold": point.probability,
        "how": how,
        "sensitivity": interval(chosen.sensitivity) if chosen else None,
        "specificity": interval(chosen.specificity) if chosen else None,
        "prevalence": finding.positives / finding.cases,
        "positives": finding.positives,
        "data": _data(origin),
        "split_sha256": None,
    }


def interval(found: Interval) -> dict[str, float] | None:
    """As plain data; None where it is not known."""
    if any(math.isnan(each) for each in (found.value, found.low, found.high)):
        return None
    return {"value": found.value, "low": found.low, "high": found.high}
