"""Reports for people: the gate and the quantisation as Markdown, and the gate's pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxredge.files import write_atomically
from cxredge.operating_points import LEAST
from cxredge.result import display_name

__all__ = ["WORDS", "gate_report", "quantise_report", "table", "write_gate"]

WORDS = {"int8": "INT8", "bf16": "bfloat16"}
"""What the gate judges, for people."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_gate(report: Mapping[str, Any], stem: Path) -> None:
    """STEM.json, STEM.md and STEM.png."""
    from calibration.plots import plot_gate

    write_atomically(stem.with_name(f"{stem.name}.json"), (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(stem.with_name(f"{stem.name}.md"), gate_report(report).encode())
    plot_gate(report, stem.with_name(f"{stem.name}.png"))


def gate_report(report: Mapping[str, Any]) -> str:
    """`cxredge.gate/1` as Markdown."""
    cases = report["cases"]
    kind = report.get("precision", "int8")
    head = (
        f"{cases['images']} held-out images of {cases['patients']} patients (table `{cases['table_sha256'][:12]}`, "
        f"{cases['refused']} refused). fp32 `{report['fp32_sha256'][:12]}`{_made(report)} "
        f"Processor: {report['machine']['processor']}."
    )
    parts = [f"# {WORDS[kind]} gate of {report['method']}: {'passed' if report['passed'] else 'FAILED'}", head]
    for row in report["engines"]:
        parts += _engine(row, report["bounds"], kind)
    if report["without_points"]:
        lines = [[name, why] for name, why in report["without_points"].items()]
        parts += ["## Without an operating point", table(["Disease, point", "Why"], lines)]
    return "\n\n".join(parts) + "\n"


def _made(report: Mapping[str, Any]) -> str:
    """How the variant was made: another graph, or the same one."""
    if "int8_sha256" not in report:
        return ", run in bfloat16."
    names = ", ".join(report["float_layers"]) or "none"
    return (
        f", INT8 `{report['int8_sha256'][:12]}`. File: {report['bytes']['fp32'] / 1e6:.2f} MB to "
        f"{report['bytes']['int8'] / 1e6:.2f} MB. Layers in float: {names}."
    )


def _engine(row: Mapping[str, Any], bounds: Mapping[str, float], kind: str) -> list[str]:
    parts = [f"## {row['engine']} {row['version']}: {'passed' if row['passed'] else 'FAILED'}"]
    if row["reasons"]:
        parts.append("\n".join(f"- {reason}" for reason in row["reasons"]))
    if "auroc" not in row:  # it could not run
        return parts
    return [
        *parts,
        _aurocs(row, bounds, kind),
        _masks(row, bounds, kind),
        _flips(row, bounds),
        _rest(row, bounds, kind),
    ]


def _aurocs(row: Mapping[str, Any], bounds: Mapping[str, float], kind: str) -> str:
    lines = [
        [display_name(label) + ("" if found["gates"] else " (told only)"), *_drop(found, kind)]
        for label, found in row["auroc"].items()
    ]
    if row["mean_auroc"]:
        lines.append(["Mean", *_drop(row["mean_auroc"], kind)])
    said = (
        f"A disease may drop by {bounds['auroc']:g}, the mean by {bounds['mean_auroc']:g}; one with fewer than {LEAST} "
        "positives or negatives is told only. `Shown`: the whole 95 % interval (paired bootstrap over patients) lies "
        "below that; with few positives it cannot."
    )
    return table(["AUROC", "fp32", WORDS[kind], "Drop", "95 %", "Shown"], lines) + f"\n\n{said}"


def _drop(found: Mapping[str, Any], kind: str) -> list[str]:
    drop = found["drop"]
    return [
        f"{found['fp32']:.4f}",
        f"{found[kind]:.4f}",
        f"{drop['value']:+.4f}",
        _ends(drop),
        "yes" if found["shown"] else "no",
    ]


def _ends(interval: Mapping[str, float | None]) -> str:
    return "not known" if interval["low"] is None else f"{interval['low']:+.4f} to {interval['high']:+.4f}"


def _masks(row: Mapping[str, Any], bounds: Mapping[str, float], kind: str) -> str:
    dice = row["dice"]
    against = "true masks" if dice["against"] == "truth" else "fp32's own masks (the cases have no true ones)"
    lines = []
    for name, drop in dice["drop"].items():
        both = [f"{dice[which][name]:.4f}" if dice[which] else "" for which in ("fp32", kind)]
        shown = "yes" if dice["shown"][name] else "no"
        lines.append([name.replace("_", " "), *both, f"{drop:+.4f}", _ends(dice["interval"][name]), shown])
    said = f"Against {against}, {dice['images']} images; a drop of {bounds['dice']:g} is allowed."
    return table(["Dice", "fp32", WORDS[kind], "Drop", "95 %", "Shown"], lines) + f"\n\n{said}"


def _flips(row: Mapping[str, Any], bounds: Mapping[str, float]) -> str:
    lines = [[f["point"], str(f["decisions"]), str(f["flipped"]), f"{f['share']:.2%}"] for f in row["flips"]]
    said = f"{bounds['flips']:.0%} of the decisions at a point may flip. The JSON lists each by the image's SHA-256."
    return table(["Operating point", "Decisions", "Flipped", "Share"], lines) + f"\n\n{said}"


def _rest(row: Mapping[str, Any], bounds: Mapping[str, float], kind: str) -> str:
    maps = row["heatmaps"]
    told = (
        "no heat map varies"
        if maps["median"] is None
        else f"median {maps['median']:.4f} (at least {bounds['heatmaps']:g})"
    )
    said = f"Correlation of heat maps: {told}."
    gate = row.get("input_gate")
    if gate is not None:
        said += (
            f" Input gate: probabilities differ by at most {gate['largest']:.3f}; {gate['flipped']} of "
            f"{gate['decisions']} decisions flip ({bounds['flips']:.0%} is allowed)."
        )
    if "latency" in row:
        spent = row["latency"]
        said += (
            f" One image: fp32 {spent['fp32_ms']:.2f} ms, {WORDS[kind]} {spent[f'{kind}_ms']:.2f} ms, "
            f"{spent['ratio']:.2f} times as fast (same engine, in turn, medians of {spent['rounds']} rounds)."
        )
    return said


def quantise_report(report: Mapping[str, Any]) -> str:
    """`cxredge.quantisation/1` as Markdown: which layer costs what, and what was tried."""
    total = sum(layer["multiply_adds"] for layer in report["layers"]) or 1
    order = sorted(report["layers"], key=lambda layer: min(layer["decibels"].values()))
    outputs = {"logits": "Logits", "masks": "Masks", "heatmaps": "Heat maps", "gate": "Gate"}
    outputs = {name: word for name, word in outputs.items() if all(name in layer["decibels"] for layer in order)}
    lines = [
        [
            layer["name"],
            layer["kind"],
            f"{layer['multiply_adds'] / total:.1%}",
            *(f"{layer['decibels'][name]:.0f}" for name in outputs),
            "float" if layer["float"] else "int8",
        ]
        for layer in order
    ]
    tried = [[str(one["float"]), one["reasons"][0] if one["reasons"] else "passes"] for one in report["attempts"]]
    how = (
        f"Calibrated on {report['calibrated_on']['images']} images; weights of {report['range']} range, activations "
        f"{report['activations']}."
    )
    parts = [
        f"# INT8 of {report['method']}: {'made' if report['passed'] else 'REFUSED'}",
        how,
        "## Attempts",
        table(["Layers in float", "The gate"], tried),
        "## Each layer quantised alone",
        "Signal to noise in decibels of each output: the lower, the more harmful. Below 20 a layer stays float.",
        table(["Layer", "Kind", "Multiply-adds", *outputs.values(), "Now"], lines),
    ]
    return "\n\n".join(parts) + "\n"
