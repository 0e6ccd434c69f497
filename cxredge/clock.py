"""Where a prediction's time goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from cxredge.result import Timing

__all__ = ["Clock"]


@dataclass(slots=True)
class Clock:
    """Wall time by stage, in milliseconds; the total runs from when it was made."""

    started: float = field(default_factory=time.perf_counter)
    stages: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, milliseconds: float) -> None:
        """Count so much more for a stage."""
        self.stages[stage] = self.stages.get(stage, 0.0) + milliseconds

    def timing(self) -> Timing:
        """What was counted until now."""
        spent = {stage: round(value, 3) for stage, value in self.stages.items()}
        return Timing(**spent, total=round((time.perf_counter() - self.started) * 1e3, 3))
