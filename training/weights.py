"""Published weights into a network: which tensors matched is always told, and a load that mostly missed is an error."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cxredge.errors import Code
from training.errors import WeightsError

__all__ = ["PREFIXES", "LoadReport", "load_weights", "read_state_dict"]

PREFIXES = (
    "module.",  # DataParallel and DistributedDataParallel
    "_orig_mod.",  # torch.compile
    "model.",  # Lightning modules, by habit
    "net.",
    "network.",
    "backbone.",
    "encoder.",
    "densenet121.",  # CheXNet's wrapper
    "resnet50.",
)
"""What training code puts before a tensor's own name; stripped only where the name as it stands is not known."""

CONTAINERS = ("state_dict", "model_state_dict", "model")
"""Where checkpoints keep the state dict."""

# torchvision's DenseNet weights of before 2018 say `norm.1` for what the module calls `norm1`.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")
# A counter of batches, not a weight: older files lack it, and nothing that is computed here reads it.
_COUNTER = ".num_batches_tracked"


@dataclass(frozen=True)
class LoadReport:
    """What a file did to a network. Names are the network's, but for `unexpected`, which are the file's.

    Attributes:
        matched: tensors that were loaded.
        missing: tensors of the network that the file does not have: they kept their values.
        unexpected: tensors of the file that the network does not have.
        mismatched: tensors of another shape, as "name: file's shape, network's shape": they kept their values.
        adapted: those of `matched` whose input channels were summed or spread (see `load_weights`).
        stripped: the prefixes that were taken off names.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    adapted: tuple[str, ...]
    stripped: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line for people."""
        parts = [f"{len(self.matched)} tensors matched"]
        for name in ("missing", "unexpected", "mismatched", "adapted"):
            names: tuple[str, ...] = getattr(self, name)
            if names:
                more = ", ..." if len(names) > 3 else ""
                parts.append(f"{len(names)} {name} ({', '.join(names[:3])}{more})")
        if self.stripped:
            parts.append(f"prefixes taken off: {' '.join(self.stripped)}")
        return "; ".join(parts)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU: safetensors, or what `torch.save` wrote of a state dict.

    No code of the file runs: pickles are read with `weights_only`.

    Raises:
        WeightsError: there is no such file, it cannot be read, it holds more than plain tensors can, or no tensor.
    """
    if not path.is_file():
        raise WeightsError(Code.FILE_NOT_FOUND, str(path))
    try:
        found = _read(path)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = f"{path.name} is not a state dict that can be read without running code ({type(error).__name__})"
        raise WeightsError(Code.BAD_ARGUMENT, reason) from error
    tensors = {name: value for name, value in _inner(found).items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(Code.BAD_ARGUMENT, f"{path.name} holds no tensors by name")
    return tensors


def _read(path: Path) -> object:
    if path.suffix != ".safetensors":
        return torch.load(path, map_location="cpu", weights_only=True)
    import safetensors
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error


def _inner(found: object) -> Mapping[str, object]:
    for name in CONTAINERS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    return found if isinstance(found, Mapping) else {}


def load_weights(network: nn.Module, path: str | Path, *, least: float = 0.5) -> LoadReport:
    """Load what a file has for a network.

    Known prefixes (`PREFIXES`) are taken off, old DenseNet names translated. Where the file's tensor differs from the
    network's only in taking 1 or 3 input channels, it is adapted: 3 to 1 by the SUM over the three channels, 1 to 3
    by a third in each. Both give the same response to a grey image, if all channels are normalised alike.

    Args:
        network: a backbone or a whole method.
        path: safetensors, or a state dict (also inside a checkpoint, under "state_dict" or "model").
        least: more than this share of the network's tensors must match.

    Raises:
        WeightsError: the file cannot be read, two of its names mean one tensor, or too few tensors match. The network
            is then as it was.
    """
    path = Path(path)
    wanted = {name: t for name, t in network.state_dict().items() if not name.endswith(_COUNTER)}
    given, unexpected, stripped = _renamed(read_state_dict(path), wanted)
    matched: dict[str, Tensor] = {}
    mismatched, adapted = [], []
    for name in wanted:
        if name not in given:
            continue
        fitting = _fitted(given[name], wanted[name].shape)
        if fitting is None:
            mismatched.append(f"{name}: {tuple(given[name].shape)}, {tuple(wanted[name].shape)}")
            continue
        matched[name] = fitting
        if fitting.shape != given[name].shape:
            adapted.append(name)
    missing = tuple(name for name in wanted if name not in given)
    report = LoadReport(tuple(matched), missing, unexpected, tuple(mismatched), tuple(adapted), stripped)
    if len(matched) <= least * len(wanted):
        raise WeightsError(
            Code.BAD_ARGUMENT, f"{path.name} is not of this network of {len(wanted)} tensors: {report.summary}"
        )
    network.load_state_dict(matched, strict=False)
    return report


def _renamed(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...], tuple[str, ...]]:
    """The file's tensors under the network's names; what the network does not have; the prefixes taken off."""
    given: dict[str, Tensor] = {}
    unexpected: list[str] = []
    stripped: set[str] = set()
    for original, tensor in found.items():
        if original.endswith(_COUNTER):
            continue
        name, prefixes = _own_name(original, wanted)
        if name not in wanted:
            unexpected.append(original)
        elif name in given:
            raise WeightsError(Code.BAD_ARGUMENT, f"two tensors of the file mean {name}")
        else:
            given[name] = tensor
            stripped |= prefixes
    return given, tuple(unexpected), tuple(prefix for prefix in PREFIXES if prefix in stripped)


def _own_name(name: str, wanted: Mapping[str, Tensor]) -> tuple[str, set[str]]:
    """The name without known prefixes, and those that were taken off."""
    name = _OLD_DENSENET.sub(r"\1", name)
    taken: set[str] = set()
    while name not in wanted:
        prefix = next((p for p in PREFIXES if name.startswith(p)), None)
        if prefix is None:
            break
        name = name.removeprefix(prefix)
        taken.add(prefix)
    return name, taken


def _fitted(tensor: Tensor, shape: torch.Size) -> Tensor | None:
    """The tensor in the wanted shape, its 1 or 3 input channels adapted; None where it cannot be."""
    if tensor.shape == shape:
        return tensor
    if tensor.ndim != 4 or len(shape) != 4 or (tensor.shape[0], *tensor.shape[2:]) != (shape[0], *shape[2:]):
        return None
    if (tensor.shape[1], shape[1]) == (3, 1):
        return tensor.sum(1, keepdim=True)
    if (tensor.shape[1], shape[1]) == (1, 3):
        return tensor.expand(-1, 3, -1, -1) / 3
    return None
