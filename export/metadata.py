"""What a graph says of itself: keys of ONNX's `metadata_props`, each a JSON value, under `cxredge.graph/1`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import onnx

from cxredge.result import LABELS, STRUCTURES
from export.subject import Subject
from training.checkpoint import Facts
from training.fit.sources import FIT
from training.gate import QUESTIONS

__all__ = [
    "PATIENTS_SCHEMA",
    "PREFIX",
    "SCHEMA",
    "UNKNOWN_SPLIT",
    "describe",
    "patients",
    "patients_list",
    "patients_path",
    "read",
    "tags_sha256",
    "write",
]

SCHEMA = "cxredge.graph/1"
PATIENTS_SCHEMA = "cxredge.patients/1"
PREFIX = "cxredge."

UNKNOWN = "unknown"
UNKNOWN_SPLIT = "unknown (imported weights)"
"""The split of a checkpoint whose patients nobody here knows."""


def describe(subject: Subject, model: onnx.ModelProto, precision: str) -> dict[str, Any]:
    """Everything that whoever seals, runs or judges the graph must know, by key."""
    method, facts = subject.method, subject.facts
    shapes = {value.name: [axis.dim_value for axis in _axes(value)[1:]] for value in model.graph.output}
    told = {
        "schema": SCHEMA,
        "method": method.name,
        "precision": precision,
        "labels": list(LABELS),
        "structures": list(STRUCTURES),
        "input": {"rows": method.options.field, "columns": method.options.field, "fit": FIT},
        "masks": dict(zip(("rows", "columns"), shapes["masks"][1:], strict=True)),
        "heatmaps": {
            **dict(zip(("rows", "columns"), shapes["heatmaps"][1:], strict=True)),
            "box": [round(edge, 6) for edge in method.heatmap_box],
        },
        "gate": list(QUESTIONS) if "gate" in shapes else None,
        "options": msgspec.to_builtins(method.options),
        "origin": subject.origin,
        "checkpoint_sha256": subject.sha256,
        "split": None if facts is None else msgspec.to_builtins(facts.split),
        "trained_on": None if facts is None else patients(facts),
        # The patients themselves stay outside: see `patients_list`.
        "seen_sha256": tags_sha256(facts.trained_on) if facts is not None and facts.trained_on else None,
        "chosen_sha256": tags_sha256(facts.chosen_on) if facts is not None and facts.chosen_on else None,
        "data": [] if facts is None else msgspec.to_builtins(facts.data),
        "departures": [] if facts is None else list(facts.departures),
        "opset": next(entry.version for entry in model.opset_import if entry.domain == ""),
        "versions": {name: version(name) for name in ("cxredge", "torch", "onnx", "onnxscript")},
    }
    return dict(json.loads(json.dumps(told)))  # as a reader of the file sees it: lists, no tuples


def patients(facts: Facts) -> int | str:
    """How many patients trained or chose the weights, where that is known."""
    return UNKNOWN if facts.split.name == UNKNOWN_SPLIT else len(facts.trained_on)


def tags_sha256(tags: Sequence[str]) -> str:
    """One hash for a sorted list of patients' tags."""
    return hashlib.sha256("\n".join(tags).encode()).hexdigest()


def patients_path(graph: Path) -> Path:
    """Where the list of a graph's patients lies."""
    return graph.with_suffix(".patients.json")


def patients_list(facts: Facts) -> bytes:
    """Who trained the weights, as short hashes, for whoever judges the graph later; it goes into no graph or bundle."""
    lists = {
        "schema": PATIENTS_SCHEMA,
        "trained_on": list(facts.trained_on),
        "chosen_on": list(facts.chosen_on),
        "calibrated_on": [],
    }
    return (json.dumps(lists, indent=1) + "\n").encode()


def _axes(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


def write(model: onnx.ModelProto, facts: dict[str, Any]) -> None:
    """Replace the model's metadata by these, in the order of their names."""
    del model.metadata_props[:]
    for key in sorted(facts):
        model.metadata_props.add(key=PREFIX + key, value=json.dumps(facts[key], sort_keys=True))


def read(model: onnx.ModelProto) -> dict[str, Any]:
    """What `write` wrote; {} for a graph of another maker."""
    found: dict[str, Any] = {}
    for entry in model.metadata_props:
        if entry.key.startswith(PREFIX):
            try:
                found[entry.key.removeprefix(PREFIX)] = json.loads(entry.value)
            except ValueError:
                found[entry.key.removeprefix(PREFIX)] = entry.value
    return found
