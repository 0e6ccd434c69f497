"""Published DenseNet-121 classifiers become a checkpoint: outputs mapped by name, the input's scale in the graph.

Nothing of a file is executed: state dicts are read with `weights_only`, or as safetensors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from cxredge.result import LABELS
from export.errors import ExportError, Problem
from export.metadata import UNKNOWN_SPLIT
from export.thresholds import PUBLISHED
from training.backbones.common import scaled
from training.checkpoint import Facts, SplitFacts, read, save, versions
from training.methods import build
from training.methods.base import Method
from training.recipes import parse
from training.weights import load_weights, read_state_dict

__all__ = ["LAYOUTS", "Imported", "Layout", "import_weights"]

_HEADS = ("classifier.0", "classifier")
_THRESHOLDS = "op_threshs"


@dataclass(frozen=True)
class Layout:
    """How one family of published weights is made.

    Attributes:
        what: in words.
        labels: what its outputs stand for, in order.
        options: the method's, for the family's input.
        said: how its makers' preparation of images differs from this one, in words.
    """

    what: str
    labels: tuple[str, ...]
    options: dict[str, Any]
    said: str


LAYOUTS: dict[str, Layout] = {
    "chexnet": Layout(
        "CheXNet as re-trained by others: three channels, ImageNet's normalisation, 14 outputs",
        LABELS,
        {},
        "its makers average ten crops of 224; here the centre crop is scored",
    ),
    "torchxrayvision": Layout(
        "torchxrayvision's DenseNet-121: one channel, -1024..1024, 18 outputs, 224 x 224 without a crop",
        (
            *("Atelectasis", "Consolidation", "Infiltration", "Pneumothorax", "Edema", "Emphysema", "Fibrosis"),
            *("Effusion", "Pneumonia", "Pleural_Thickening", "Cardiomegaly", "Nodule", "Mass", "Hernia"),
            *("Lung Lesion", "Fracture", "Lung Opacity", "Enlarged Cardiomediastinum"),
        ),
        {"channels": 1, "scale": "signed", "field": 224, "crop": 224, "mask": 112},
        "its makers cut images to a square; here they are padded to one",
    ),
}


@dataclass(frozen=True)
class Imported:
    """What became of a file.

    Attributes:
        checkpoint: the file that was written.
        labels: each finding, and the number of the output that it comes from.
        unused: outputs that no finding stands for.
        departures: what must be known of these weights; printed in every report.
    """

    checkpoint: Path
    labels: dict[str, int]
    unused: tuple[str, ...]
    departures: tuple[str, ...]


def import_weights(
    path: Path, layout: str, out: Path, *, unet: Path | None = None, labels: Sequence[str] | None = None
) -> Imported:
    """Write a checkpoint of method `chexnet` from published weights.

    Args:
        path: a state dict (.pt, .pth, .pth.tar, .bin) or safetensors.
        layout: a key of `LAYOUTS`.
        out: the checkpoint.
        unet: a checkpoint whose U-Net is taken; None leaves the masks empty.
        labels: the outputs' names in order, where they are not the layout's.

    Raises:
        WeightsError: the file cannot be read without running code of it, or is of another network.
        ExportError: LABELS, a finding has no output, or one that was never trained; WEIGHTS, tensors are missing.
        CheckpointError: `unet` is no checkpoint.
    """
    kind = LAYOUTS[layout]
    state = read_state_dict(path)
    weight, bias, thresholds = _head(path, state)
    names = tuple(labels or kind.labels)
    chosen = _mapped(path, names, weight, thresholds)
    method = build("chexnet", {**kind.options, **_unet_options(unet)})
    _fill(method, path)
    rows = torch.tensor([chosen[label] for label in LABELS])
    with torch.no_grad():
        method.classifier.weight.copy_(weight[rows])
        method.classifier.bias.copy_(bias[rows])
    own, tags, said = _segmenter(method, unet)
    source = f"{path.name} (sha256 {_digest(path)[:12]}), layout {layout}"
    told = (
        f"weights imported from {source}: no recipe of this project trained them",
        "which patients trained them is not known: no test can be shown to be on unseen ones",
        kind.said,
        said,
    )
    scores = _scores(chosen, thresholds)
    facts = _facts(method, layout, told, scores, own, tags)
    unused = tuple(name for index, name in enumerate(names) if index not in chosen.values() and name)
    return Imported(save(out, method.state_dict(), facts), chosen, unused, told)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _head(path: Path, state: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
    """The last layer's weight and bias, and the thresholds that torchxrayvision keeps beside them."""
    for name in _HEADS:
        ends = [key for key in state if key == f"{name}.weight" or key.endswith(f".{name}.weight")]
        if len(ends) == 1:
            bias = state.get(ends[0].removesuffix("weight") + "bias")
            if bias is not None and state[ends[0]].ndim == 2:
                thresholds = next((value for key, value in state.items() if key.endswith(_THRESHOLDS)), None)
                return state[ends[0]].float(), bias.float(), thresholds
    raise ExportError(Problem.WEIGHTS, f"{path.name} has no classifier: one of {', '.join(_HEADS)}, weight and bias")


