"""Sealing: graphs, gate, calibration, operating points, golden pair, model card and sources become one bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.card import model_card
from calibration.errors import CalibrationError, Problem
from calibration.golden import golden
from calibration.input_gate import QUESTIONS, read_input_gate, sealed
from calibration.judge import in_bfloat16
from calibration.reports import WORDS, gate_report
from calibration.threshold_report import threshold_report
from calibration.thresholds import read_thresholds
from cxredge.bundle import BF16_GATE, open_bundle, write_bundle
from cxredge.result import LABELS
from export.graphfile import GraphFile

__all__ = ["Parts", "seal"]

GATE_SCHEMA = "cxredge.gate/1"
OUTPUTS = ("logits", "masks", "heatmaps", "gate")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a bundle is made of.

    Attributes:
        fp32: the graph.
        int8: its INT8 variant, or None.
        gate: the file of its gate report; needed with `int8`.
        thresholds: the file of calibration and operating points, chosen for `int8` where there is one.
        fp32_thresholds: another, chosen for `fp32` beside an `int8`; None lets fp32 decide with INT8's.
        name, version: of the bundle.
        intended_use: for a clinician.
        point: the default operating point.
        notes: Markdown that the model card ends with.
        sources: further data sets that the weights come from: name, citation, licence.
        allow_unsupported: a disease without a threshold gets one half, said to be unmeasured; else it is refused.
        private: data whose makers do not let weights be given away are accepted.
        input_gate: the file of the input gate's thresholds; needed where the graph has that output.
        bf16_gate: the file of the gate report of `fp32` run in bfloat16; None never runs it so.
    """

    fp32: GraphFile
    int8: GraphFile | None
    gate: Path | None
    thresholds: Path
    name: str
    version: str
    intended_use: str
    fp32_thresholds: Path | None = None
    point: str = "balanced"
    notes: str = ""
    sources: tuple[dict[str, Any], ...] = ()
    allow_unsupported: bool = False
    private: bool = False
    input_gate: Path | None = None
    bf16_gate: Path | None = None


def seal(parts: Parts, out: Path) -> str:
    """Write the bundle at `out` (a folder, or a file that ends in .cxr); gives its SHA-256.

    The same parts give the same bytes.

    Raises:
        CalibrationError: SEAL, GATE: the parts do not belong together, the gate was not passed, or data forbid it.
        BundleError, UsageError: as `cxredge.bundle.write_bundle`.
    """
    gate, bf16 = _gate(parts), _bf16_gate(parts)
    told = read_thresholds(parts.thresholds)
    _same_graph(parts.int8 or parts.fp32, told)
    own = _own_thresholds(parts, told)
    asked = read_input_gate(parts.input_gate, parts.fp32)
    sources = _sources(parts)
    engines = tuple(gate["engines_passed"]) if gate else ()
    variants = [] if parts.int8 is None else [(parts.int8, engines)]
    variants += [] if bf16 is None else [(in_bfloat16(parts.fp32), tuple(bf16["engines_passed"]))]
    files, tolerance = golden(parts.fp32, variants)
    findings = _findings(parts, told)
    files |= _files(parts, gate, told, sources, asked, bf16)
    manifest = _manifest(parts, findings, tolerance, engines, gate is not None)
    if own is not None:
        manifest["findings_by_precision"] = {"fp32": _findings(parts, own)}
        files |= {"thresholds_fp32.json": _json(own), "thresholds_fp32.md": threshold_report(own).encode()}
    manifest["gate"] = None if asked is None else {name: asked["thresholds"][name] for name in QUESTIONS}
    write_bundle(out, manifest, files)
    with open_bundle(out) as bundle:
        return bundle.sha256


def _gate(parts: Parts) -> dict[str, Any] | None:
    """The gate report of the INT8 graph, where there is one."""
    if parts.int8 is None:
        return None
    if parts.gate is None:
        raise CalibrationError(Problem.SEAL, "an INT8 graph is sealed with its gate report only: --gate gate.json")
    return _passed(parts.gate, "int8", parts.fp32, parts.int8)


