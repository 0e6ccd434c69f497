"""A site's own bundle, from end to end."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from cxredge.bundle import Bundle, open_bundle
from cxredge.errors import Code, InputError, UsageError
from cxredge.operating_points import LEAST, STANDARD, Rule
from cxredge.result import display_name
from cxredge.site.cases import Cases, read_cases
from cxredge.site.derive import ENOUGH, NewFinding, derive_finding
from cxredge.site.report import SCHEMA, finding_report, markdown
from cxredge.site.scores import Scored, run_cases, score_results
from cxredge.site.seal import REPORT_JSON, REPORT_MARKDOWN, Origin, baseline_of_cases, seal, version_of

__all__ = ["LEAST_CASES", "Wishes", "adapt"]

LEAST_CASES = 200
"""Fewer answered cases are refused: at a prevalence of 0.1 they hold 20 positives, the least that a threshold takes."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What may be asked for.

    Attributes:
        results: a file of results that the bundle gave before; None runs the bundle on the cases.
        rules: other rules than the standard ones, by name of the parent's operating points.
        consecutive: the cases are images as they came, unselected: they become the baseline for drift.
        day: of sealing; None is today (UTC).
        resamples: of the bootstrap.
        seed: of folds and bootstrap.
        key: a public key (a PEM file) that must have signed the parent; None asks for no signature.
        model: further arguments of `cxredge.load`: engine, device, precision, threads.
        step: called after each case that was run.
    """

    results: str | os.PathLike[str] | None = None
    rules: Mapping[str, Rule] = field(default_factory=dict)
    consecutive: bool = False
    day: date | None = None
    resamples: int = 1000
    seed: int = 0
    key: str | os.PathLike[str] | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    step: Callable[[], None] = lambda: None


def adapt(
    bundle: str | os.PathLike[str],
    cases: str | os.PathLike[str],
    out: str | os.PathLike[str],
    wishes: Wishes | None = None,
) -> dict[str, Any]:
    """Seal a derived bundle with operating points and calibration from a site's own labelled cases.

    Nothing is written but the derived bundle, in one step at the end; the report is in it too.

    Args:
        bundle: the parent, a folder or `.cxr` file.
        cases: the table; docs/site.md has its columns.
        out: a folder that does not exist yet, or a file that ends in `.cxr` and does not exist yet.
        wishes: how.

    Returns:
        The report, `cxredge.site/1`, as plain data; with `sha256` of the new bundle besides.

    Raises:
        InputError: CASES_UNUSABLE, TOO_FEW_CASES, RESULTS_UNUSABLE or FILE_NOT_FOUND.
        UsageError: OUTPUT_UNWRITABLE, or BAD_ARGUMENT for a rule of a name that the parent has not.
        BundleError, EngineError: of the parent.
    """
    wishes = wishes or Wishes()
    if Path(out).exists():  # said before the cases are run, not after
        raise UsageError(Code.OUTPUT_UNWRITABLE, f"{out} exists")
    table = read_cases(cases)
    if len(table.paths) < LEAST_CASES:
        raise InputError(Code.TOO_FEW_CASES, f"the table has {len(table.paths)}, {LEAST_CASES} are needed")
    with open_bundle(Path(bundle), key=wishes.key) as parent:
        rules = _rules(parent, wishes.rules)
        scored = _scores(parent, table, wishes)
        findings = _derive(parent, table, scored, rules, wishes)
        return _finish(parent, table, scored, findings, out, wishes)


def _rules(parent: Bundle, asked: Mapping[str, Rule]) -> dict[str, Rule]:
    known = parent.manifest.operating_points
    strange = [name for name in asked if name not in known]
    if strange:
        raise UsageError(Code.BAD_ARGUMENT, f"the bundle has no operating point {strange[0]!r}, but {', '.join(known)}")
    return {name: rule for name, rule in (STANDARD | dict(asked)).items() if name in known}


def _scores(parent: Bundle, table: Cases, wishes: Wishes) -> Scored:
    if wishes.results is None:
        scored = run_cases(parent.path, table, wishes.step, key=wishes.key, **wishes.model)
    else:
        scored = score_results(wishes.results, table, parent)
    answered = len(table.paths) - scored.abstained - scored.errors
    if answered < LEAST_CASES:
        raise InputError(
            Code.TOO_FEW_CASES,
            f"{answered} of {len(table.paths)} were answered ({scored.abstained} abstained on, {scored.errors} "
            f"unreadable), {LEAST_CASES} are needed",
        )
    return scored


def _derive(
    parent: Bundle, table: Cases, scored: Scored, rules: Mapping[str, Rule], wishes: Wishes
) -> list[NewFinding]:
    return [
        derive_finding(
            finding,
            table.truth[:, c],
            scored.logits[:, c],
            table.patients,
            rules,
            resamples=wishes.resamples,
            seed=wishes.seed,
        )
        for c, finding in enumerate(parent.manifest.findings_for(scored.precision))
    ]


def _finish(
    parent: Bundle,
    table: Cases,
    scored: Scored,
    findings: list[NewFinding],
    out: str | os.PathLike[str],
    wishes: Wishes,
) -> dict[str, Any]:
    there = np.asarray(~np.isnan(scored.logits).all(1))
    day = (wishes.day or datetime.now(UTC).date()).isoformat()
    patients = len({patient for patient, known in zip(table.patients, there.tolist(), strict=True) if known})
    origin = Origin(table.sha256, int(there.sum()), patients, day, scored.ran)
    baseline = None
    if wishes.consecutive:
        baseline = baseline_of_cases(parent.manifest, findings, scored.logits, scored.abstained, origin)
    report = _report(parent, table, scored, findings, origin, wishes)
    reports = {
        REPORT_JSON: (json.dumps(report, indent=2, allow_nan=False) + "\n").encode(),
        REPORT_MARKDOWN: markdown(report).encode(),
    }
    with open_bundle(seal(parent, out, findings, origin, baseline, reports)) as new:
        return report | {"sha256": new.sha256}


def _report(
    parent: Bundle, table: Cases, scored: Scored, findings: list[NewFinding], origin: Origin, wishes: Wishes
) -> dict[str, Any]:
    m = parent.manifest
    return {
        "schema": SCHEMA,
        "parent": {"name": m.name, "version": m.version, "sha256": parent.sha256},
        "version": version_of(m, origin),
        "date": origin.date,
        "ran": origin.ran,
        "cases": {
            "sha256": table.sha256,
            "table": len(table.paths),
            "answered": origin.cases,
            "abstained": scored.abstained,
            "errors": scored.errors,
            "patients": origin.patients,
        },
        "interval": f"95 %, bootstrap over patients, {wishes.resamples} resamples, seed {wishes.seed}",
        "baseline": wishes.consecutive,
        "notes": [*_notes(parent, table, wishes), *_one_sided(findings)],
        "findings": [finding_report(finding) for finding in findings],
    }


def _notes(parent: Bundle, table: Cases, wishes: Wishes) -> list[str]:
    notes = ["Nobody has signed this bundle for clinical use: a signature of its parent does not carry over."]
    if not table.clustered:
        notes.append(
            "The table has no column `patient`, so each image counts as a patient of its own: where patients have "
            "several images, the intervals are too narrow."
        )
    if not wishes.consecutive:
        notes.append(
            "The cases were not said to be consecutive, so the bundle holds no baseline for `cxredge drift`, and the "
            "predictive values hold at the prevalence of the cases only."
        )
    if len(parent.manifest.graphs) > 1:
        notes.append(
            "The thresholds were chosen at the precision that ran; another graph of the bundle may decide otherwise on "
            "images close to a line."
        )
    if parent.manifest.findings_by_precision:
        notes.append(
            "The parent had own thresholds for single precisions. This bundle has one set for all, of the precision "
            "that ran: others decide with it too."
        )
    return notes


def _one_sided(findings: list[NewFinding]) -> list[str]:
    """Thresholds that part none of the cases: the parent's lie where this site has no scores, and pulled them there."""
    notes = []
    for name in findings[0].points:
        for share, who in ((0.0, "nobody"), (1.0, "everybody")):
            labels = [
                display_name(finding.label)
                for finding in findings
                # Of a rare disease that few of the cases have, "nobody" may well be right.
                if finding.points[name].called == share and (share or finding.patients[0] >= LEAST)
            ]
            if labels:
                notes.append(
                    f"**At `{name}` {who} among the cases is called positive for {', '.join(labels)}.** The parent's "
                    f"threshold does not suit this site, and a threshold wholly of its own takes {ENOUGH} positives or "
                    "more: collect them before relying on it."
                )
    return notes


def parse_day(text: str) -> date:
    """A date as YYYY-MM-DD.

    Raises:
        UsageError: BAD_ARGUMENT.
    """
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(Code.BAD_ARGUMENT, f"{text[:20]!r} is no date: YYYY-MM-DD")
