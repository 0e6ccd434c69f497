"""cxredge: a chest radiograph goes in; lungs, heart and fourteen findings come out.

>>> import cxredge
>>> model = cxredge.load("chest.cxr")          # doctest: +SKIP
>>> prediction = model.predict("scan.dcm")     # doctest: +SKIP
>>> print(prediction.to_json())                # doctest: +SKIP

Importing the package is cheap: what a name needs is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxredge.errors import Abstention, BundleError, Code, CxredgeError, EngineError, InputError, UsageError

if TYPE_CHECKING:
    from cxredge.pipeline import Model, load
    from cxredge.prediction import Prediction
    from cxredge.reading import Limits
    from cxredge.result import LABELS

__all__ = [
    "LABELS",
    "Abstention",
    "BundleError",
    "Code",
    "CxredgeError",
    "EngineError",
    "InputError",
    "Limits",
    "Model",
    "Prediction",
    "UsageError",
    "__version__",
    "load",
]

_HOME = {
    "load": "cxredge.pipeline",
    "Model": "cxredge.pipeline",
    "Prediction": "cxredge.prediction",
    "Limits": "cxredge.reading",
    "LABELS": "cxredge.result",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("cxredge")
    if name not in _HOME:
        raise AttributeError(f"module 'cxredge' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
