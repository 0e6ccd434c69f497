"""The manifest of a bundle, `cxredge.bundle/1`: its types, its rules and its JSON Schema.

A :class:`Manifest` that exists is valid: :func:`decode` checks types with msgspec and then what a type cannot say
(that the labels are the fourteen, that every named file is listed, that the default operating point exists).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

import msgspec

from cxredge.bundle.fields import FileName, Fraction, Sha256, Side, Text, Word
from cxredge.bundle.provenance import BaselineSpec, DerivedSpec, baseline_problems
from cxredge.errors import BundleError, Code
from cxredge.result import LABELS

__all__ = [
    "GRAPH_PRECISIONS",
    "MANIFEST_NAME",
    "RUN_PRECISIONS",
    "SCHEMA",
    "Calibration",
    "FindingSpec",
    "GateThresholds",
    "GoldenSpec",
    "GraphSpec",
    "HeatmapSpec",
    "InputSpec",
    "Interval",
    "Manifest",
    "MaskSpec",
    "OperatingPoint",
    "PercentileSpec",
    "check_name",
    "decode",
    "encode",
    "from_tree",
    "json_schema",
]

SCHEMA = "cxredge.bundle/1"
MANIFEST_NAME = "manifest.json"
BF16_GATE = "gate_bf16.json"
"""How running the fp32 graph in bfloat16 compares with it; there where a bundle was sealed for that."""
MAX_MANIFEST_BYTES = 4 << 20

GraphPrecision = Literal["fp32", "fp16", "int8"]
RunPrecision = Literal["fp32", "bf16", "fp16", "int8"]
GRAPH_PRECISIONS: tuple[str, ...] = get_args(GraphPrecision)
"""The precisions a bundle may hold a graph of."""
RUN_PRECISIONS: tuple[str, ...] = get_args(RunPrecision)
"""The precisions an engine may run: bf16 is run from the fp32 graph."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
# Fields that came later: left out where there is nothing to say, so that older readers go on reading such bundles.
_LATE = ("derived", "baseline", "findings_by_precision")
# Names that Windows gives to devices, with any suffix.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


class PercentileSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fallback for an image without a window: these percentiles become 0 and 1."""

    low: Annotated[float, msgspec.Meta(ge=0.0, lt=100.0)] = 0.5
    high: Annotated[float, msgspec.Meta(gt=0.0, le=100.0)] = 99.5


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The graph's input plane, and how an image becomes one."""

    rows: Side
    columns: Side
    fit: Literal["stretch", "pad", "crop"]
    filter: Literal["area"] = "area"
    percentiles: PercentileSpec = PercentileSpec()


class MaskSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The size of the graph's masks; they cover the whole plane."""

    rows: Side
    columns: Side


class HeatmapSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The size of the graph's heat maps and the box of the plane that they cover, (left, top, right, bottom)."""

    rows: Side
    columns: Side
    box: tuple[Fraction, Fraction, Fraction, Fraction] = (0.0, 0.0, 1.0, 1.0)


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """probability = sigmoid(scale * logit + offset). A temperature T is scale 1 / T and offset 0."""

    kind: Literal["temperature", "platt"]
    scale: Annotated[float, msgspec.Meta(gt=0.0)]
    offset: float = 0.0


class Interval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rate with its 95 % interval."""

    value: Fraction
    low: Fraction
    high: Fraction


class OperatingPoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A threshold, how it was chosen and what it gave on which data; null where it was not measured."""

    threshold: Fraction
    how: Text
    sensitivity: Interval | None = None
    specificity: Interval | None = None
    prevalence: Fraction | None = None
    positives: Annotated[int, msgspec.Meta(ge=0)] | None = None
    data: Text
    split_sha256: Sha256 | None = None


class FindingSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One label's calibration and operating points."""

    label: str
    calibration: Calibration
    operating_points: Annotated[dict[Word, OperatingPoint], msgspec.Meta(min_length=1)]


class GateThresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At or above these probabilities the runtime abstains; present exactly where the graph has a `gate` output."""

    not_chest: Fraction
    inverted: Fraction
    turned: Fraction


class GraphSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One graph file. `engines` names those that were found good; null says that any may run it."""

    file: FileName
    sha256: Sha256
    engines: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1)] | None = None


class GoldenSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The golden input, what the graph gives for it, and how far each precision may be off (absolute, by output)."""

    input: FileName
    outputs: dict[str, FileName]
    tolerance: dict[RunPrecision, dict[str, Annotated[float, msgspec.Meta(gt=0.0)]]]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle says of itself. See docs/bundles.md for each field."""

    schema: Literal["cxredge.bundle/1"] = "cxredge.bundle/1"
    name: Word
    version: Word
    method: Text
    labels: tuple[str, ...]
    input: InputSpec
    masks: MaskSpec
    heatmaps: HeatmapSpec
    findings: tuple[FindingSpec, ...]
    findings_by_precision: Annotated[dict[RunPrecision, tuple[FindingSpec, ...]], msgspec.Meta(min_length=1)] | None = (
        None
    )
    """In place of `findings` where that precision runs."""
    default_operating_point: Word
    gate: GateThresholds | None = None
    graphs: Annotated[dict[GraphPrecision, GraphSpec], msgspec.Meta(min_length=1)]
    files: dict[FileName, Sha256]
    golden: GoldenSpec
    gate_report: FileName | None = None
    model_card: FileName
    intended_use: Text
    clinical: bool
    learned_from: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """How many images of patients the findings were learned from."""
    derived: DerivedSpec | None = None
    baseline: BaselineSpec | None = None

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """The shape of each of the graph's outputs, without the batch axis."""
        count = len(LABELS)
        shapes: dict[str, tuple[int, ...]] = {
            "logits": (count,),
            "masks": (3, self.masks.rows, self.masks.columns),
            "heatmaps": (count, self.heatmaps.rows, self.heatmaps.columns),
        }
        return shapes | ({"gate": (3,)} if self.gate else {})

    @property
    def operating_points(self) -> tuple[str, ...]:
        """The names that every finding has an operating point of, in the order of the first finding."""
        first, *rest = (finding.operating_points for finding in self.findings)
        return tuple(name for name in first if all(name in points for points in rest))

    def findings_for(self, precision: str | None = None) -> tuple[FindingSpec, ...]:
        """Calibration and operating points where this precision runs: its own, else those of all.

        bf16 runs the fp32 graph, so without its own it takes those of fp32. None gives those of all.
        """
        own = {str(name): findings for name, findings in (self.findings_by_precision or {}).items()}
        tried = (precision, "fp32") if precision == "bf16" else (precision,)
        return next((own[name] for name in tried if name in own), self.findings)

    def thresholds(self, operating_point: str | None = None, precision: str | None = None) -> tuple[float, ...]:
        """One threshold a label at the named operating point (the default one if None) where this precision runs.

        Raises:
            BundleError: OPERATING_POINT_UNKNOWN, naming those that there are.
        """
        name = self.default_operating_point if operating_point is None else operating_point
        if name not in self.operating_points:
            known = ", ".join(self.operating_points)
            raise BundleError(Code.OPERATING_POINT_UNKNOWN, f"asked for {name!r}; there are {known}")
        return tuple(finding.operating_points[name].threshold for finding in self.findings_for(precision))


def check_name(name: str) -> None:
    """Refuse a file name that could leave the folder, or mean another file on another system.

    Bundles are flat: no separators at all, ASCII letters, digits, `_`, `-` and inner dots.

    Raises:
        BundleError: BUNDLE_PATH.
    """
    if len(name) > 100 or not _NAME.fullmatch(name) or name.split(".")[0].lower() in _DEVICES:
        raise BundleError(Code.BUNDLE_PATH, f"the name {name[:100]!r} is not allowed")


def decode(data: bytes) -> Manifest:
    """The manifest in these bytes, checked.

    Raises:
        BundleError: BUNDLE_SCHEMA for another schema, BUNDLE_PATH for a forbidden name, BUNDLE_INVALID otherwise.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise BundleError(Code.BUNDLE_INVALID, f"the manifest is larger than {MAX_MANIFEST_BYTES >> 20} MiB")
    try:
        tree = json.loads(data.decode("utf-8"), object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(Code.BUNDLE_INVALID, f"the manifest is not JSON: {error}") from None
    return from_tree(tree)


def from_tree(tree: object) -> Manifest:
    """The manifest in a tree of plain JSON values, checked like :func:`decode`."""
    schema = tree.get("schema") if isinstance(tree, dict) else None
    if schema != SCHEMA:
        raise BundleError(Code.BUNDLE_SCHEMA, f"it is {str(schema)[:60]!r}, this version reads {SCHEMA!r}")
    try:
        manifest = msgspec.convert(tree, Manifest)
    except (msgspec.ValidationError, OverflowError) as error:
        raise BundleError(Code.BUNDLE_INVALID, f"manifest: {error}") from None
    for problem in _problems(manifest):
        raise BundleError(Code.BUNDLE_INVALID, f"manifest: {problem}")
    return manifest


def encode(manifest: Manifest) -> bytes:
    """The canonical bytes: sorted keys, two spaces, one newline at the end."""
    tree = msgspec.to_builtins(manifest)
    for late in _LATE:
        if tree[late] is None:
            del tree[late]
    return (json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `cxredge.bundle/1`."""
    schema = msgspec.json.schema(Manifest)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema}


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise ValueError("a key stands twice")
    return tree


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _problems(m: Manifest) -> Iterator[str]:
    """What a type cannot say, the first problem first."""
    yield from _file_problems(m)
    if m.labels != LABELS:
        yield "labels are not the fourteen, in their order"
    if tuple(finding.label for finding in m.findings) != LABELS:
        yield "findings are not one a label, in their order"
    for finding in m.findings:
        yield from _finding_problems(finding, m.default_operating_point)
    yield from _precision_problems(m)
    if m.input.percentiles.low >= m.input.percentiles.high:
        yield "input.percentiles.low is not below high"
    left, top, right, bottom = m.heatmaps.box
    if left >= right or top >= bottom:
        yield "heatmaps.box is empty"
    yield from _golden_problems(m)
    if m.baseline is not None:
        yield from baseline_problems(m.baseline, m.operating_points)


