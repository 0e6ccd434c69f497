"""A graph becomes an engine's own form, in a child process with a log, a time limit and a limit on memory."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cxredge.engines import catalog
from cxredge.engines.base import Engine, Job
from cxredge.engines.isolation import LOG_NAME, run_child
from cxredge.errors import Code, CxredgeError, EngineError
from cxredge.files import write_atomically
from export.answers import Answers, in_batches, opened
from export.bounds import BOUNDS
from export.errors import ExportError, Problem
from export.graphfile import GraphFile
from export.images import gather
from export.memory import out_of_memory
from export.targets import TARGETS, Target
from export.targets.common import OPTIONS, Options

__all__ = ["SCHEMA", "Wanted", "compile_graph"]

SCHEMA = "cxredge.compiled/1"
REPORT = "compiled.json"

_PRECISIONS = {"fp32": ("fp32", "bf16"), "fp16": ("fp16",), "int8": ("int8",)}
_MIB = 2**20


@dataclass(frozen=True)
class Wanted:
    """What to compile for.

    Attributes:
        engine: a key of `export.targets.TARGETS`.
        out: the folder of what is made; its log is OUT.log.
        device: of the engine; "auto" takes its first.
        precision: what shall be computed in; "auto" takes the graph's own.
        limit_seconds: after so long the child is ended.
        options: the rest.
    """

    engine: str
    out: Path
    device: str = "auto"
    precision: str = "auto"
    limit_seconds: float = 300.0
    options: Options = Options()  # noqa: RUF009 - it is frozen

    @property
    def log(self) -> Path:
        """Where the child's log is kept, whether it succeeds or not."""
        return self.out.with_name(f"{self.out.name}.log")


def compile_graph(graph: GraphFile, wanted: Wanted) -> dict[str, Any]:
    """Compile, load and run a graph in a child process; then keep what it made.

    Returns:
        What is also written as compiled.json: the engine, what ran, times, the files' hashes, and how far its
        answers on a drawn chest are from those of the graph itself.

    Raises:
        EngineError: ENGINE_UNKNOWN, ENGINE_MISSING, DEVICE_MISSING, PRECISION_UNSUPPORTED, ENGINE_CRASHED,
            ENGINE_TIMEOUT, OUT_OF_MEMORY, ENGINE_FAILED or ENGINE_OUTPUT, with the reason and the log's place.
        ExportError: what was made answers otherwise than the graph.
        CxredgeError: OUTPUT_UNWRITABLE.
    """
    engine = catalog.require(wanted.engine)
    target = TARGETS[wanted.engine]
    job = _job(engine, graph, wanted)
    image = gather(graph.input_size[0], phantoms=2).batch
    with _workshop(wanted) as (folder, made):
        report = _in_child(graph, wanted, target, job, folder, made, image)
        answers = {name: np.load(folder / f"out_{name}.npy", allow_pickle=False) for name in graph.outputs}
        differences = _differences(graph, answers, image, wanted)
        _judge(differences, job, wanted, graph)
        told = _told(graph, wanted, target, job, report, differences, made, engine)
        _keep(made, wanted.out, told)
    return told


def _job(engine: Engine, graph: GraphFile, wanted: Wanted) -> Job:
    precision = graph.precision if wanted.precision == "auto" else wanted.precision
    if precision not in _PRECISIONS[graph.precision]:
        detail = f"this is the {graph.precision} graph; {precision} is made from a graph of that precision"
        raise EngineError(Code.PRECISION_UNSUPPORTED, detail)
    there = engine.devices()
    device = there[0] if wanted.device == "auto" and there else wanted.device
    if device not in there:
        raise EngineError(Code.DEVICE_MISSING, f"{engine.NAME} has {', '.join(there) or 'no device'} here")
    if precision not in engine.precisions(device):
        raise EngineError(Code.PRECISION_UNSUPPORTED, f"{engine.NAME} has no {precision} on {device}")
    return Job(device, precision, None, graph.input_size, graph.outputs, str(wanted.out.resolve()))


