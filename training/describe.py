"""What a method is, in numbers: parameters, multiply-adds, input and outputs. Nothing is computed to find out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cxredge.result import LABELS, STRUCTURES
from training.methods import METHODS, build
from training.methods.base import Method

__all__ = ["describe", "multiply_adds", "parameters"]


def parameters(network: nn.Module) -> int:
    """How many numbers the network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(run: Callable[[], object]) -> int:
    """The multiply-adds of convolutions and matrix products in a call.

    One multiplication with its addition counts once, as papers count "FLOPs" of networks; torch's counter counts two.
    Activations, norms and pools are not counted, as is usual.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return int(counter.get_total_flops()) // 2


def describe(name: str, options: dict[str, Any] | None = None, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """A method's parameters, multiply-adds, input and outputs.

    The network is built on torch's "meta" device: shapes without numbers.

    Args:
        name: the method.
        options: fields of its options; strings as a command line gives them are understood.
        without: ablation switches to turn off.

    Returns:
        A JSON-able dictionary. `parameters` and `gmacs` (1e9 multiply-adds) are those of the classifier on one view;
        `unet`, `gate` (None without one) and `graph` have the same two for the U-Net, for the gate's head on it, and
        for the graph that is exported, with all that is in it.

    Raises:
        UsageError: an unknown method, option or switch, or a value that cannot be used.
    """
    with torch.device("meta"):
        method = build(name, options, without=without, strict=False).eval()
        image = torch.zeros(1, 1, method.options.field, method.options.field)
    outputs: list[Any] = []
    graph = multiply_adds(lambda: outputs.append(method(image)))
    everything, unet = parameters(method), parameters(method.unet)
    gate = 0 if method.gate is None else parameters(method.gate)
    return {
        "method": name,
        "summary": METHODS[name][1],
        "parameters": everything - unet - gate,
        "gmacs": _giga(multiply_adds(lambda: _score(method, image))),
        "counted": "multiply-adds of convolutions and matrix products; parameters and gmacs: the classifier, one view",
        "unet": {"parameters": unet, "gmacs": _giga(multiply_adds(lambda: method.unet(image)))},
        "gate": _gate(method, image),
        "graph": {"parameters": everything, "gmacs": _giga(graph)},
        "input": {"name": "image", "shape": ["N", 1, *image.shape[2:]], "range": [0.0, 1.0]},
        "outputs": {key: ["N", *value.shape[1:]] for key, value in outputs[0]._asdict().items() if value is not None},
        "view": list(method.view(image).shape[2:]),
        "heatmap_box": list(method.heatmap_box),
        "labels": list(LABELS),
        "structures": list(STRUCTURES),
        "trained": list(method.trained),
        "switches": list(method.options.switches()),
        "options": msgspec.to_builtins(method.options),
    }


def _score(method: Method[Any], image: Tensor) -> object:
    """The classifier alone: the masks that it may want are given, so that no U-Net is counted."""
    side = method.options.crop // method.options.reduction
    return method.score(method.view(image), image.new_zeros(1, len(STRUCTURES), side, side))


def _gate(method: Method[Any], image: Tensor) -> dict[str, Any] | None:
    """The head's own cost: the encoder under it is the U-Net's."""
    head = method.gate
    if head is None:
        return None
    stages = method.unet.encode(image)
    return {"parameters": parameters(head), "gmacs": _giga(multiply_adds(lambda: head(stages)))}


def _giga(count: int) -> float:
    return round(count / 1e9, 4)
