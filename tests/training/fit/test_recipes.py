"""Recipes: those that ship are sound and carry the papers' figures; anything else is refused with the key at fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from cxredge.result import LABELS
from tests.support.toy_training import toy_recipe
from training.errors import RecipeError
from training.fit.run import options_of
from training.fit.sources import PHANTOM_FOLDS, augment_of
from training.methods import METHODS
from training.recipes import Recipe, adjusted, digest, find, names, parse

SHIPPED = tuple(METHODS)
"""Without the toy, which is a method only while these tests run."""


@pytest.mark.parametrize("name", names())
def test_a_shipped_recipe_fits_its_method_and_its_data(name: str) -> None:
    from training.data import KINDS

    recipe = find(name)
    assert recipe.name == name
    assert recipe.method in METHODS
    options = options_of(recipe)
    branches = [
        stage.name for stage in recipe.stages if stage.name not in ("unet", "pretrain", "distil", "refine", "gate")
    ]
    classifier = ["global", "local", "fusion"] if recipe.method == "ag_cnn" else ["classifier"]
    assert branches == ([] if name == "unet" else classifier)
    for stage in recipe.stages:
        augment_of(stage.augment, stage.name, options)
        for source in recipe.sources(stage):
            assert source.kind in KINDS or (source.kind == "phantoms" and set(PHANTOM_FOLDS))


@pytest.mark.parametrize("name", [name for name in names() if find(name).paper])
def test_the_mean_of_the_papers_figures_is_the_mean_that_it_reports(name: str) -> None:
    """A figure copied wrongly by more than a rounding shows here."""
    paper = find(name).paper
    assert paper is not None
    assert paper.mean is not None
    assert sum(paper.auroc.values()) / len(paper.auroc) == pytest.approx(paper.mean, abs=0.0012)


def test_all_methods_have_one_budget_on_nih() -> None:
    """Equal but for the loss, AG-CNN's three stages of ten epochs, and what makes the method."""
    theirs = ("backbone", "ten_crops")
    found = {name: find(f"{name}-nih") for name in SHIPPED}
    one = found["chexnet"]
    alone = find("unet")
    for name, recipe in found.items():
        assert recipe.data == one.data and recipe.stages[0] == one.stages[0]
        assert {k: v for k, v in recipe.options.items() if k not in theirs} == one.options
        stages = [stage for stage in recipe.stages if stage.name != "unet"]
        assert sum(stage.epochs for stage in stages) == one.stages[-1].epochs == 30
        for stage in stages:
            own = {"name": "classifier", "epochs": 30, "loss": one.stages[-1].loss}
            assert msgspec.structs.replace(stage, **own) == one.stages[-1], name
    assert alone.options == one.options
    assert msgspec.structs.replace(alone.stages[0], epochs=one.stages[0].epochs) == one.stages[0]


def test_every_method_has_a_proof_on_the_same_phantoms_with_nothing_switched_off() -> None:
    """`benchmarks/learning.py` runs them. All diseases occur, so the mean AUROC is over fourteen."""
    recipes = [find(f"{name}-phantoms") for name in SHIPPED]
    assert [recipe.method for recipe in recipes] == list(SHIPPED)
    for recipe in recipes:
        options = options_of(recipe)
        assert all(getattr(options, switch) for switch in options.switches())
        # Features of 3 x 3 cells, weighed by masks, hide a hernia: what is weighed sees 4 x 4.
        side = 128 if recipe.method == "cxr_irnet" else 96
        assert (recipe.data, options.field, options.mask) == (recipes[0].data, side, side // 2)
        assert all(not stage.data for stage in recipe.stages)
    drawn = recipes[0].data[0].options
    assert set(drawn["prevalence"]) == set(LABELS)
    assert drawn["test"] * min(drawn["prevalence"].values()) >= 40


def test_the_proof_trains_the_unet_where_its_masks_are_used() -> None:
    assert [stage.name for stage in find("cxr_irnet-phantoms").stages] == ["unet", "classifier"]


FIGURES = {
    "cxr_irnet-chestxray14": (0.8335, "adam", 0.001, 512, 50),
    "se_multimap-chestxray14": (0.8302, "adam", 0.0001, 16, None),
    "cral-chestxray14": (0.816, "sgd", 0.01, 64, 30),
    "mlrfnet-chestxray14": (0.853, "adam", 0.0001, 32, 20),
    "mlrfnet-chexpert-mixed": (0.904, "adam", 0.0001, 32, 20),
    "ag_cnn_densenet121-chestxray14": (0.871, "sgd", 0.01, 32, 50),
    "ag_cnn-chestxray14": (0.868, "sgd", 0.01, 64, 50),
}


@pytest.mark.parametrize("name", FIGURES)
def test_the_last_stage_is_the_papers(name: str) -> None:
    recipe, (mean, optimiser, rate, batch, epochs) = find(name), FIGURES[name]
    stage = recipe.stages[-1]
    assert recipe.paper is not None
    assert (recipe.paper.mean, stage.optimiser.name, stage.optimiser.rate, stage.batch) == (
        mean,
        optimiser,
        rate,
        batch,
    )
    assert epochs in (None, stage.epochs)


STAGE: dict[str, Any] = {"name": "classifier", "epochs": 1, "batch": 1, "optimiser": {"name": "adam", "rate": 1}}


def content(**changes: Any) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(toy_recipe())
    return {**told, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": "cxredge.recipe/2"}, "schema"),
        ({"learning_rate": 1}, "learning_rate"),
        ({"stages": []}, "needs a stage"),
        (
            {"stages": [{"name": "classifier", "epochs": 0, "batch": 1, "optimiser": {"name": "adam", "rate": 1}}]},
            ">= 1",
        ),
        (
            {"stages": [{"name": "classifier", "epochs": 1, "batch": 1, "optimiser": {"name": "adam", "rate": 0}}]},
            "> 0",
        ),
        ({"data": []}, "no data"),
        ({"paper": {"title": "x", "split": "official", "auroc": {"Masss": 0.5}}}, "Masss"),
    ],
)
def test_what_is_no_recipe_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse(content(**changes))


def test_a_missing_or_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("a = = 1", encoding="utf-8")
    for name in ("nosuch", str(tmp_path / "x.toml"), str(tmp_path / "y.toml")):
        with pytest.raises(RecipeError):
            find(name)


def test_overrides_are_told_and_change_the_digest() -> None:
    recipe: Recipe = toy_recipe()
    changed, said = adjusted(recipe, epochs=7, width=0.5, batch=4)
    assert said == (
        "width 0.5 in place of 1",
        "classifier: epochs 7 in place of 3",
        "classifier: batch 4 in place of 16",
    )
    assert changed.stages[0].epochs == 7
    assert digest(changed) != digest(recipe)
    same, nothing = adjusted(recipe, epochs=3)
    assert (digest(same), nothing) == (digest(recipe), ())
