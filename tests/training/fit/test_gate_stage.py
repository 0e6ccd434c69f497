"""The gate's stage: the head alone learns, unknown answers cost nothing, a killed run goes on, a U-Net is borrowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tests.support.toy_training import OPTIONS, ToySet, toy_folds, toy_recipe
from training.checkpoint import load, read
from training.errors import RecipeError
from training.fit.folds import Folds
from training.fit.gate import score_answers
from training.fit.run import Fit, Outcome, fit
from training.fit.sources import Places, _gated
from training.gating.samples import GateSamples
from training.recipes import Recipe, Stage

UNET = {
    "name": "unet",
    "epochs": 1,
    "batch": 16,
    "loss": {"name": "dice"},
    "watch": "dice",
    "optimiser": {"name": "adam", "rate": 0.01},
}
GATE = {"name": "gate", "epochs": 3, "batch": 16, "optimiser": {"name": "adam", "rate": 0.01}}


def recipe_of(*stages: dict[str, Any], **changes: Any) -> Recipe:
    return toy_recipe(*stages, options={**OPTIONS, "gate": True}, **changes)


def run(out: Path, recipe: Recipe, train: ToySet | None = None, **more: Any) -> Outcome:
    """The gate's folds are the toy's chests in all poses, and drawn pictures."""
    places = Places(None, {}, out.parent / "cache", say=lambda _: None)

    def folds(stage: Stage) -> Folds:
        made = toy_folds(train)
        return _gated(made, places, seed=0) if stage.name == "gate" else made

    return fit(Fit(recipe, folds, out, accelerator="cpu", say=lambda _: None, **more))


def test_the_head_alone_learns(tmp_path: Path) -> None:
    """Unet, then gate, then classifier: each leaves what the others made as it was, running statistics included."""
    outcome = run(tmp_path / "a", recipe_of(UNET, {**GATE, "epochs": 8}, {"epochs": 1}))
    unet, gate, last = (read(tmp_path / "a" / name / "best.pt")[1] for name in ("unet", "gate", "classifier"))
    for name, value in gate.items():
        assert torch.equal(value, unet[name]) == (not name.startswith("gate.")), name
    assert all(torch.equal(value, last[name]) for name, value in gate.items() if name.startswith(("gate.", "unet.")))
    lines = outcome.history["gate"]
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]
    best = max(lines, key=lambda line: line["auroc"])
    assert best["auc_inverted"] > 0.8, "polarity is easy"
    told = [best[f"auc_{name}"] for name in ("not_chest", "inverted", "turned")]
    assert best["auroc"] == pytest.approx(np.mean(told))
    model, facts = load(outcome.checkpoint)
    assert model.gate is not None and facts.stage == "classifier"


def test_scores_are_over_the_known_answers() -> None:
    rng = torch.Generator().manual_seed(0)
    logits, wanted = torch.randn(80, 3, generator=rng), (torch.rand(80, 3, generator=rng) < 0.5).float()
    known = torch.rand(80, 3, generator=rng) < 0.6
    found = score_answers(logits, wanted, known)
    for column, name in enumerate(("not_chest", "inverted", "turned")):
        here = known[:, column]
        assert found[f"auc_{name}"] == pytest.approx(roc_auc_score(wanted[here, column], logits[here, column]))
    known[:, 2] = False
    assert score_answers(logits, wanted, known)["auc_turned"] is None
    assert score_answers(logits, wanted, known)["auroc"] is None, "a mean of two would choose epochs by two"


def test_unknown_answers_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pictures with lies where nothing is known train the same weights."""
    first = run(tmp_path / "plain", recipe_of(UNET, GATE))
    plain = GateSamples.__getitem__

    def lying(self: GateSamples, index: int) -> dict[str, Any]:
        item = plain(self, index)
        return {**item, "gate": torch.where(item["gate_known"], item["gate"], 1 - item["gate"])}

    monkeypatch.setattr(GateSamples, "__getitem__", lying)
    second = run(tmp_path / "lied", recipe_of(UNET, GATE))
    one, other = (read(outcome.checkpoint)[1] for outcome in (first, second))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


