"""AG-CNN's mask inference alone, as a graph, against connected-component labelling by SciPy."""

from __future__ import annotations

import io
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx
import torch
from scipy import ndimage  # type: ignore[import-untyped]
from torch import Tensor, nn

from cxredge.engines.base import Job
from export.answers import opened
from export.graph import OPSET, quiet
from training.methods.regions import box_of, largest_region

__all__ = ["box_by_labelling", "check_boxes", "heat_maps", "region_graph"]

Array = npt.NDArray[np.float32]

COUNT = 1000


def box_by_labelling(mask: npt.NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the largest region, as fractions; of equal ones, the first in reading order.

    Regions have 8 neighbours; an empty mask gives the whole map.
    """
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 0:
        return 0.0, 0.0, 1.0, 1.0
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    rows, columns = np.nonzero(labels == largest)
    height, width = mask.shape
    return columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height


def heat_maps(side: int, tau: float, count: int = COUNT, seed: int = 7) -> Array:
    """Random heat maps [count, 1, side, side] in 0..1 of all densities, a third of them in ten steps only.

    Among the steps is tau itself, which does not count as above; few steps also make regions of equal size common.
    """
    rng = np.random.default_rng(seed)
    maps = rng.random((count, side, side)) ** rng.uniform(0.2, 3.0, (count, 1, 1))
    steps = np.append(np.linspace(0, 1, 10), tau)
    nearest = steps[np.abs(maps[..., None] - steps).argmin(-1)]
    coarse = np.arange(count)[:, None, None] % 3 == 0
    return np.where(coarse, nearest, maps).astype(np.float32)[:, None]


class _Region(nn.Module):
    def __init__(self, tau: float) -> None:
        super().__init__()
        self.tau = tau

    def forward(self, image: Tensor) -> Tensor:
        heat = image[:, 0]
        return box_of(largest_region((heat > self.tau).to(heat.dtype)))


def region_graph(side: int, tau: float) -> bytes:
    """The mask inference of `training.methods.regions` on heat maps [N, 1, side, side], as ONNX; output `box`."""
    with quiet():
        program = torch.onnx.export(
            _Region(tau).eval(),
            (torch.rand(2, 1, side, side),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            input_names=["image"],
            output_names=["box"],
            opset_version=OPSET,
            verbose=False,
        )
    stream = io.BytesIO()
    onnx.save_model(cast("torch.onnx.ONNXProgram", program).model_proto, stream)
    return stream.getvalue()


def check_boxes(side: int, tau: float, engines: tuple[str, ...], *, limit_seconds: float) -> dict[str, Any]:
    """How many of 1,000 boxes each engine has as SciPy has them, and how many of the maps have ties.

    Raises:
        EngineError: an engine cannot run the graph.
    """
    maps = heat_maps(side, tau)
    masks = maps[:, 0] > np.float32(tau)
    wanted = np.array([box_by_labelling(mask) for mask in masks], np.float32)
    graph = region_graph(side, tau)
    job = Job("cpu", "fp32", None, (side, side), {"box": (4,)})
    equal = {}
    for engine in engines:
        with opened(graph, engine, job, maps[:1], limit_seconds=limit_seconds) as found:
            boxes = found.session.run(maps)["box"]
        equal[engine] = int((np.abs(boxes - wanted) < 1e-6).all(1).sum())
    return {
        "maps": len(maps),
        "side": side,
        "tau": tau,
        "with_ties": sum(map(_tied, masks)),
        "at_tau": int((maps[:, 0] == np.float32(tau)).any((1, 2)).sum()),
        "equal": equal,
    }


def _tied(mask: npt.NDArray[np.bool_]) -> bool:
    sizes = np.bincount(ndimage.label(mask, np.ones((3, 3)))[0].ravel())[1:]
    return len(sizes) > 1 and int((sizes == sizes.max()).sum()) > 1
