"""The file between training and everything after it: weights, and what a reader must know before trusting them.

It is `torch.save` of one plain dictionary (schema `cxredge.checkpoint/1`) and is read with `weights_only=True`, so that
opening a stranger's file runs no code. Patients are kept as short hashes: enough to notice that a test patient was
trained on, not enough to say who.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cxredge.errors import Code
from cxredge.files import write_atomically
from training.errors import CheckpointError, LeakError

if TYPE_CHECKING:
    from torch import Tensor

    from training.methods.base import Method

__all__ = [
    "SCHEMA",
    "DataUse",
    "Facts",
    "SplitFacts",
    "assert_unseen",
    "load",
    "patient_tag",
    "read",
    "save",
    "versions",
]

SCHEMA = "cxredge.checkpoint/1"
FAMILY, NUMBER = SCHEMA.rsplit("/", 1)


class SplitFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which division of the data into folds: its name, whether the data's makers gave it, and its hash."""

    name: str
    official: bool
    sha256: str


class DataUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One data set that a stage learned from.

    Attributes:
        stage: the stage's name.
        name: the data set's kind.
        train, validation: images in each fold.
        shippable: whether weights trained on it may be given away.
        citation: how its makers want to be cited.
        split: the division used.
    """

    stage: str
    name: str
    train: int
    validation: int
    shippable: bool
    citation: str
    split: SplitFacts


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything in a checkpoint but the weights.

    Attributes:
        method: a key of `training.methods.METHODS`.
        config: the options that it was built with.
        recipe: the recipe as it ran, overrides included.
        departures: how the run departed from the recipe's file, in words.
        split: the division of the data that the last stage used.
        data: every data set that any stage learned from.
        trained_on: sorted hashes (`patient_tag`) of all patients whose images trained or chose these weights.
        chosen_on: those of them whose images taught nothing: they were in validation folds, and chose the epoch.
        stage: the stage that wrote it.
        epoch: epochs of that stage that were complete, from 1.
        scores: the validation scores of that epoch.
        versions: of Python, torch, Lightning and cxredge.
    """

    schema: str = SCHEMA
    method: str
    config: dict[str, Any]
    recipe: dict[str, Any]
    departures: tuple[str, ...]
    split: SplitFacts
    data: tuple[DataUse, ...]
    trained_on: tuple[str, ...]
    chosen_on: tuple[str, ...] = ()
    stage: str
    epoch: int
    scores: dict[str, float | None]
    versions: dict[str, str]

    def learned(self, stage: str) -> bool:
        """Whether a stage of that name is behind these weights; a part that has not had its turn is as it was drawn."""
        return any(use.stage == stage for use in self.data)


def patient_tag(patient: str) -> str:
    """A short hash of a patient, who is named as `Case.patient` does: the same in every data set that shows them."""
    return hashlib.sha256(patient.encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """The versions that a checkpoint records."""
    import platform
    from importlib.metadata import version

    found = {name: version(name) for name in ("torch", "lightning", "numpy", "cxredge")}
    return {"python": platform.python_version(), **found}


def save(path: Path, state: dict[str, Tensor], facts: Facts) -> Path:
    """Write a checkpoint, atomically: a kill leaves the file of before.

    Raises:
        CheckpointError: a weight is not finite; such weights are never kept.
        CxredgeError: OUTPUT_UNWRITABLE.
    """
    import torch

    weights = {name: value.detach().cpu() for name, value in state.items()}
    broken = [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise CheckpointError(
            Code.BAD_ARGUMENT, f"{len(broken)} tensors hold values that are not finite, the first is {broken[0]}"
        )
    stream = io.BytesIO()
    torch.save({**msgspec.to_builtins(facts), "state_dict": weights}, stream)
    return write_atomically(path, stream.getvalue())


def read(path: Path) -> tuple[Facts, dict[str, Tensor]]:
    """The facts and the weights of a checkpoint, on the CPU. No code of the file runs.

    Raises:
        CheckpointError: there is no such file, it is not a checkpoint, or it is of a newer schema.
    """
    import torch

    if not path.is_file():
        raise CheckpointError(Code.FILE_NOT_FOUND, str(path))
    try:
        with warnings.catch_warnings():  # torch's remarks on pickles that it then refuses
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever pickle, zip or its own reader raise
        raise CheckpointError(Code.FILE_UNREADABLE, f"{path} is no checkpoint ({type(error).__name__})") from error
    if not isinstance(content, dict) or not isinstance(content.get("schema"), str):
        raise CheckpointError(Code.FILE_UNREADABLE, f"{path} holds no cxredge checkpoint")
    _check_schema(path, content["schema"])
    state = content.pop("state_dict", None)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointError(Code.FILE_UNREADABLE, f"{path} holds no weights")
    try:
        return msgspec.convert(content, Facts), state
    except msgspec.ValidationError as error:
        raise CheckpointError(Code.FILE_UNREADABLE, f"{path}: {error}") from None


def _check_schema(path: Path, schema: str) -> None:
    family, _, number = schema.rpartition("/")
    if family != FAMILY or not number.isdecimal():
        raise CheckpointError(Code.FILE_UNREADABLE, f"{path} is of schema {schema!r}, not {SCHEMA!r}")
    if int(number) > int(NUMBER):
        raise CheckpointError(Code.FILE_UNREADABLE, f"{path} is of the newer schema {schema!r}: update cxredge")


def load(path: Path) -> tuple[Method[Any], Facts]:
    """The network of a checkpoint, in evaluation, on the CPU; and the facts.

    Raises:
        CheckpointError: as `read`; or the weights are not those of the method that it names.
    """
    from training.methods import build

    facts, state = read(path)
    model = build(facts.method, facts.config)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2]
        raise CheckpointError(
            Code.FILE_UNREADABLE, f"{path}: the weights are not those of {facts.method}: {' '.join(first).strip()}"
        ) from None
    return model.eval(), facts


def assert_unseen(facts: Facts, tags: Iterable[str], fold: str) -> None:
    """Refuse weights that were trained or chosen on a patient whom they are to be tested on.

    Args:
        facts: the checkpoint's.
        tags: the patients of the fold, as `patient_tag` gives them.
        fold: its name, for the message.

    Raises:
        LeakError: with how many of how many.
    """
    tested = set(tags)
    seen = tested.intersection(facts.trained_on)
    if seen:
        raise LeakError(
            Code.BAD_ARGUMENT,
            f"{len(seen)} of the {len(tested)} patients of fold {fold!r} trained these weights (split "
            f"{facts.split.name!r}, {facts.split.sha256[:12]}); hashes {', '.join(sorted(seen)[:5])}",
        )