class Failing(ToySet):
    """Chests that cannot be read any more in the second epoch of a stage, as after a lost disk."""

    broken, reads, most = True, 0, 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        Failing.reads += 1
        if Failing.broken and Failing.reads > Failing.most:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def test_an_interrupted_stage_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    recipe = recipe_of(UNET, GATE)
    whole = run(tmp_path / "whole", recipe)
    Failing.broken, Failing.reads, Failing.most = True, 0, 600
    with pytest.raises(OSError, match="disk is gone"):
        run(tmp_path / "cut", recipe, Failing(96, 1))
    done = read(tmp_path / "cut" / "gate" / "last.pt")[0].epoch
    assert 0 < done < 3
    Failing.broken = False
    again = run(tmp_path / "cut", recipe, Failing(96, 1), resume=True)
    one, other = (read(outcome.checkpoint)[1] for outcome in (whole, again))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_borrowed_unet_brings_its_gate_where_it_has_one(tmp_path: Path) -> None:
    gated = run(tmp_path / "gated", recipe_of(UNET, GATE))
    outcome = run(tmp_path / "both", recipe_of(UNET, GATE, {"epochs": 1}), unet=gated.checkpoint)
    assert list(outcome.history) == ["classifier"]
    one, (facts, other) = read(gated.checkpoint)[1], read(outcome.checkpoint)
    assert all(torch.equal(value, other[name]) for name, value in one.items() if name.startswith(("unet.", "gate.")))
    assert facts.departures[-1] == "the U-Net and the gate of a run of toy"
    half = tmp_path / "gated" / "unet" / "best.pt"  # its gate is there, but has not had its turn
    assert list(run(tmp_path / "half", recipe_of(UNET, GATE), unet=half).history) == ["gate"]
    with pytest.raises(RecipeError, match="has all that toy would train"):
        run(tmp_path / "nothing", recipe_of(UNET, GATE), unet=gated.checkpoint)


def test_a_gate_is_trained_on_a_borrowed_unet_that_has_none(tmp_path: Path) -> None:
    plain = fit(Fit(toy_recipe(UNET), lambda _: toy_folds(), tmp_path / "unet", accelerator="cpu", say=lambda _: None))
    outcome = run(tmp_path / "new", recipe_of(UNET, GATE, {"epochs": 1}), unet=plain.checkpoint)
    assert list(outcome.history) == ["gate", "classifier"]
    one, other = read(plain.checkpoint)[1], read(outcome.checkpoint)[1]
    assert all(torch.equal(value, other[name]) for name, value in one.items() if name.startswith("unet."))


def test_the_checkpoint_names_the_drawn_pictures(tmp_path: Path) -> None:
    made = _gated(toy_folds(), Places(None, {}, tmp_path, say=lambda _: None), seed=0)
    assert [use.name for use in made.use] == ["toy", "drawn pictures"]
    assert (made.use[1].stage, made.use[1].train, made.use[1].shippable) == ("gate", 134, True)


@pytest.mark.parametrize(
    ("options", "stages", "said"),
    [
        ({"gate": True}, [UNET, {"name": "classifier"}], "go together"),
        ({}, [UNET, GATE], "go together"),
        ({"gate": True}, [GATE, UNET], "needs a stage 'unet' before it"),
        ({"gate": True}, [UNET, {**GATE, "augment": {"flip": 0.5}}], "leave `augment` and `loss` out"),
        ({"gate": True}, [UNET, {**GATE, "loss": {"name": "focal"}}], "leave `augment` and `loss` out"),
        ({"gate": True}, [UNET, {**GATE, "watch": "dice"}], "cannot watch 'dice'"),
    ],
)
def test_a_recipe_that_makes_no_gate_is_refused(
    options: dict[str, Any], stages: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        toy_recipe(*stages, options={**OPTIONS, **options})


def test_evaluate_scores_on_the_classifiers_data_where_the_gate_comes_last() -> None:
    recipe = recipe_of(UNET, {"epochs": 1}, {**GATE, "data": [{"kind": "nih"}]})
    assert recipe.judged.name == "classifier"
