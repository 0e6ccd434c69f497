"""Whether a graph answers as the network does: a report as plain data (`cxredge.parity/1`), and the verdict."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from cxredge.engines import catalog
from cxredge.engines.base import Job
from cxredge.engines.onnxruntime import library
from export.answers import Answers, in_batches, of_torch, opened
from export.bounds import BOUNDS, Bounds
from export.graph import Graph
from export.half import LARGEST, peak_probe
from export.images import Images
from export.inner import BoxOfRegion, inner_of
from export.judge import judge, labelled
from export.region import check_boxes
from export.share import Share, share_of
from export.subject import Subject
from export.thresholds import Threshold

__all__ = ["SCHEMA", "Plan", "compare"]

SCHEMA = "cxredge.parity/1"
ENGINES = ("onnxruntime", "openvino")

HEADROOM = 4.0
"""The largest float16 value that was seen must stay this many times below what float16 holds."""
LEAST_SPREAD = 10.0
"""Logits must differ from image to image by this many times their bound, or agreement shows nothing."""


@dataclass(frozen=True)
class Plan:
    """What is compared, and how long an engine may take to compile.

    Attributes:
        images: what was gathered.
        thresholds: where decisions may flip.
        engines: by name.
        limit_seconds: of one compilation.
        every: compare all images, however much one costs.
        say: told what takes long.
    """

    images: Images
    thresholds: Sequence[Threshold]
    engines: tuple[str, ...] = ENGINES
    limit_seconds: float = 300.0
    every: bool = False
    say: Callable[[str], None] = field(default=lambda _: None)


def compare(subject: Subject, graph: Graph, plan: Plan) -> dict[str, Any]:
    """Run network and graph on the same images.

    Returns:
        The report. `passed` is the verdict, `reasons` says why not; rows with `gates` false are told, but do not
        decide: what is run in bfloat16 is another use of the same file.

    Raises:
        EngineError: an engine cannot compile or run the graph.
    """
    began = time.perf_counter()
    share = share_of(plan.images, graph.data, every=plan.every)
    images = share.images
    if len(images.batch) < len(plan.images.batch):
        plan.say(f"one image costs much: {len(images.batch)} of {len(plan.images.batch)} are compared")
    plan.say("torch")
    ours = of_torch(subject, images.batch)
    rows = [row for way in _ways(graph, plan.engines) for row in _rows(subject, graph, plan, share, ours, way)]
    extra, reasons = _beside(subject, graph, plan, images, ours)
    reasons += [f"{_where(row)}: {reason}" for row in rows if row["gates"] for reason in row["reasons"]]
    return {
        "schema": SCHEMA,
        "graph": {
            "sha256": hashlib.sha256(graph.data).hexdigest(),
            "bytes": len(graph.data),
            "precision": graph.precision,
            **{key: graph.metadata[key] for key in ("method", "origin", "checkpoint_sha256", "split", "trained_on")},
            **{key: graph.metadata[key] for key in ("departures", "opset", "versions")},
        },
        "images": {**images.told(), "gathered": len(plan.images.batch)},
        "thresholds": [threshold.name for threshold in plan.thresholds],
        "rows": rows,
        **extra,
        "passed": not reasons,
        "reasons": reasons,
        "seconds": round(time.perf_counter() - began, 1),
    }


@dataclass(frozen=True)
class _Way:
    """One engine in one precision, the bounds that hold for it, and whether they decide."""

    engine: str
    precision: str
    bounds: Bounds
    gates: bool


def _ways(graph: Graph, engines: tuple[str, ...]) -> list[_Way]:
    """How a graph is run: in float32 on every engine, and in a lower type on those that compute in it.

    For a float32 graph that is bfloat16. A float16 graph in float32 has its weights and types rounded, and the
    arithmetic between of float32.
    """
    ways = [_Way(engine, "fp32", BOUNDS[graph.precision], True) for engine in engines]
    other = "fp16" if graph.precision == "fp16" else "bf16"
    able = [engine for engine in engines if other in catalog.require(engine).precisions("cpu")]
    return ways + [_Way(engine, other, BOUNDS[other], other == "fp16") for engine in able]


def _rows(subject: Subject, graph: Graph, plan: Plan, share: Share, ours: Answers, way: _Way) -> list[dict[str, Any]]:
    plan.say(f"{way.engine}, {way.precision}")
    batch = share.images.batch
    times: dict[int, list[float]] = {size: [] for size in share.counts}
    job = Job("cpu", way.precision, None, graph.input_size, graph.outputs)
    with opened(graph.data, way.engine, job, batch[:1], limit_seconds=plan.limit_seconds) as found:
        info = found.session.info
        answers = {
            size: in_batches(found.session, batch[:count], size, times[size]) for size, count in share.counts.items()
        }
    told = {
        "engine": info.engine,
        "version": info.version,
        "device": info.device,
        "ran": info.precision,
        "compile_ms": round(found.compile_ms, 1),
        "median_ms": round(float(np.median(times[1])), 2),
    }
    if graph.probe is not None:
        inside = _inside(graph, graph.probe, plan, share, way)
        answers = {size: {**given, **inside[size]} for size, given in answers.items()}
    rows = []
    for size, given in answers.items():
        count = share.counts[size]
        mine = {name: values[:count] for name, values in ours.items()}
        judged = judge(subject, batch[:count], mine, given, plan.thresholds, way.bounds)
        rows.append({**told, "gates": way.gates, "batch": size, "images": count, **judged})
    return rows


def _inside(graph: Graph, probe: bytes, plan: Plan, share: Share, way: _Way) -> dict[int, Answers]:
    """The values of inner decisions, from the same graph with further outputs."""
    job = Job("cpu", way.precision, None, graph.input_size, {**graph.outputs, **graph.probes})
    batch = share.images.batch
    with opened(probe, way.engine, job, batch[:1], limit_seconds=plan.limit_seconds) as found:
        every = {size: in_batches(found.session, batch[:count], size) for size, count in share.counts.items()}
    return {size: {name: given[name] for name in graph.probes} for size, given in every.items()}


def _beside(
    subject: Subject, graph: Graph, plan: Plan, images: Images, ours: Answers
) -> tuple[dict[str, Any], list[str]]:
    """What is checked once: that answers differ at all, AG-CNN's boxes, the range of float16 values."""
    reasons: list[str] = []
    spread = float(np.median(ours["logits"].std(0)))
    if spread <= LEAST_SPREAD * BOUNDS["fp32"].outputs["logits"]:
        reasons.append(f"the logits differ by {spread:.1e} from image to image: agreement would show nothing")
    extra: dict[str, Any] = {"spread_of_logits": spread, "regions": None, "largest_float16": None}
    inner = inner_of(subject.method)
    if isinstance(inner, BoxOfRegion):
        side = ours["heat"].shape[1]
        limit = plan.limit_seconds
        found = check_boxes(side, float(inner.tau), plan.engines, limit_seconds=limit)
        found["on_images"] = labelled(ours, inner)
        extra["regions"] = found
        reasons += _unequal(found)
    if graph.watched is not None:
        largest = _largest(*graph.watched, images.batch)
        extra["largest_float16"] = largest
        if largest * HEADROOM > LARGEST:
            reasons.append(f"a float16 value reaches {largest:.0f}: {LARGEST:.0f} is the end of that type")
    return extra, reasons


def _unequal(found: dict[str, Any]) -> list[str]:
    wrong = {name: found["maps"] - equal for name, equal in found["equal"].items() if equal < found["maps"]}
    said = [f"{count} of {found['maps']} boxes of {name} are not SciPy's" for name, count in wrong.items()]
    return said + ([] if found["on_images"] else ["a box of torch on the images is not SciPy's"])


def _largest(model: bytes, names: tuple[str, ...], batch: npt.NDArray[np.float32]) -> float:
    """The largest magnitude among all values that are float16, as the float32 graph computes them."""
    onnxruntime = library()

    probe = peak_probe(onnx.load_from_string(model), names)
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    return max(float(session.run(["peaks"], {"image": image[None]})[0].max()) for image in batch)


def _where(row: dict[str, Any]) -> str:
    return f"{row['engine']} {row['ran']}, batch {row['batch']}"
