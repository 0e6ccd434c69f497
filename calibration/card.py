"""The model card: what a person must know of the bundle before trusting it, all of it from the parts themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from calibration.reports import table
from cxredge.result import display_name

if TYPE_CHECKING:
    from calibration.seal import Parts

__all__ = ["model_card"]


def model_card(
    parts: Parts,
    told: Mapping[str, Any],
    gate: Mapping[str, Any] | None,
    sources: Sequence[Mapping[str, Any]],
    asked: Mapping[str, Any] | None = None,
    bf16: Mapping[str, Any] | None = None,
) -> str:
    """Markdown."""
    facts = parts.fp32.metadata
    split = facts.get("split")
    where = f"split {_split(split)}" if split else "no split known"
    size = f"{facts['input']['columns']} x {facts['input']['rows']}"
    sections = [
        f"# {parts.name} {parts.version}",
        parts.intended_use,
        "Not signed for clinical use.",
        "## The network",
        f"Method {facts['method']}; {facts['origin']}; {where}; input {size}, {facts['input']['fit']}.",
        "## What the weights learned from",
        _sources(sources),
        "## How it performs",
        _performance(parts, told),
        "## What it refuses",
        _refused(asked),
        "## INT8",
        _int8(gate),
        *([] if bf16 is None else ["## bfloat16", _bf16(bf16)]),
    ]
    departures = facts.get("departures") or []
    if departures:
        sections += ["## Departures from the recipe", "\n".join(f"- {line}" for line in departures)]
    return "\n\n".join([*sections, *([parts.notes.strip()] if parts.notes.strip() else [])]) + "\n"


def _sources(sources: Sequence[Mapping[str, Any]]) -> str:
    if not sources:
        return "Nothing is known of it."
    lines = [
        [
            str(source.get("name", "")),
            str(source.get("stage", "")),
            str(source.get("licence", "see its makers' terms")),
            str(source.get("citation", "")).replace("|", "/"),
        ]
        for source in sources
    ]
    once = [list(line) for line in dict.fromkeys(map(tuple, lines))]  # a set may be listed twice, to be seen more often
    return table(["Data", "Stage", "Licence", "Citation"], once)


def _performance(parts: Parts, told: Mapping[str, Any]) -> str:
    lines = []
    for finding in told["findings"]:
        auroc, point = finding["auroc"], finding["points"].get(parts.point)
        rates = ["", ""] if point is None else [f"{point[key]['value']:.3f}" for key in ("sensitivity", "specificity")]
        lines.append(
            [
                display_name(finding["label"]),
                str(finding["positives"]),
                "not measurable" if auroc is None else f"{auroc['value']:.3f}",
                *rates,
                finding["refused"].get(parts.point, ""),
            ]
        )
    head = ["Disease", "Positives", "AUROC", "Sensitivity", "Specificity", "Without a threshold"]
    said = f"On {told['cases']} cases of {told['patients']} patients at `{parts.point}`, {told['scores']['ran']}."
    if parts.fp32_thresholds is not None:
        said += " fp32 decides with thresholds of its own: thresholds_fp32.md."
    return f"{said}\n\n{table(head, lines)}"


def _refused(asked: Mapping[str, Any] | None) -> str:
    """The input gate, as `python -m training gate` measured it."""
    if asked is None:
        return "The graph has no input gate: only tags and the shape of the lungs are checked."
    limits = ", ".join(f"{name} {value:g}" for name, value in asked["thresholds"].items())
    rows = [
        [
            fold["data"],
            *("not measurable" if found is None else f"{found['value']:.3f}" for found in fold["auroc"].values()),
            f"{fold['refused']['value']:.2%} (up to {fold['refused']['high']:.2%})",
        ]
        for fold in asked["test"]
    ]
    said = f"Probabilities from which the runtime abstains: {limits}; {asked['chosen']['rule']}."
    if not rows:
        return f"{said} Not measured on a test set."
    return f"{said}\n\n{table(['Test chests', *asked['thresholds'], 'Upright chests refused'], rows)}"


def _int8(gate: Mapping[str, Any] | None) -> str:
    if gate is None:
        return "There is no INT8 graph."
    return (
        f"Passed the gate on {', '.join(gate['engines_passed'])} with {gate['cases']['images']} held-out images; "
        f"{len(gate['float_layers'])} layers stayed in float. See gate.md."
    )


def _bf16(gate: Mapping[str, Any]) -> str:
    return (
        f"Where a processor computes it, the float32 graph may be run in bfloat16: that passed the gate on "
        f"{', '.join(gate['engines_passed'])} with {gate['cases']['images']} held-out images. See gate_bf16.md."
    )


def _split(split: Mapping[str, Any]) -> str:
    """The split in words; the names of most that are unofficial say so themselves."""
    said = "official" if split["official"] else "unofficial"
    return split["name"] if said in split["name"] else f"{split['name']} ({said})"
