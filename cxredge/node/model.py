"""The model that node.toml names, loaded: by each worker, and by `cxredge node --check`."""

from __future__ import annotations

from cxredge.node.config import ModelChoice
from cxredge.pipeline import Model, load

__all__ = ["open_model"]


def open_model(choice: ModelChoice) -> Model:
    """Load it.

    Raises:
        CxredgeError: what `cxredge.load` raises.
    """
    return load(
        choice.bundle,
        choice.engine,
        choice.device,
        choice.precision,
        choice.threads,
        operating_point=choice.operating_point,
        key=choice.key,
    )