def _file_problems(m: Manifest) -> Iterator[str]:
    for name in m.files:
        check_name(name)
    if len({name.lower() for name in m.files}) != len(m.files):
        yield "two files differ only in upper and lower case"
    if MANIFEST_NAME in {name.lower() for name in m.files}:
        yield "the manifest lists itself"
    named = [graph.file for graph in m.graphs.values()]
    named += [m.golden.input, *m.golden.outputs.values(), m.model_card, *([m.gate_report] if m.gate_report else [])]
    named += [m.derived.report] if m.derived else []
    for name in named:
        check_name(name)
        if name not in m.files:
            yield f"files does not list {name}"
    for precision, graph in m.graphs.items():
        if not graph.file.endswith(".onnx"):
            yield f"the {precision} graph is not an .onnx file"
        if m.files.get(graph.file) != graph.sha256:
            yield f"graphs and files give two hashes for {graph.file}"


def _finding_problems(finding: FindingSpec, default: str) -> Iterator[str]:
    if default not in finding.operating_points:
        yield f"{finding.label} lacks the default operating point {default}"
    if not math.isfinite(finding.calibration.scale) or not math.isfinite(finding.calibration.offset):
        yield f"{finding.label}: calibration is not finite"
    if finding.calibration.kind == "temperature" and finding.calibration.offset != 0.0:
        yield f"{finding.label}: a temperature has no offset"
    for name, point in finding.operating_points.items():
        for rate in (point.sensitivity, point.specificity):
            if rate and not rate.low <= rate.value <= rate.high:
                yield f"{finding.label}, {name}: an interval does not hold its value"


def _precision_problems(m: Manifest) -> Iterator[str]:
    """A precision of its own thresholds must be one that is run, and decide at the same points for every label."""
    for precision, findings in (m.findings_by_precision or {}).items():
        where = f"findings_by_precision.{precision}"
        if precision not in m.golden.tolerance:
            yield f"{where} is of a precision that is never run"
        if tuple(finding.label for finding in findings) != LABELS:
            yield f"{where} is not one a label, in their order"
        for finding, usual in zip(findings, m.findings, strict=False):
            if set(finding.operating_points) != set(usual.operating_points):
                yield f"{where}: {finding.label} has other operating points than in findings"
            for problem in _finding_problems(finding, m.default_operating_point):
                yield f"{where}: {problem}"


def _golden_problems(m: Manifest) -> Iterator[str]:
    if set(m.golden.outputs) != set(m.outputs):
        yield f"golden.outputs must be {', '.join(sorted(m.outputs))}"
    graphs = {str(precision) for precision in m.graphs}
    tolerance = {str(precision): dict(bounds) for precision, bounds in m.golden.tolerance.items()}
    for precision in sorted(graphs - set(tolerance)):
        yield f"golden.tolerance lacks {precision}"
    for precision, bounds in tolerance.items():
        if set(bounds) != set(m.outputs):
            yield f"golden.tolerance.{precision} must name {', '.join(sorted(m.outputs))}"
        if not all(map(math.isfinite, bounds.values())):
            yield f"golden.tolerance.{precision} is not finite"
        if precision == "bf16" and "fp32" not in graphs:
            yield "bf16 is run from the fp32 graph, which is missing"
        elif precision != "bf16" and precision not in graphs:
            yield f"golden.tolerance names {precision}, of which there is no graph"
