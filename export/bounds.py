"""How far an engine may be from the network, by precision. A bundle's own tolerances are measured and set later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["BOUNDS", "Bounds"]


@dataclass(frozen=True)
class Bounds:
    """The largest absolute differences.

    Attributes:
        outputs: by output; logits and heat maps in logits, masks in probabilities.
        inner: how near to its threshold a cell must lie that was decided otherwise inside the network.
    """

    outputs: Mapping[str, float]
    inner: float


BOUNDS: dict[str, Bounds] = {
    "fp32": Bounds({"logits": 1e-4, "masks": 1e-3, "heatmaps": 1e-3, "gate": 1e-4}, 1e-4),
    "fp16": Bounds({"logits": 0.05, "masks": 0.02, "heatmaps": 0.2, "gate": 0.05}, 0.02),
    "bf16": Bounds({"logits": 0.25, "masks": 0.1, "heatmaps": 1.0, "gate": 0.25}, 0.1),
}
"""float32 as the contract says it; float16 keeps 11 bits and bfloat16 8, through some 120 layers."""