def _mapped(path: Path, names: Sequence[str], weight: Tensor, thresholds: Tensor | None) -> dict[str, int]:
    """Each finding's output. The graph gives all fourteen, and there is no honest number for one that is missing."""
    if len(names) != len(weight):
        detail = f"{path.name} has {len(weight)} outputs, {len(names)} names are given: name them with --labels"
        raise ExportError(Problem.LABELS, detail)
    found = {name.strip().lower().replace(" ", "_"): index for index, name in enumerate(names) if name.strip()}
    missing = [label for label in LABELS if label.lower() not in found]
    chosen = {label: found[label.lower()] for label in LABELS if label not in missing}
    # torchxrayvision gives no threshold to outputs that a set of weights was not trained for.
    blank = [] if thresholds is None else [label for label, index in chosen.items() if thresholds[index].isnan()]
    if missing or blank:
        said = f"{path.name} does not know {', '.join([*missing, *blank])}"
        why = "A graph answers for all fourteen findings, and an answer that nobody trained would be a guess"
        raise ExportError(Problem.LABELS, f"{said}. {why}: take weights that know them all")
    return chosen


def _fill(method: Method[Any], path: Path) -> None:
    """All tensors of the backbone, none adapted."""
    report = load_weights(method.backbones()[0], path)
    strange = [name for name in report.unexpected if "classifier" not in name and not name.endswith(_THRESHOLDS)]
    if report.missing or report.mismatched or report.adapted or strange:
        more = f"; not of a DenseNet-121: {', '.join(strange[:3])}" if strange else ""
        raise ExportError(Problem.WEIGHTS, f"{path.name} is not of this layout: {report.summary}{more}")


def _unet_options(unet: Path | None) -> dict[str, Any]:
    if unet is None:
        return {}
    config = read(unet)[0].config
    width = scaled(config.get("unet_width", 16), config.get("width", 1.0))
    return {"unet_width": width, "unet_depth": config.get("unet_depth", 4)}


def _segmenter(method: Method[Any], unet: Path | None) -> tuple[tuple[Any, ...], tuple[str, ...], str]:
    """Give the method its U-Net: whose data it was trained on, the patients, and what is to be said of it."""
    if unet is None:
        with torch.no_grad():
            method.unet.head.weight.zero_()
            method.unet.head.bias.fill_(-20.0)
        return (), (), "there is no U-Net: the masks are empty, and the runtime will abstain on every image"
    facts, state = read(unet)
    own = {name.removeprefix("unet."): value for name, value in state.items() if name.startswith("unet.")}
    try:
        method.unet.load_state_dict(own, strict=True)
    except RuntimeError:
        raise ExportError(Problem.WEIGHTS, f"the U-Net of {unet} is not one that can be taken over") from None
    grids = facts.config.get("mask", method.options.mask), method.options.mask
    apart = "" if grids[0] == grids[1] else f", trained on a grid of {grids[0]} and run on one of {grids[1]}"
    data = tuple(use for use in facts.data if use.stage == "unet")
    return data, facts.trained_on, f"the U-Net of a run of {facts.recipe.get('name')}{apart}"


def _scores(chosen: dict[str, int], thresholds: Tensor | None) -> dict[str, float | None]:
    if thresholds is None:
        return {}
    return {f"{PUBLISHED}{label}": float(thresholds[index]) for label, index in chosen.items()}


def _facts(
    method: Method[Any],
    layout: str,
    told: tuple[str, ...],
    scores: dict[str, float | None],
    data: tuple[Any, ...],
    tags: tuple[str, ...],
) -> Facts:
    options = msgspec.to_builtins(method.options)
    recipe = parse(
        {
            "schema": "cxredge.recipe/1",
            "name": f"imported-{layout}",
            "summary": "Published weights; nothing was trained here",
            "method": method.name,
            "options": options,
            "data": [{"kind": "chestxray14"}],  # what `python -m training evaluate` looks at unless told otherwise
            "stages": [{"name": "classifier", "epochs": 1, "batch": 1, "optimiser": {"name": "adam", "rate": 1e-4}}],
        }
    )
    return Facts(
        method=method.name,
        config=options,
        recipe=msgspec.to_builtins(recipe),
        departures=told,
        split=SplitFacts(UNKNOWN_SPLIT, False, ""),
        data=data,
        trained_on=tags,
        stage="imported",
        epoch=0,
        scores=scores,
        versions=versions(),
    )


def names_of(path: Path) -> list[str]:
    """The outputs' names: a JSON list, or one a line.

    Raises:
        ExportError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(Problem.LABELS, f"{path} cannot be read ({type(error).__name__})") from None
    try:
        found = json.loads(text)
    except ValueError:
        found = [line.strip() for line in text.splitlines()]
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ExportError(Problem.LABELS, f"{path} is no list of names")
    return found
