"""The gate: whether the picture is an upright frontal chest radiograph at all, read from the U-Net's encoder.

Every stage of the encoder is read. The deepest knows what lies where in the whole picture; the shallow ones know grey
values and edges, which is where an inverted picture shows. All are brought to the deepest stage's grid and read there
with their places kept, because a chest that lies on its side has the same parts as one that stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from cxredge.result import Gate
from training.backbones.common import start_weights

__all__ = ["QUESTIONS", "GateHead"]

QUESTIONS: tuple[str, ...] = Gate.__struct_fields__
"""What the three logits say yes to: `not_chest`, `inverted`, `turned`, in the order of the result."""

HIDDEN = 32


class GateHead(nn.Module):
    """A few convolutions over the encoder's features: under a hundredth of the U-Net's multiply-adds.

    Args:
        channels: of each stage of the encoder, the shallowest first.
        cells: side of the deepest stage's map.
    """

    def __init__(self, channels: Sequence[int], cells: int) -> None:
        super().__init__()
        # Half of what a stage gives is averaged over a cell, half is its largest: both show where white and black lie.
        self.narrow = nn.ModuleList([nn.Conv2d(count, HIDDEN // 4, 1) for count in channels[:-1]])
        read = 2 * (HIDDEN // 4) * (len(channels) - 1) + channels[-1]
        self.join = nn.Conv2d(read, HIDDEN, 1)
        self.look = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1)
        self.places = nn.Linear(HIDDEN * cells * cells, HIDDEN)
        self.answer = nn.Linear(3 * HIDDEN, len(QUESTIONS))
        start_weights(self)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Logits [N, 3] in the order of `QUESTIONS`, from `Segmentation.stages`."""
        found = [stages[-1]]
        for depth, (narrow, stage) in enumerate(zip(self.narrow, stages, strict=False)):
            cell = 1 << (len(stages) - 1 - depth)
            x = fn.relu(narrow(stage))
            found += [fn.avg_pool2d(x, cell), fn.max_pool2d(x, cell)]
        x = fn.relu(self.join(torch.cat(found, 1)))
        x = fn.relu(self.look(x))
        whole = torch.cat([x.mean((2, 3)), x.amax((2, 3)), fn.relu(self.places(x.flatten(1)))], 1)
        logits: Tensor = self.answer(whole)
        return logits
