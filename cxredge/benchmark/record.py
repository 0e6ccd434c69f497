"""The JSON of a benchmark, `cxredge.benchmark/1`: machine, protocol, what was measured, and what could not be.

Times are milliseconds of wall time unless the name says otherwise. A figure that this machine does not tell is null,
and the field beside it says why.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "SCHEMA",
    "STAGES",
    "Accuracy",
    "Bare",
    "BundleMeasured",
    "Cold",
    "Combination",
    "Energy",
    "InputMeasured",
    "Machine",
    "NotRun",
    "Protocol",
    "Report",
    "Result",
    "Spread",
    "Throughput",
    "json_schema",
]

SCHEMA = "cxredge.benchmark/1"
STAGES: tuple[str, ...] = ("read", "decode", "pixels", "engine", "postprocess", "write")
"""What a prediction passes through, in order; `write` puts its JSON on the disk."""


class Combination(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run the bundle. `threads` null leaves the number to the engine."""

    engine: str
    device: str
    precision: str
    batch: int
    threads: int | None


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """What many runs took. Percentiles are interpolated linearly between the runs, as NumPy does by default."""

    p50: float
    p95: float
    p99: float
    lowest: float
    highest: float
    runs: int


class Bare(msgspec.Struct, frozen=True, kw_only=True):
    """The engine alone on a batch whose memory it holds already."""

    with_copies: Spread
    """Input copied in, outputs copied out and checked, as in a prediction; on a GPU until it is done."""
    without_copies: Spread | None = None
    """Input and outputs lie where the engine works; on a GPU until it is done. Null where it cannot be told."""
    reason: str = ""
    """Why `without_copies` is null."""


class Cold(msgspec.Struct, frozen=True, kw_only=True):
    """A new process that predicts on one file and ends: `cxredge predict FILE --format json`."""

    seconds: Spread
    """Wall time from starting the process to its end. In seconds."""
    peak_mb: float | None
    """The largest resident memory of that process in MB (2**20 bytes). A child that compiles is not counted."""


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Energy of the whole processor package or board while images streamed, whatever else ran beside."""

    source: str
    joules: float
    seconds: float
    joules_an_image: float


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """A list of files, as `cxredge predict FOLDER`: an image a core, or the next are read while the engine works."""

    images: int
    seconds: float
    images_a_second: float
    threads: int | None
    """Threads that each image took: 1 where an image a core was run, null where the engine chose."""


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """What the bundle's gate report says of this precision on this engine; nothing is measured anew."""

    mean_auroc: float | None
    mean_auroc_drop: float | None = None
    """Of INT8 against fp32 on the same cases; null for fp32 itself."""
    cases: int | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one combination gave."""

    asked: Combination
    ran: Combination
    """What the engine says of itself."""
    engine_version: str
    statuses: tuple[str, ...]
    """What became of each input: "ok" or "abstained"."""
    latency_ms: Spread
    """One batch from its files to its written results, one batch after another."""
    stages_ms: dict[str, float]
    """The median of each stage, an image; `STAGES` names them. The total holds a little more: what lies between."""
    engine_ms: Bare
    overhead: float | None
    """What a prediction takes beyond the bare engine call without copies, as a share of it; null unless batch is 1."""
    throughput: Throughput
    peak_mb: float | None
    cold_warm_cache: Cold | None
    cold_empty_cache: Cold | None
    energy: tuple[Energy, ...] = ()
    energy_reason: str = ""
    accuracy: Accuracy | None = None
    accuracy_reason: str = ""


class NotRun(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for and has no figures, and why. A null field stands for all that was asked of it."""

    engine: str
    device: str | None = None
    precision: str | None = None
    batch: int | None = None
    threads: int | None = None
    code: str
    reason: str


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured. Nothing in it names the machine's owner or its place in a network."""

    processor: str
    flags: tuple[str, ...]
    """Those of the processor's features that decide how fast a network runs."""
    cores: int | None
    affinity: int
    """Cores that this process may use."""
    governor: str
    memory_mb: int | None
    system: str
    gpus: tuple[str, ...]
    """Name, memory and driver of each; empty where none was found."""
    load: float | None
    """How many processes wanted a core over the minute before: over 0.5, something else ran."""
    core_variant: str
    """The variant of the C core's inner loops."""


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """How it was measured."""

    seconds: float
    """How long each combination was measured: latency, bare engine, and throughput, a third each."""
    warm_up: int
    """Batches that do not count."""
    cold_runs: int
    words: tuple[str, ...]


class BundleMeasured(msgspec.Struct, frozen=True, kw_only=True):
    """What was run."""

    name: str
    version: str
    sha256: str
    method: str


class InputMeasured(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was predicted on; its path is not kept, as it may name a patient."""

    rows: int | None
    columns: int | None
    bytes: int
    made: bool
    """Whether it was drawn for this measurement."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of the JSON object."""

    schema: Literal["cxredge.benchmark/1"] = "cxredge.benchmark/1"
    date: str
    complete: bool
    """False after Ctrl-C: what was measured before is here, the rest is in `not_run`."""
    machine: Machine
    versions: dict[str, str]
    protocol: Protocol
    bundle: BundleMeasured
    inputs: tuple[InputMeasured, ...]
    results: tuple[Result, ...]
    not_run: tuple[NotRun, ...]
    advice: str


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `cxredge.benchmark/1`."""
    schema = msgspec.json.schema(Report)
    for part in schema["$defs"].values():
        if "properties" in part:  # every field is always written
            part["required"] = list(part["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema}
