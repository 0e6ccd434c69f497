"""The input gate in calibration: thresholds as training chose them, and what INT8 does to its answers.

Not to be taken for the gate that INT8 passes (`calibration/gate.py`): this one is an output of the graph, and says of a
picture that it is no upright frontal chest radiograph.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError, Problem
from cxredge.result import Gate
from export.graphfile import GraphFile

__all__ = ["HALF", "OUTPUT", "QUESTIONS", "SCHEMA", "compare_gates", "limits_for", "read_input_gate", "sealed"]

SCHEMA = "cxredge.input_gate/1"
OUTPUT = "gate"
QUESTIONS: tuple[str, ...] = Gate.__struct_fields__
HALF = (0.5, 0.5, 0.5)
"""Thresholds where none were chosen."""

Array = npt.NDArray[np.float32]


def read_input_gate(path: Path | None, graph: GraphFile) -> dict[str, Any] | None:
    """The report of `python -m training gate` for a graph; None where the graph has no such output.

    Raises:
        CalibrationError: it is no such report, is of another checkpoint, is missing, or is not wanted.
    """
    there = OUTPUT in graph.outputs
    if path is None and there:
        detail = "the graph has a gate: --input-gate input_gate.json, which `python -m training gate` writes"
        raise CalibrationError(Problem.SEAL, detail)
    if path is None:
        return None
    if not there:
        raise CalibrationError(Problem.SEAL, f"{graph.path.name} has no gate: leave --input-gate out")
    report = _read(path)
    if report["checkpoint"]["sha256"] != graph.metadata.get("checkpoint_sha256"):
        raise CalibrationError(Problem.SEAL, f"{path} is of another checkpoint than {graph.path.name}")
    return report


def limits_for(path: Path | None, graph: GraphFile) -> tuple[float, ...]:
    """The thresholds of a report in the order of the output; one half each without one.

    Raises:
        CalibrationError: as `read_input_gate`.
    """
    report = None if path is None else read_input_gate(path, graph)
    return HALF if report is None else tuple(float(report["thresholds"][name]) for name in QUESTIONS)


def sealed(report: dict[str, Any]) -> dict[str, Any]:
    """What of the report goes into a bundle: no list of files, whose names may tell of patients."""
    return {name: value for name, value in report.items() if name != "files"}


def _read(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        limits = [float(report["thresholds"][name]) for name in QUESTIONS]
        if report["schema"] == SCHEMA and report["checkpoint"]["sha256"] and all(0 < x <= 1 for x in limits):
            return dict(report)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise CalibrationError(Problem.SEAL, f"{path} is no report of `python -m training gate`")


def compare_gates(
    fp32: Array | None, variant: Array | None, limits: Sequence[float], hashes: Sequence[str], kind: str
) -> dict[str, Any] | None:
    """A variant's answers beside fp32's: the largest difference of a probability, and which decisions flip.

    Args:
        fp32: logits [N, 3]; None where the graph has no gate.
        variant: the same of the variant.
        limits: the three thresholds.
        hashes: of the images.
        kind: the variant's precision, under whose name its answers stand.

    Returns:
        None without a gate.
    """
    if fp32 is None or variant is None:
        return None
    one, other = (1 / (1 + np.exp(-logits.astype(np.float64))) for logits in (fp32, variant))
    flipped = (one >= np.array(limits)) != (other >= np.array(limits))
    listed = [
        {"image": hashes[i], "question": QUESTIONS[k], "fp32": float(one[i, k]), kind: float(other[i, k])}
        for i, k in np.argwhere(flipped).tolist()
    ]
    return {
        "thresholds": dict(zip(QUESTIONS, limits, strict=True)),
        "largest": float(np.abs(one - other).max()),
        "decisions": int(flipped.size),
        "flipped": len(listed),
        "share": float(flipped.mean()),
        "images": listed,
    }
