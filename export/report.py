"""The parity report as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["markdown"]


def markdown(report: Mapping[str, Any]) -> str:
    """The report for people."""
    graph, images = report["graph"], report["images"]
    split = graph["split"]["name"] if graph["split"] else "none"
    summary = (
        f"{graph['origin']}. Split: {split}. Graph: {graph['precision']}, opset {graph['opset']}, "
        f"{graph['bytes'] / 1e6:.1f} MB, sha256 `{graph['sha256']}`. Compared on {images['phantoms']} drawn chests and "
        f"{images['real']} real images, in {report['seconds']:.0f} s. Reference: torch in float32, one image at a time."
    )
    parts = [f"# Parity of {graph['method']}: {'passed' if report['passed'] else 'FAILED'}", summary]
    if report["reasons"]:
        parts.append("\n".join(f"- {reason}" for reason in report["reasons"]))
    if graph["departures"]:
        parts.append("Said of the weights: " + "; ".join(graph["departures"]) + ".")
    parts += [_differences(report["rows"]), *_flips(report["rows"]), *_inner(report["rows"]), *_regions(report)]
    parts.append(_spread(report))
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _who(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['engine']} {row['version']}", row["ran"], str(row["batch"])]


def _verdict(row: Mapping[str, Any]) -> str:
    said = "passed" if row["passed"] else "FAILED"
    return said if row["gates"] else f"{said}; told only"


def _differences(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(rows[0]["largest"])
    lines = [
        [
            *_who(row),
            *(f"{row['largest'][name]:.1e} (at most {row['bounds'][name]:g})" for name in names),
            f"{row['median_ms']:.1f}",
            _verdict(row),
        ]
        for row in rows
    ]
    head = ["Engine", "Ran", "Batch", *names, "ms an image", "Verdict"]
    said = "The time is a by-product of a few runs beside other work, not a benchmark."
    return "## Largest absolute difference\n\n" + _table(head, lines) + f"\n\n{said}"


def _flips(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        [*_who(row), f["threshold"], str(f["decisions"]), str(f["flipped"]), str(f["open"]), str(f["open_flipped"])]
        for row in rows
        for f in row["flips"]
    ]
    head = ["Engine", "Ran", "Batch", "Threshold", "Decisions", "Flipped", "Open", "Of those flipped"]
    said = (
        "A decision is open where torch's own logit lies nearer to the threshold than the bound: no engine can be "
        "asked to agree on it, and torch itself may not with another batch size. None of the others may flip."
    )
    return ["## Decisions", said, _table(head, lines)]


def _inner(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    found = [row for row in rows if row["inner"]]
    if not found:
        return []
    lines = [
        [
            *_who(row),
            f"{row['inner']['differ']} of {row['inner']['images']}",
            f"{row['inner']['farthest']:.1e} (at most {row['bounds']['inner']:g})",
        ]
        for row in found
    ]
    said = (
        "This network compares values with a threshold inside. Where an engine decided otherwise, the cell's distance "
        "from the threshold is bounded, and the outputs are compared with torch given the engine's decision."
    )
    head = ["Engine", "Ran", "Batch", "Images decided otherwise", "Farthest cell from its threshold"]
    return ["## Decisions inside the network", said, _table(head, lines)]


def _regions(report: Mapping[str, Any]) -> list[str]:
    found = report["regions"]
    if found is None:
        return []
    equal = "; ".join(f"{name}: {count}" for name, count in found["equal"].items())
    said = (
        f"{found['maps']} heat maps of {found['side']} x {found['side']}, {found['with_ties']} with a tie for the "
        f"largest region and {found['at_tau']} with a cell of exactly tau = {found['tau']:.3g}: boxes equal to SciPy's "
        f"connected components: {equal}."
    )
    return ["## The box of the largest region", said]


def _spread(report: Mapping[str, Any]) -> str:
    said = f"Logits differ by {report['spread_of_logits']:.2g} (standard deviation) from image to image."
    if report["largest_float16"] is not None:
        said += f" The largest float16 value inside is {report['largest_float16']:.4g}, of 65504."
    return said
