"""Recipes: one TOML file a method and data set, with the paper's hyperparameters and the paper's figures beside them.

A recipe is read strictly (an unknown key is an error), so that a misspelt rate cannot silently become a default.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from cxredge.errors import Code
from cxredge.result import LABELS
from training.errors import RecipeError

__all__ = [
    "SCHEMA",
    "Augment",
    "Loss",
    "Optimiser",
    "Paper",
    "Recipe",
    "Schedule",
    "Source",
    "Stage",
    "adjusted",
    "digest",
    "find",
    "names",
    "parse",
]

SCHEMA = "cxredge.recipe/1"
FOLDER = Path(__file__).parent

Whole = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Rate = Annotated[float, msgspec.Meta(gt=0.0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """A part of a recipe."""


class Optimiser(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Adam, AdamW or SGD. `rate` is that of the recipe's total batch; `betas` are Adam's, `momentum` is SGD's."""

    name: Literal["adam", "adamw", "sgd"]
    rate: Rate
    weight_decay: NotNegative = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)
    momentum: Share = 0.0


class Schedule(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the rate falls.

    Attributes:
        name: never; by `factor` each `every` epochs; by it at the epochs `at`; by it when the validation loss has not
            improved for `patience` epochs; or along one cycle over all steps, of which `warm` rise.
    """

    name: Literal["constant", "every", "at", "plateau", "one_cycle"] = "constant"
    every: Whole = 1
    at: tuple[Whole, ...] = ()
    patience: Whole = 5
    factor: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.1
    warm: Share = 0.3


class Loss(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A loss of `training.losses` and its parameters; `dice` is the U-Net's."""

    name: Literal["bce", "focal", "biased_focal", "dice"] = "bce"
    alpha: Share = 0.4
    beta: NotNegative = 2.0
    shift: Share = 0.2


class Augment(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to a training image.

    Attributes:
        crop: the classifier's view: the centre, a random place, or a random place and size (`scale`, `ratio`).
        scale: a resized crop's share of the area; above 1 it juts out over the field.
        ratio: a resized crop's width to height.
        flip: chance of a mirror image.
        rotation: largest angle, in degrees, to either side.
        contrast: largest relative change of the contrast.
        gamma: how far the exponent of grey values goes: from 1 / (1 + gamma) to 1 + gamma.
    """

    crop: Literal["centre", "random", "resized"] = "centre"
    scale: tuple[Rate, Rate] = (0.08, 1.0)
    ratio: tuple[Rate, Rate] = (0.75, 4 / 3)
    flip: Share = 0.0
    rotation: NotNegative = 0.0
    contrast: NotNegative = 0.0
    gamma: NotNegative = 0.0


class Source(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One data set.

    Attributes:
        kind: as `training.data.open_collection` knows it, or "phantoms".
        folder: where it lies under --data.
        options: for `open_collection`; for phantoms: train, validation, test (counts), seed and more.
        split: the makers' folds; a random 70/10/20 by patient that every table calls unofficial; or all cases test.
        validation: the share of the training patients that validates, where the makers give no such fold.
        seed: of the split.
        times: how often an epoch shows each image, every time augmented anew.
        validates: whether its validation fold judges the epochs too; one that does not only teaches.
    """

    kind: str
    folder: str = "."
    options: dict[str, Any] = {}
    split: Literal["official", "random", "test"] = "official"
    validation: Share = 0.1
    seed: int = 0
    times: Whole = 1
    validates: bool = True


class Stage(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One training run; a later stage starts from the best weights of those before it.

    Attributes:
        name: "unet", "gate"; "pretrain" (the classifier, on data of its own, before it learns from the recipe's) and
            "classifier"; "distil" (the classifier once more, taught by others too); "refine" (the classifier once more,
            on other data or more gently); or a branch of AG-CNN ("global",
            "local", "fusion").
        batch: images a step, over all processes together.
        watch: what chooses the best epoch: the validation's mean AUROC (of the diseases, or of the gate's three
            questions), its loss, or its mean Dice (U-Net).
        stop_after: end after so many epochs without a better one; 0 never does.
        mixup: a classifier with cross-entropy learns from pairs of images laid over each other, their labels weighed
            alike; how much of each is drawn from a beta distribution with this parameter (Zhang et al., ICLR 2018).
            0 never does.
        soft: of "distil": how much of each target is what others think of the image, the rest is its label. Half of
            it is the teachers' mean probability, half that of the network itself as it came into the stage.
        evidence: of a classifier that learns as a whole: how much it costs, beside the loss, where a heat map does not
            show the boxes that are known of its disease. 0 leaves boxes alone.
        average: what is validated and kept is a running average of the weights, of which this share stays at each
            step; 0 keeps the weights themselves.
        data: other data sets than the recipe's.
    """

    name: Literal["unet", "gate", "pretrain", "classifier", "distil", "refine", "global", "local", "fusion"]
    epochs: Whole
    batch: Whole
    optimiser: Optimiser
    schedule: Schedule = Schedule()
    loss: Loss = Loss()
    augment: Augment = Augment()
    watch: Literal["auroc", "loss", "dice"] = "auroc"
    stop_after: Annotated[int, msgspec.Meta(ge=0)] = 0
    mixup: NotNegative = 0.0
    soft: Share = 0.0
    evidence: NotNegative = 0.0
    average: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    data: tuple[Source, ...] = ()


class Paper(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the paper reports, to be printed beside ours.

    Attributes:
        title: of the paper, and where in it the figures stand.
        split: the division its figures are on: "official", "random", or of another data set.
        mean: mean AUROC.
        auroc, iou: by label.
        accuracy, sensitivity, specificity, f1: means over the diseases, 0..1.
        silent: what the paper does not say, and what was chosen for it.
    """

    title: str
    split: str
    mean: Share | None = None
    auroc: dict[str, Share] = {}
    iou: dict[str, Share] = {}
    accuracy: Share | None = None
    sensitivity: Share | None = None
    specificity: Share | None = None
    f1: Share | None = None
    silent: tuple[str, ...] = ()


class Recipe(_Strict, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a method is trained on a data set.

    Attributes:
        name: as its file.
        summary: one line for people.
        method: a key of `training.methods.METHODS`.
        options: of the method.
        start: whether the paper's backbone started from ImageNet weights (`--weights`) or from nothing.
        seed: of weights, order and augmentation.
        data: the data sets of all stages that name none of their own; those of the last stage, or of the one before
            where the last is the gate, are those of `evaluate`.
        stages: in order.
        paper: None where no paper reports this.
    """

    schema: str = SCHEMA
    name: str
    summary: str
    method: str
    options: dict[str, Any] = {}
    start: Literal["imagenet", "scratch"] = "scratch"
    seed: int = 0
    data: tuple[Source, ...] = ()
    stages: tuple[Stage, ...]
    paper: Paper | None = None

    def __post_init__(self) -> None:
        """Refuse what would fail only after hours."""
        if not self.stages:
            raise ValueError("a recipe needs a stage")
        seen = [stage.name for stage in self.stages]
        if len(set(seen)) < len(seen):
            raise ValueError(f"a stage appears twice: {', '.join(seen)}")
        for stage in self.stages:
            self._check_stage(stage)
        self._check_gate()
        for label in [*(self.paper.auroc if self.paper else ()), *(self.paper.iou if self.paper else ())]:
            if label not in LABELS:
                raise ValueError(f"{label!r} of the paper's figures is none of the {len(LABELS)} labels")

    @property
    def judged(self) -> Stage:
        """The stage whose data `evaluate` scores on: the last that is no gate."""
        return [stage for stage in self.stages if stage.name != "gate"][-1]

    def _check_stage(self, stage: Stage) -> None:
        if not self.sources(stage):
            raise ValueError(f"stage {stage.name!r} has no data")
        segments = stage.name == "unet"
        if segments != (stage.loss.name == "dice"):
            raise ValueError(f"stage {stage.name!r} cannot have the loss {stage.loss.name!r}")
        if stage.watch == ("auroc" if segments else "dice"):
            raise ValueError(f"stage {stage.name!r} cannot watch {stage.watch!r}")
        if bool(stage.soft) != (stage.name == "distil"):
            raise ValueError(f"stage {stage.name!r}: `soft` is what a stage 'distil' has, and it alone")
        if stage.soft and stage.loss.name != "bce":
            raise ValueError(f"stage {stage.name!r} needs the loss bce: its targets lie between 0 and 1")
        if stage.evidence and (stage.mixup or stage.name not in ("pretrain", "classifier", "distil", "refine")):
            raise ValueError(f"stage {stage.name!r} cannot learn from boxes: it has no heat maps of one image")
        if not any(source.validates for source in self.sources(stage)):
            raise ValueError(f"stage {stage.name!r} has no data that validates")
        if segments and stage.augment.crop == "random":
            raise ValueError("the U-Net sees the whole field: its crop is 'centre' (none) or 'resized'")

    def _check_gate(self) -> None:
        """A gate in the network is trained, and on a U-Net that has been; else it would refuse at random."""
        names = [stage.name for stage in self.stages]
        if ("gate" in names) != bool(self.options.get("gate", False)):
            raise ValueError("a stage 'gate' and `gate = true` among the options go together")
        if "gate" not in names:
            return
        if "unet" not in names[: names.index("gate")]:
            raise ValueError("the stage 'gate' reads the U-Net: it needs a stage 'unet' before it")
        stage = self.stages[names.index("gate")]
        if stage.augment != Augment() or stage.loss != Loss():
            raise ValueError("the stage 'gate' has its own augmentation and loss: leave `augment` and `loss` out")

    def sources(self, stage: Stage) -> tuple[Source, ...]:
        """The data sets of a stage."""
        return stage.data or self.data


def names() -> tuple[str, ...]:
    """The recipes that come with the workbench."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def find(name: str | Path) -> Recipe:
    """A recipe by name or by the path of a TOML file.

    Raises:
        RecipeError: there is none, or it is not a recipe; with the key at fault.
    """
    path = Path(name) if str(name).endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise RecipeError(
            Code.FILE_NOT_FOUND, f"there is no recipe {str(name)!r}: {', '.join(names())}, or a .toml file"
        )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(Code.FILE_UNREADABLE, f"{path}: {error}") from None
    return parse(content, str(path))


def parse(content: dict[str, Any], where: str = "the recipe") -> Recipe:
    """A recipe from plain data.

    Raises:
        RecipeError: it is not a recipe of this schema; with the key at fault.
    """
    schema = content.get("schema")
    if schema != SCHEMA:
        raise RecipeError(Code.BAD_ARGUMENT, f"{where} is of schema {schema!r}, not {SCHEMA!r}")
    try:
        return msgspec.convert(content, Recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(Code.BAD_ARGUMENT, f"{where}: {error}") from None


def digest(recipe: Recipe) -> str:
    """sha256 of what a recipe says: two that would train alike have the same."""
    return hashlib.sha256(msgspec.json.encode(recipe, order="deterministic")).hexdigest()


def adjusted(
    recipe: Recipe,
    *,
    epochs: int | None = None,
    width: float | None = None,
    batch: int | None = None,
    seed: int | None = None,
    without: tuple[str, ...] = (),
) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with what the command line changed, and each change in words.

    Args:
        recipe: as read.
        epochs: of every stage.
        width: of the backbone and the U-Net.
        batch: of every stage.
        seed: of weights, order and augmentation.
        without: ablation switches of the method to turn off.

    Raises:
        RecipeError: a value that no recipe can have.
    """
    said: list[str] = []
    content: dict[str, Any] = msgspec.to_builtins(recipe)
    options = content["options"]
    if width is not None and width != options.get("width", 1.0):
        said.append(f"width {width:g} in place of {options.get('width', 1.0):g}")
        options["width"] = width
    if seed is not None and seed != content["seed"]:
        said.append(f"seed {seed} in place of {content['seed']}")
        content["seed"] = seed
    for switch in without:
        said.append(f"without {switch}")
        options[switch] = False
    for stage in content["stages"]:
        for key, value in (("epochs", epochs), ("batch", batch)):
            if value is not None and value != stage[key]:
                said.append(f"{stage['name']}: {key} {value} in place of {stage[key]}")
                stage[key] = value
    return parse(content), tuple(said)
