"""Results as people and programs read them: a table, JSON lines, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from cxredge.result import LABELS, Anatomy, Finding, Record, display_name

__all__ = ["FORMATS", "csv_header"]


def to_json(record: Record, _label: str) -> str:
    """One object on one line."""
    return record.to_json()


def to_table(record: Record, label: str) -> str:
    """Positives first, each probability beside its threshold; then anatomy, warnings and what ran."""
    lines = [_headline(record, label)]
    if record.reason is not None:
        lines.append(f"  {record.status.upper()}: {record.reason.message} [{record.reason.code}]")
    lines += [f"  warning: {warning.message} [{warning.code}]" for warning in record.warnings]
    if record.findings:
        lines += _findings(record.findings)
    if record.anatomy is not None:
        lines.append(_anatomy(record.anatomy))
    if record.bundle is not None and not record.bundle.clinical and record.findings:
        lines.append(f"  This bundle is a {record.bundle.use}.")
    return "\n".join(lines) + "\n"


def _headline(record: Record, label: str) -> str:
    facts = record.input
    pieces = [label]
    if facts.rows and facts.columns:
        pieces.append(f"{facts.columns} x {facts.rows}")
    pieces += [piece for piece in (facts.modality, facts.view) if piece]
    if record.bundle is not None:
        pieces.append(f"{record.bundle.name} {record.bundle.version}")
    if record.ran is not None:
        pieces.append(f"{record.ran.engine} {record.ran.device} {record.ran.precision}")
        pieces.append(f"{record.timing_ms.total:.0f} ms")
    return " | ".join(pieces)


def _findings(findings: tuple[Finding, ...]) -> list[str]:
    positives = sorted((f for f in findings if f.positive), key=lambda f: -f.probability)
    negatives = sorted((f for f in findings if not f.positive), key=lambda f: -f.probability)
    point = findings[0].operating_point
    lines = [f"  {'':<10}{'':<20}{'probability':>12}{'threshold':>12}  ({point})"]
    for title, group in (("POSITIVE", positives), ("negative", negatives)):
        if not group:
            lines.append(f"  {title:<10}none")
        for index, finding in enumerate(group):
            head = title if index == 0 else ""
            name = display_name(finding.label)
            lines.append(f"  {head:<10}{name:<20}{finding.probability:>12.3f}{finding.threshold:>12.3f}")
    return lines


def _anatomy(anatomy: Anatomy) -> str:
    ratio = anatomy.cardiothoracic_ratio
    pieces = [f"cardiothoracic ratio {ratio:.2f}" if ratio is not None else "no cardiothoracic ratio"]
    areas = (anatomy.left_lung_mm2, anatomy.right_lung_mm2, anatomy.heart_mm2)
    for name, area in zip(("left lung", "right lung", "heart"), areas, strict=True):
        if area is not None:
            pieces.append(f"{name} {area / 100:.0f} cm2")
    return "  " + ", ".join(pieces)


def csv_header() -> str:
    """The first line of the CSV: fixed columns, then probability, threshold and decision of each disease."""
    columns = ["path", "status", "reason", "warnings", "cardiothoracic_ratio", "operating_point"]
    columns += ["engine", "device", "precision", "bundle", "bundle_sha256"]
    columns += [f"{label}_{part}" for label in LABELS for part in ("probability", "threshold", "positive")]
    return _row(columns)


def to_csv(record: Record, label: str) -> str:
    """One row an input."""
    ratio = record.anatomy.cardiothoracic_ratio if record.anatomy else None
    ran, bundle = record.ran, record.bundle
    cells: list[object] = [label, record.status, record.reason.code if record.reason else ""]
    cells += [" ".join(warning.code for warning in record.warnings), "" if ratio is None else ratio]
    cells += [record.findings[0].operating_point if record.findings else ""]
    cells += [ran.engine, ran.device, ran.precision] if ran else ["", "", ""]
    cells += [bundle.name, bundle.sha256] if bundle else ["", ""]
    by_label = {finding.label: finding for finding in record.findings}
    for name in LABELS:
        finding = by_label.get(name)
        cells += [finding.probability, finding.threshold, int(finding.positive)] if finding else ["", "", ""]
    return _row(cells)


def _row(cells: list[object] | list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([_harmless(cell) for cell in cells])
    return buffer.getvalue()


def _harmless(cell: object) -> object:
    """A file name that a spreadsheet would run as a formula is made text."""
    return (
        f"'{cell}" if isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"} and cell != "-" else cell
    )


FORMATS: dict[str, Callable[[Record, str], str]] = {"table": to_table, "json": to_json, "csv": to_csv}