@contextmanager
def _workshop(wanted: Wanted) -> Iterator[tuple[Path, Path]]:
    """A scratch folder for the order, and one beside OUT for what is made; neither outlives the compilation."""
    made = wanted.out.parent / f".{wanted.out.name}.{secrets.token_hex(4)}.part"
    try:
        made.mkdir(parents=True)
    except OSError as error:
        raise CxredgeError(Code.OUTPUT_UNWRITABLE, f"{wanted.out}: {error.strerror or type(error).__name__}") from error
    try:
        with tempfile.TemporaryDirectory(prefix="cxredge-compile-", ignore_cleanup_errors=True) as name:
            yield Path(name), made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _in_child(
    graph: GraphFile, wanted: Wanted, target: Target, job: Job, folder: Path, made: Path, image: Any
) -> dict[str, Any]:
    (folder / "graph.onnx").write_bytes(graph.data)
    np.save(folder / "image.npy", image, allow_pickle=False)
    wanted.options.write(made)
    order = {
        "module": target.module,
        "job": asdict(job),
        "graph": str(folder / "graph.onnx"),
        "image": str(folder / "image.npy"),
        "artefact": str((made / target.artefact).resolve()),
        "compile": True,
        "seconds": 0.5,
    }
    try:
        return run_child(order, folder, wanted.engine, wanted.limit_seconds)
    except CxredgeError as error:
        raise _explained(error, folder / LOG_NAME, wanted) from None
    finally:
        _keep_log(folder / LOG_NAME, wanted.log)


def _explained(error: CxredgeError, log: Path, wanted: Wanted) -> EngineError:
    """The child's error with the log's place; a crash for lack of memory under its own code."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    code, detail = error.code, error.detail
    ended = code is Code.ENGINE_CRASHED
    if code in (Code.ENGINE_CRASHED, Code.ENGINE_FAILED) and out_of_memory(f"{detail}\n{text}"):
        code = Code.OUT_OF_MEMORY
    elif ended and "SIGKILL" in detail:
        detail += ", as the system does when memory runs out"
    if code is Code.OUT_OF_MEMORY and wanted.options.memory is not None:
        detail += f", under a limit of {wanted.options.memory // _MIB} MiB"
    return EngineError(code, f"{detail}; log: {wanted.log}")


def _keep_log(log: Path, kept: Path) -> None:
    if log.is_file():
        write_atomically(kept, log.read_bytes())


def _differences(graph: GraphFile, answers: Answers, image: Any, wanted: Wanted) -> dict[str, float]:
    """How far the answers are from those of the graph as it is, on ONNX Runtime in float32 (int8 as its Q/DQ)."""
    precision = "int8" if graph.precision == "int8" else "fp32"
    job = Job("cpu", precision, None, graph.input_size, graph.outputs)
    limit = max(wanted.limit_seconds, 60.0)
    with opened(graph.data, "onnxruntime", job, image[:1], limit_seconds=limit) as found:
        reference = in_batches(found.session, image, len(image))
    return {name: float(np.abs(answers[name] - reference[name]).max()) for name in reference}


def _judge(differences: dict[str, float], job: Job, wanted: Wanted, graph: GraphFile) -> None:
    """float32 must be float32. What a lower precision costs is told here and decided by calibration."""
    exact = job.precision == "fp32" and (wanted.engine != "openvino" or wanted.options.full_weights)
    limits = BOUNDS["fp32"].outputs
    wrong = [name for name, value in differences.items() if exact and not value <= limits.get(name, 1e-3)]
    if wrong:
        said = ", ".join(f"{name} by {differences[name]:.1e}" for name in wrong)
        raise ExportError(
            Problem.COMPILE, f"not kept: {wanted.engine}'s answers differ from {graph.path.name}'s: {said}"
        )


def _told(
    graph: GraphFile,
    wanted: Wanted,
    target: Target,
    job: Job,
    report: dict[str, Any],
    differences: dict[str, float],
    made: Path,
    engine: Engine,
) -> dict[str, Any]:
    (made / OPTIONS).unlink()
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(made.iterdir())}
    return {
        "schema": SCHEMA,
        "what": target.what,
        "graph": {"sha256": graph.sha256, "precision": graph.precision, "method": graph.metadata.get("method")},
        "engine": wanted.engine,
        "version": engine.availability().version,
        "device": job.device,
        "precision": job.precision,
        "options": asdict(wanted.options),
        "machine": engine.machine(job.device),
        "compile_ms": round(report["compile_ms"], 1),
        "first_ms": round(report["first_ms"], 1),
        "median_ms": round(report["median_ms"], 2),
        "largest_difference": differences,
        "files": files,
        "log": wanted.log.name,
    }


def _keep(made: Path, out: Path, told: dict[str, Any]) -> None:
    """Move what was made into OUT: as one folder where there is none yet, else file by file."""
    write_atomically(made / REPORT, msgspec.json.format(msgspec.json.encode(told)))
    try:
        if not out.exists():
            made.rename(out)
            return
        for path in sorted(made.iterdir(), key=lambda path: path.name == REPORT):
            path.replace(out / path.name)
    except OSError as error:
        raise CxredgeError(Code.OUTPUT_UNWRITABLE, f"{out}: {error.strerror or type(error).__name__}") from error


def bytes_of(text: str) -> int:
    """A size such as 800M, 4G or a plain number of bytes.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if not match:
        raise ValueError(text)
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))