def _bf16_gate(parts: Parts) -> dict[str, Any] | None:
    """The gate report of the fp32 graph in bfloat16, where there is one."""
    return None if parts.bf16_gate is None else _passed(parts.bf16_gate, "bf16", parts.fp32, parts.fp32)


def _passed(path: Path, precision: str, fp32: GraphFile, variant: GraphFile) -> dict[str, Any]:
    """A gate report: of this precision and these two, and passed."""
    try:
        report = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        report = {}
    if report.get("schema") != GATE_SCHEMA:
        raise CalibrationError(Problem.SEAL, f"{path} is no gate report")
    name = WORDS[precision]
    if (report["fp32_sha256"], report.get(f"{precision}_sha256")) != (fp32.sha256, variant.sha256):
        raise CalibrationError(Problem.SEAL, f"{path} is of other graphs, or not of {name}")
    if report["passed"] is not True:
        raise CalibrationError(Problem.GATE, f"{name} did not pass its gate: it is not sealed")
    return report


def _own_thresholds(parts: Parts, told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Those of fp32 beside INT8's, where they were given: of that graph, with the same points."""
    if parts.fp32_thresholds is None:
        return None
    if parts.int8 is None:
        raise CalibrationError(Problem.SEAL, "without an INT8 graph there is one set of thresholds, that of fp32")
    own = read_thresholds(parts.fp32_thresholds)
    _same_graph(parts.fp32, own)
    strange = sorted(_names(parts, told) ^ _names(parts, own))
    if strange:
        raise CalibrationError(
            Problem.SEAL, f"fp32 and INT8 differ in the point {strange[0]}: run `thresholds` alike for both"
        )
    return own


def _names(parts: Parts, told: Mapping[str, Any]) -> set[str]:
    """The operating points that a set of thresholds gives every disease: those that cases carried for at least one."""
    return {parts.point}.union(*(finding["points"] for finding in told["findings"]))


def _same_graph(graph: GraphFile, told: Mapping[str, Any]) -> None:
    if told["scores"]["graph_sha256"] != graph.sha256:
        raise CalibrationError(
            Problem.SEAL, f"the thresholds were chosen for another graph than {graph.path.name}: score that one"
        )


def _sources(parts: Parts) -> list[dict[str, Any]]:
    """Every data set behind the weights, as the graph's metadata and the caller name them."""
    own = [
        {"name": use["name"], "citation": use["citation"], "stage": use["stage"], "shippable": use["shippable"]}
        for use in parts.fp32.metadata.get("data") or []
    ]
    kept = sorted({use["name"] for use in own if not use["shippable"]})
    if kept and not parts.private:
        raise CalibrationError(
            Problem.SEAL, f"weights trained on {', '.join(kept)} may not be given away; --private seals for this site"
        )
    return [*own, *parts.sources]


def _findings(parts: Parts, told: Mapping[str, Any]) -> list[dict[str, Any]]:
    lacking = [finding["label"] for finding in told["findings"] if parts.point not in finding["points"]]
    if lacking and not parts.allow_unsupported:
        raise CalibrationError(
            Problem.SEAL,
            f"{', '.join(lacking)}: no threshold for {parts.point} (docs/calibration.md); more cases, or "
            "--allow-unsupported",
        )
    return [_finding(parts, finding, told) for finding in told["findings"]]


def _finding(parts: Parts, finding: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    data = f"{finding['cases']} labelled images, table sha256 {told['scores']['table_sha256']}, {told['scores']['ran']}"
    if told["scores"].get("chosen_on"):
        data += "; they also chose the epoch, so the rates are a little too good"
    split = (parts.fp32.metadata.get("split") or {}).get("sha256")
    points = {}
    for name in sorted(_names(parts, told)):
        point = finding["points"].get(name)
        if point is not None:
            points[name] = _point(point, finding) | {"data": data, "split_sha256": split}
        else:
            why = finding["refused"].get(name, "not asked for")
            points[name] = {"threshold": 0.5, "how": f"not chosen: {why}. One half, unmeasured", "data": data}
    made = finding["calibration"]
    calibration = {key: made[key] for key in ("kind", "scale", "offset")}
    return {"label": finding["label"], "calibration": calibration, "operating_points": points}


def _point(point: Mapping[str, Any], finding: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "threshold": point["threshold"],
        "how": point["how"],
        "sensitivity": _whole(point["sensitivity"]),
        "specificity": _whole(point["specificity"]),
        "prevalence": finding["prevalence"],
        "positives": finding["positives"],
    }


def _whole(interval: Mapping[str, float | None] | None) -> Mapping[str, float | None] | None:
    return interval if interval and all(end is not None for end in interval.values()) else None


def _files(
    parts: Parts,
    gate: Mapping[str, Any] | None,
    told: Mapping[str, Any],
    sources: list[dict[str, Any]],
    asked: dict[str, Any] | None,
    bf16: Mapping[str, Any] | None,
) -> dict[str, bytes]:
    files = {
        "fp32.onnx": parts.fp32.data,
        "thresholds.json": _json(told),
        "thresholds.md": threshold_report(told).encode(),
        "sources.json": _json(sources),
        "model_card.md": model_card(parts, told, gate, sources, asked, bf16).encode(),
    }
    if bf16 is not None:
        files |= {BF16_GATE: _json(bf16), "gate_bf16.md": gate_report(bf16).encode()}
    if asked is not None:
        files["input_gate.json"] = _json(sealed(asked))
    if parts.int8 is not None and gate is not None:
        files |= {"int8.onnx": parts.int8.data, "gate.json": _json(gate), "gate.md": gate_report(gate).encode()}
    return files


def _json(tree: object) -> bytes:
    # In the order that it was made in, which reports keep: a bundle made of another's parts reads alike.
    return (json.dumps(tree, indent=1, allow_nan=False) + "\n").encode()


def _manifest(
    parts: Parts,
    findings: list[dict[str, Any]],
    tolerance: dict[str, dict[str, float]],
    engines: tuple[str, ...],
    gated: bool,
) -> dict[str, Any]:
    facts, outputs = parts.fp32.metadata, [name for name in OUTPUTS if name in parts.fp32.outputs]
    graphs: dict[str, Any] = {"fp32": {"file": "fp32.onnx"}}
    if parts.int8 is not None:
        graphs["int8"] = {"file": "int8.onnx", "engines": list(engines)}
    return {
        "name": parts.name,
        "version": parts.version,
        "method": facts["method"],
        "labels": list(LABELS),
        "input": facts["input"],
        "masks": facts["masks"],
        "heatmaps": facts["heatmaps"],
        "findings": findings,
        "default_operating_point": parts.point,
        "graphs": graphs,
        "golden": {
            "input": "golden_image.npy",
            "outputs": {name: f"golden_{name}.npy" for name in outputs},
            "tolerance": tolerance,
        },
        "gate_report": "gate.json" if gated else None,
        "model_card": "model_card.md",
        "intended_use": parts.intended_use,
        "clinical": False,
        "learned_from": _learned_from(facts),
    }


def _learned_from(facts: Mapping[str, Any]) -> int | None:
    """Images of patients in the last stage: what the findings were learned from. Drawn chests do not count."""
    uses = facts.get("data") or []
    if not uses or "train" not in uses[-1]:
        return None
    findings = [use for use in uses if use["stage"] not in ("unet", "gate", "pretrain")]
    return sum(use["train"] for use in findings if use["name"] != "phantoms" and use["stage"] == findings[-1]["stage"])
