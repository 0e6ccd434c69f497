"""The report of drift as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxredge.result import display_name

__all__ = ["table"]


def table(report: Mapping[str, Any]) -> str:
    """Alarms first; then what was expected and found of each disease."""
    bundle, baseline = report["bundle"], report["baseline"]
    source = "the bundle's baseline" if baseline["source"] == "bundle" else "earlier results"
    rows = [(display_name(each["label"]), each) for each in report["findings"]]
    rows.append(("abstentions", report["abstention"]))
    lines = [
        (
            f"{bundle['name']} {bundle['version']} at {report['operating_point']}: {report['images']} images "
            f"({report['abstained']} abstained, {report['errors']} more unreadable), against {source} of "
            f"{baseline['images']} images"
        ),
        *(_alarm(name, each) for name, each in rows if each["alarm"]),
    ]
    if not report["alarm"]:
        lines.append("no alarm")
    lines.append(
        f"  {'':<20}{'expected':>10}{'found':>10}{'last 100':>10}{'evidence':>12}  (alarm at {report['limit']})"
    )
    lines += [
        f"  {name:<20}{each['expected_rate']:>10.3f}{_rate(each['rate'])}{_rate(each.get('recent_rate'))}"
        f"{_evidence(each['evidence']):>12}"
        for name, each in rows
    ]
    return "\n".join(lines)


def _alarm(name: str, each: Mapping[str, Any]) -> str:
    alarm = each["alarm"]
    return f"ALARM {name}: {alarm['what']} since about image {alarm['since']}, seen at image {alarm['at']}"


def _rate(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:>10.3f}"


def _evidence(value: float) -> str:
    return f"{value:.1f}" if value < 1e6 else f"{value:.0e}"
