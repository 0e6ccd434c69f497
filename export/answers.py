"""What the network and the engines answer on the same images.

An engine is compiled and first run in a child process, by the runtime's own modules and isolation, so that a crash of
a vendor's compiler is a refusal with a reason and not the end of the export.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from cxredge.engines import catalog
from cxredge.engines.base import CheckedSession, Job
from cxredge.engines.isolation import run_child
from export.inner import inner_of, watched
from export.subject import Subject

__all__ = ["BATCHES", "Answers", "Opened", "in_batches", "of_torch", "opened"]

Array = npt.NDArray[np.float32]
Answers = dict[str, Array]

BATCHES = (1, 7)
"""Sizes that a batch is cut to: one image, and an odd number that no kernel was made for."""


def of_torch(subject: Subject, batch: Array) -> Answers:
    """The network's outputs by name, one image at a time, with the values that inner decisions are taken on."""
    method, inner = subject.method, inner_of(subject.method)
    rows: list[Answers] = []
    with torch.inference_mode(), watched(method, inner) as seen:
        for image in batch:
            given = method(torch.from_numpy(image[None]))._asdict()
            if inner is not None:
                given |= dict(zip(inner.probes, seen, strict=True))
            rows.append({name: value.numpy().copy() for name, value in given.items() if value is not None})
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


@dataclass(frozen=True)
class Opened:
    """A compiled graph that has run once in a process of its own.

    Attributes:
        session: the engine's, with inputs and outputs checked.
        compile_ms: what compiling took.
    """

    session: CheckedSession
    compile_ms: float


@contextmanager
def opened(graph: bytes, engine: str, job: Job, first: Array, *, limit_seconds: float) -> Iterator[Opened]:
    """Compile a graph in a child process, run it there on `first` [1, 1, H, W], and open what it made.

    Raises:
        EngineError: as `cxredge.engines.isolation.run_child`.
    """
    module = catalog.require(engine)
    with tempfile.TemporaryDirectory(prefix="cxredge-export-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "graph.onnx").write_bytes(graph)
        np.save(folder / "image.npy", first, allow_pickle=False)
        artefact = folder / f"artefact{module.SUFFIX}"
        order = {
            "module": catalog.module_name(engine),
            "job": asdict(job),
            "graph": str(folder / "graph.onnx"),
            "image": str(folder / "image.npy"),
            "artefact": str(artefact),
            "compile": True,
            "seconds": None,
        }
        report = run_child(order, folder, engine, limit_seconds)
        with CheckedSession(module.open(artefact, job), job) as session:
            yield Opened(session, report["compile_ms"])


def in_batches(session: CheckedSession, batch: Array, size: int, times: list[float] | None = None) -> Answers:
    """All outputs by name, run in batches of `size`; the last one may be smaller.

    Args:
        session: where.
        batch: [N, 1, H, W].
        size: of a batch.
        times: gets each run's milliseconds.
    """
    parts = []
    for at in range(0, len(batch), size):
        began = time.perf_counter()
        parts.append(session.run(batch[at : at + size]))
        if times is not None:
            times.append((time.perf_counter() - began) * 1e3)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
