"""The methods, by name. `build` makes one; nothing heavy is imported before that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from training.errors import bad

if TYPE_CHECKING:
    from training.methods.base import Method

__all__ = ["METHODS", "build", "method_class"]

# Name -> (class, one line of help): the line is kept here so that listing the methods imports none of them.
METHODS: dict[str, tuple[str, str]] = {
    "cxr_irnet": ("CxrIrNet", "Attention before the backbone; features weighted by lungs and heart (Fang 2021)."),
    "ag_cnn": ("AgCnn", "A global branch, a local branch on the region it points at, and their fusion (Guan 2018)."),
    "se_multimap": ("SeMultiMap", "Squeeze-and-excitation, several maps a disease, max-min pooling (Yan 2018)."),
    "cral": ("Cral", "Residual attention, one map a disease (Guan and Huang 2020)."),
    "mlrfnet": ("MlrfNet", "Res2Net features of three levels, channel and spatial attention (Li 2023)."),
    "chexnet": ("CheXNet", "Baseline: DenseNet-121, average pooling, one linear layer (Rajpurkar 2017)."),
    "dcnn": ("Dcnn", "Baseline: ResNet-50, average pooling, one linear layer (after Wang 2017)."),
}


def method_class(name: str) -> type[Method[Any]]:
    """The class of a method.

    Raises:
        UsageError: there is no method of that name.
    """
    if name not in METHODS:
        raise bad(f"there is no method {name!r}: {', '.join(METHODS)}")
    found: type[Method[Any]] = getattr(import_module(f"training.methods.{name}"), METHODS[name][0])
    return found


def build(
    name: str, options: Mapping[str, Any] | None = None, *, without: Iterable[str] = (), strict: bool = True
) -> Method[Any]:
    """A method with fresh weights.

    Args:
        name: a key of `METHODS`.
        options: fields of the method's options type; the paper's where not given.
        without: ablation switches to turn off.
        strict: with False, values may be strings as a command line gives them.

    Raises:
        UsageError: an unknown method, option or switch, or a value that cannot be used.
    """
    import msgspec

    kind = method_class(name)
    values = dict(options or {})
    try:
        defaults = msgspec.convert(values, kind.options_type, strict=strict)
        chosen = msgspec.structs.replace(defaults, **defaults.without(*without))
    except msgspec.ValidationError as error:
        raise bad(f"{name}: {error}") from None
    return kind(chosen)
