"""From a subject to a graph file with its report beside it; a graph that fails is not written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from cxredge.files import write_atomically
from export.errors import ExportError, Problem
from export.graph import build_graph
from export.memory import memory_told
from export.metadata import patients_list, patients_path
from export.parity import Plan, compare
from export.report import markdown
from export.subject import Subject

__all__ = ["export_graph", "report_paths"]


def report_paths(out: Path, *, passed: bool) -> tuple[Path, Path]:
    """Where the report goes, as JSON and as Markdown; that of a failure never takes the place of a graph's own."""
    word = "parity" if passed else "failed"
    return out.with_suffix(f".{word}.json"), out.with_suffix(f".{word}.md")


def export_graph(subject: Subject, out: Path, plan: Plan, precision: str = "fp32") -> dict[str, Any]:
    """Build the graph, compare it, and write it with its report.

    Raises:
        ExportError: it cannot be built, memory runs out, or it does not pass. In the last case the report is kept as
            OUT.failed.md. The graph is not written, and a file that was there before stays as it was.
        EngineError: an engine cannot compile or run it.
    """
    plan.say(f"exporting {subject.method.name} as {precision}")
    with memory_told(f"exporting {subject.method.name}"):
        graph = build_graph(subject, precision)
        report = compare(subject, graph, plan)
    as_json, as_text = report_paths(out, passed=report["passed"])
    write_atomically(as_json, msgspec.json.format(msgspec.json.encode(report)))
    write_atomically(as_text, markdown(report).encode("utf-8"))
    if not report["passed"]:
        more = f" (and {len(report['reasons']) - 1} more)" if len(report["reasons"]) > 1 else ""
        raise ExportError(Problem.PARITY, f"not written: {report['reasons'][0]}{more}; see {as_text}")
    if subject.facts is not None and subject.facts.trained_on:
        write_atomically(patients_path(out), patients_list(subject.facts))
    else:
        patients_path(out).unlink(missing_ok=True)  # of a graph that was here before: not this one's patients
    write_atomically(out, graph.data)
    for stale in report_paths(out, passed=False):
        stale.unlink(missing_ok=True)
    return report
