"""Distillation: a student takes over what its teachers know, says who they were, and keeps to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cxredge.errors import UsageError
from tests.support.toy_training import OPTIONS, ToySet, toy_folds, toy_recipe
from training.checkpoint import patient_tag, read
from training.errors import RecipeError
from training.fit.folds import Folds
from training.fit.run import Fit, fit
from training.fit.teachers import opinions
from training.methods import build

IDLE: dict[str, Any] = {"epochs": 1, "optimiser": {"name": "sgd", "rate": 1e-12}}
"""A stage that leaves the network as it was drawn."""


def train(out: Path, *stages: dict[str, Any], folds: Folds | None = None, **more: Any) -> Path:
    """A run over toys; gives its checkpoint."""
    run = Fit(toy_recipe(*stages), lambda _: folds or toy_folds(), out, accelerator="cpu", say=lambda _: None, **more)
    return fit(run).checkpoint


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, toy: None) -> Path:
    return train(tmp_path_factory.mktemp("teacher"), {"epochs": 8})


def test_a_student_learns_from_its_teacher_what_its_labels_would_not_tell(teacher: Path, tmp_path: Path) -> None:
    right = ToySet(96, 1).drawn

    class Lying(ToySet):
        def __getitem__(self, index: int) -> dict[str, Any]:
            return {**super().__getitem__(index), "labels": torch.from_numpy(1 - right[index])}

    scores = {}
    for soft in (0.3, 1.0):
        stages = (IDLE, {"name": "distil", "epochs": 12, "soft": soft})
        facts, _ = read(train(tmp_path / str(soft), *stages, folds=toy_folds(Lying(96, 1)), teachers=(teacher,) * 3))
        scores[soft] = facts.scores["auroc"]
    assert scores[1.0] > 0.85  # the labels, all wrong, had no say
    assert scores[0.3] < 0.5  # here they had most of it


def test_the_checkpoint_says_who_taught_and_whom_they_learned_from(teacher: Path, tmp_path: Path) -> None:
    stages = ({"epochs": 1}, {"name": "distil", "epochs": 1, "soft": 0.5})
    other = frozenset({patient_tag("toy:other")})
    folds = replace(toy_folds(), tags=other, taught=other)
    facts, _ = read(train(tmp_path / "taught", *stages, folds=folds, teachers=(teacher, teacher)))
    assert [use.stage for use in facts.data] == ["any", "teacher", "any"]  # a set that taught two is listed once
    assert set(facts.trained_on) == {*other, *read(teacher)[0].trained_on}
    assert patient_tag("toy:train-1") not in facts.chosen_on and patient_tag("toy:val-1") in facts.chosen_on
    assert not facts.departures
    alone, _ = read(train(tmp_path / "alone", *stages))
    assert alone.departures == ("no teacher but itself (--teacher)",)


def test_an_opinion_is_the_mean_of_all_networks_over_image_and_mirror_image() -> None:
    data = ToySet(10, 3)
    networks = [build("toy", OPTIONS).train(), build("toy", OPTIONS).eval()]
    told = opinions(networks, data, batch=4)
    image = torch.stack([data[index]["image"] for index in range(10)])
    with torch.no_grad():
        each = [network.training_logits(x).sigmoid() for network in networks for x in (image, image.flip(3))]
    assert torch.allclose(told, torch.stack(each).mean(0), atol=1e-6)
    assert [network.training for network in networks] == [True, False]


def test_teachers_that_cannot_teach_are_refused(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no stage 'distil'"):
        train(tmp_path / "none", {}, teachers=(teacher,))
    stages = ({"epochs": 1}, {"name": "distil", "epochs": 1, "soft": 0.5})
    train(tmp_path / "other", *stages)
    with pytest.raises(RecipeError, match="other teachers"):
        train(tmp_path / "other", *stages, teachers=(teacher,), resume=True)
    larger = {**OPTIONS, "field": 64, "crop": 32}
    recipe = toy_recipe(*stages, options=larger)
    with pytest.raises(UsageError, match="sees 32 pixels a side, its student 64"):
        fit(Fit(recipe, lambda _: toy_folds(), tmp_path / "size", accelerator="cpu", say=print, teachers=(teacher,)))


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"soft": 0.5}, "it alone"),
        ({"name": "distil"}, "it alone"),
        ({"name": "distil", "soft": 0.5, "loss": {"name": "focal"}}, "loss bce"),
    ],
)
def test_a_recipe_that_cannot_distil_is_refused(stage: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        toy_recipe(stage)
