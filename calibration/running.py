"""What a graph answers on cases, by a runtime's engine: compiled and first run in a child process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from calibration.planes import Planes
from cxredge.engines import catalog
from cxredge.engines.base import EngineInfo, Job
from export.answers import Opened, opened
from export.graphfile import GraphFile

__all__ = ["ENGINES", "Answers", "answer", "session", "with_bfloat16"]

ENGINES = ("onnxruntime", "openvino")

Array = npt.NDArray[np.float32]


def with_bfloat16(engines: Sequence[str] = ENGINES) -> tuple[str, ...]:
    """Those that offer it on this processor: OpenVINO from AVX-512 on, where it may be no faster than float32."""
    return tuple(name for name in engines if "bf16" in catalog.require(name).precisions("cpu"))


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A graph's outputs on cases, masks as bits.

    Attributes:
        logits: [N, 14].
        masks: [N, 3, h * w / 8 rounded up], 1 where the probability is at least one half; `packbits` of rows.
        heatmaps: [N, 14, hh, ww].
        mask_shape: h and w.
        info: what ran.
        gate: [N, 3] logits; None where the graph has no such output.
    """

    logits: Array = field(repr=False)
    masks: npt.NDArray[np.uint8] = field(repr=False)
    heatmaps: Array = field(repr=False)
    mask_shape: tuple[int, int]
    info: EngineInfo
    gate: Array | None = field(default=None, repr=False)

    def mask(self, index: int) -> npt.NDArray[np.bool_]:
        """One image's masks, [3, h, w]."""
        rows, columns = self.mask_shape
        bits = np.unpackbits(self.masks[index], axis=-1, count=rows * columns)
        return bits.reshape(3, rows, columns).astype(bool)


@contextmanager
def session(
    graph: GraphFile, engine: str, first: Array, limit_seconds: float = 300.0, threads: int | None = None
) -> Iterator[Opened]:
    """An open session of the graph.

    Raises:
        EngineError: the engine crashed, hung or refused: in a process of its own, so only the variant is lost.
    """
    job = Job("cpu", graph.precision, threads, graph.input_size, graph.outputs)
    with opened(graph.data, engine, job, first, limit_seconds=limit_seconds) as found:
        yield found


def answer(
    graph: GraphFile,
    engine: str,
    planes: Planes,
    *,
    limit_seconds: float = 300.0,
    step: Callable[[], None] = lambda: None,
) -> Answers:
    """Run every case, one image at a time as the runtime does.

    Raises:
        EngineError: as `session`.
    """
    logits, masks, heatmaps, gates = [], [], [], []
    with session(graph, engine, planes.batch(0), limit_seconds) as found:
        for index in range(len(planes)):
            given = found.session.run(planes.batch(index))
            logits.append(given["logits"][0])
            masks.append(np.packbits(given["masks"][0].reshape(3, -1) >= 0.5, axis=-1))
            heatmaps.append(given["heatmaps"][0])
            gates += [given["gate"][0]] if "gate" in given else []
            step()
        info = found.session.info
    shape = graph.outputs["masks"][1:]
    gate = np.stack(gates) if gates else None
    return Answers(np.stack(logits), np.stack(masks), np.stack(heatmaps), (shape[0], shape[1]), info, gate)
