"""The loop: it learns, keeps, stops, goes on after a kill, and says what went wrong."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from tests.support.toy_training import OPTIONS, ToySet, toy_folds, toy_recipe
from training.checkpoint import load, patient_tag, read
from training.errors import DivergedError, RecipeError
from training.evaluate.scores import mean_auroc
from training.fit.modules import make_stage
from training.fit.optimise import mixed
from training.fit.run import Fit, fit
from training.methods import build

ROOT = Path(__file__).resolve().parents[3]


UNET: dict[str, Any] = {
    "name": "unet",
    "epochs": 8,
    "batch": 8,
    "loss": {"name": "dice"},
    "watch": "dice",
    "optimiser": {"name": "adam", "rate": 0.03},
}


def quiet(_line: str) -> None:
    """Nobody reads along."""


def run_of(out: Path, recipe=None, folds=None, **more) -> Fit:
    return Fit(recipe or toy_recipe(), lambda _stage: folds or toy_folds(), out, accelerator="cpu", say=quiet, **more)


def test_learns_and_keeps_the_best_and_the_last(tmp_path: Path) -> None:
    outcome = fit(run_of(tmp_path, toy_recipe({"epochs": 6})))
    lines = outcome.history["classifier"]
    assert lines[-1]["train_loss"] < 0.7 * lines[0]["train_loss"]
    best = max(lines, key=lambda line: line["auroc"])
    model, facts = load(outcome.checkpoint)
    assert facts.scores["auroc"] == best["auroc"] > 0.9
    assert facts.epoch == best["epoch"]
    assert read(tmp_path / "classifier" / "last.pt")[0].epoch == 6
    assert not model.training
    taught, chosen = ({patient_tag(f"toy:{fold}-{index}") for index in range(5)} for fold in ("train", "val"))
    assert set(facts.trained_on) == taught | chosen and set(facts.chosen_on) == chosen
    assert json.loads((tmp_path / "classifier" / "history.json").read_text()) == lines


def test_the_unet_learns_what_is_drawn_and_the_classifier_leaves_it_alone(tmp_path: Path) -> None:
    outcome = fit(run_of(tmp_path, toy_recipe(UNET, {"epochs": 1})))
    drawn, classified = read(tmp_path / "unet" / "best.pt"), read(outcome.checkpoint)
    assert drawn[0].scores["dice_left_lung"] > 0.85
    assert drawn[0].scores["dice_heart"] is None  # nobody drew one: not measured, and not counted
    for name, value in drawn[1].items():
        if name.startswith("unet."):
            assert torch.equal(value, classified[1][name]), name
    assert [use.stage for use in classified[0].data] == ["any", "any"]


def test_what_is_kept_is_the_average_of_the_weights_where_a_recipe_asks_for_it(tmp_path: Path) -> None:
    steps: list[dict[str, torch.Tensor]] = []
    module = make_stage(build("toy", OPTIONS), toy_recipe({"average": 0.5}).stages[0], toy_folds())
    for value in (1.0, 2.0, 4.0):
        for weight in module.model.parameters():
            weight.data.fill_(value)
        module.on_train_batch_end()
        steps.append({name: tensor.clone() for name, tensor in module.judged.state_dict().items()})
    name = next(name for name, _ in module.model.named_parameters())
    # The first is taken whole; of the start, then, no more stays than (1 + steps) / (10 + steps): 2/11, and 3/12.
    second = 1 * 2 / 11 + 2 * 9 / 11
    for kept, wanted in zip(steps, (1.0, second, second * 3 / 12 + 4 * 9 / 12), strict=True):
        torch.testing.assert_close(kept[name], torch.full_like(kept[name], wanted))
    outcome = fit(run_of(tmp_path, toy_recipe(UNET, {"epochs": 6, "average": 0.9})))
    model, facts = load(outcome.checkpoint)
    assert facts.scores["auroc"] > 0.9
    frozen = read(tmp_path / "unet" / "best.pt")[1]
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in frozen.items() if key.startswith("unet."))
    folds = toy_folds()
    images = torch.stack([folds.validation[index]["image"] for index in range(len(folds.validation))])
    with torch.no_grad():
        scored = mean_auroc(folds.validation.truth(), model.training_logits(images).double().numpy())
    assert scored == pytest.approx(facts.scores["auroc"], abs=1e-9)  # the kept weights are those that were scored


def test_mixed_images_have_mixed_labels_and_only_those_that_both_tell() -> None:
    view, targets = torch.arange(6.0).reshape(6, 1, 1, 1), torch.eye(6)
    known = torch.ones(6, 6, dtype=torch.bool)
    known[2] = False
    image, label, told = mixed(view, targets, known, 0.4, step=7)
    assert torch.allclose(label.sum(1), torch.ones(6))
    assert torch.allclose(image.flatten(), label @ view.flatten())  # the same pair, in the same shares
    assert [bool(row.all()) for row in told] == [bool(label[index, 2] == 0) and index != 2 for index in range(6)]
    assert all(
        torch.equal(a, b) for a, b in zip((image, label, told), mixed(view, targets, known, 0.4, 7), strict=True)
    )
    assert not torch.equal(image, mixed(view, targets, known, 0.4, step=8)[0])


def test_mixup_learns_and_needs_cross_entropy(tmp_path: Path) -> None:
    lines = fit(run_of(tmp_path / "mixed", toy_recipe({"epochs": 6, "mixup": 0.4}))).history["classifier"]
    assert lines[-1]["auroc"] > 0.9
    with pytest.raises(RecipeError, match="mixup needs the loss bce"):
        fit(run_of(tmp_path / "focal", toy_recipe({"mixup": 0.4, "loss": {"name": "focal"}})))


def test_unknown_labels_reach_neither_loss_nor_score(tmp_path: Path) -> None:
    known = ToySet(64, 1, unlabelled=0.5)
    lied = ToySet(64, 1, unlabelled=0.5)
    lied.drawn[~lied.known] = 1 - lied.drawn[~lied.known]
    for index in range(len(lied)):  # the same pictures, other words where nothing is known
        lied.noise[index] += known[index]["image"][0].numpy() - lied[index]["image"][0].numpy()
    losses = [
        fit(run_of(tmp_path / name, toy_recipe({"epochs": 1}), toy_folds(data, data))).history["classifier"][0]
        for name, data in (("known", known), ("lied", lied))
    ]
    assert losses[0]["train_loss"] == pytest.approx(losses[1]["train_loss"], rel=1e-4)
    assert losses[0]["auroc"] == pytest.approx(losses[1]["auroc"], abs=2e-3)


def test_stops_early_at_the_stated_patience(tmp_path: Path) -> None:
    # Nothing can be learnt from noise labels at a rate this small, so the first epochs stay the best.
    stuck = toy_recipe({"epochs": 30, "stop_after": 2, "optimiser": {"name": "sgd", "rate": 1e-12}})
    lines = fit(run_of(tmp_path, stuck)).history["classifier"]
    assert len(lines) == 3


def test_a_loss_that_is_no_number_stops_by_name_and_keeps_the_last_good_weights(tmp_path: Path) -> None:
    folds = toy_folds()

    class Later(ToySet):
        def __getitem__(self, index: int) -> dict[str, Any]:
            self.poison = frozenset(range(96)) if self.epoch == 2 else frozenset()
            return super().__getitem__(index)

    folds = toy_folds(Later(96, 1))
    with pytest.raises(DivergedError, match=r"epoch 3, step 1: the loss is nan.*toy-1\.png \(row \d+\)"):
        fit(run_of(tmp_path, toy_recipe({"epochs": 5}), folds))
    facts, state = read(tmp_path / "classifier" / "last.pt")
    assert facts.epoch == 2
    assert all(value.isfinite().all() for value in state.values())


def test_an_existing_run_is_not_overwritten_and_another_recipe_does_not_go_on_with_it(tmp_path: Path) -> None:
    fit(run_of(tmp_path, toy_recipe({"epochs": 1})))
    with pytest.raises(RecipeError, match="holds a run of toy"):
        fit(run_of(tmp_path, toy_recipe({"epochs": 1})))
    with pytest.raises(RecipeError, match="trains otherwise"):
        fit(run_of(tmp_path, toy_recipe({"epochs": 2}), resume=True))


def test_a_fold_without_both_classes_is_refused_before_an_epoch_is_spent(tmp_path: Path) -> None:
    same = ToySet(20, 2)
    same.drawn[:] = 0
    with pytest.raises(RecipeError, match="no disease has both a positive and a negative among the 20"):
        fit(run_of(tmp_path, folds=toy_folds(validation=same)))


def test_mixed_precision_learns_too(tmp_path: Path) -> None:
    lines = fit(run_of(tmp_path, toy_recipe({"epochs": 4}), precision="bf16-mixed")).history["classifier"]
    assert lines[-1]["auroc"] > 0.9


SCRIPT = """
import json, sys, time
from pathlib import Path
from typing import Any
from tests.support.toy_training import ToySet, install, toy_folds, toy_recipe
from training.fit.run import Fit, fit

install()

class Slow(ToySet):
    def __getitem__(self, index):
        time.sleep(float(sys.argv[2]))
        return super().__getitem__(index)

recipe = toy_recipe({"epochs": int(sys.argv[3]), "batch": 16,
    "schedule": {"name": "one_cycle"}, "watch": "loss", "stop_after": 20, **json.loads(sys.argv[4])})
for out in sys.argv[1].split(":"):
    fit(Fit(recipe, lambda stage: toy_folds(Slow(96, 1)), Path(out), accelerator="cpu",
        resume=Path(out).exists(), say=lambda line: print(line, flush=True)))
"""


def start(
    *outs: Path, wait: str = "0", epochs: str = "3", prefix: tuple[str, ...] = (), **stage: Any
) -> subprocess.Popen[str]:
    """A process that trains into each folder in turn; it goes on with what is there."""
    script = outs[0].parent / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *prefix, str(script), ":".join(map(str, outs)), wait, epochs, json.dumps(stage)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=100)
    assert process.returncode == 0, text
    return text


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_a_killed_run_goes_on_and_ends_where_an_uninterrupted_one_ends(tmp_path: Path) -> None:
    drawn_or_summed = {"mixup": 0.4, "average": 0.95}
    process = start(tmp_path / "killed", wait="0.004", epochs="5", **drawn_or_summed)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("classifier 2/5"):
            break
    time.sleep(0.15)  # in the middle of the third epoch
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)
    done = read(tmp_path / "killed" / "classifier" / "last.pt")[0].epoch
    assert done < 5
    # One process for both, so that the number of threads, which may change the last bit of a sum, is the same.
    text = finish(start(tmp_path / "killed", tmp_path / "whole", epochs="5", **drawn_or_summed))
    text = text.partition("classifier 1/5")[0]
    # At most one epoch is lost: the first line of the second run is the epoch after the last that was kept.
    assert f"classifier {done + 1}/5" in text
    assert f"classifier {done}/5" not in text
    ends = [read(tmp_path / name / "classifier" / "last.pt")[1] for name in ("killed", "whole")]
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name
    histories = [
        [line["train_loss"] for line in json.loads((tmp_path / name / "classifier" / "history.json").read_text())]
        for name in ("killed", "whole")
    ]
    assert histories[0] == histories[1]


def test_two_processes_train_as_one_with_the_same_total_batch(tmp_path: Path) -> None:
    """Through torchrun and gloo. The toy has no batch norm, whose statistics would be each process's own."""
    alone = toy_recipe({"epochs": 3, "schedule": {"name": "one_cycle"}, "watch": "loss", "stop_after": 20})
    fit(run_of(tmp_path / "alone", alone))
    prefix = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    finish(start(tmp_path / "together", prefix=prefix))
    one, two = (
        json.loads((tmp_path / name / "classifier" / "history.json").read_text()) for name in ("alone", "together")
    )
    for a, b in zip(one, two, strict=True):
        assert math.isclose(a["train_loss"], b["train_loss"], rel_tol=1e-5)
        assert math.isclose(a["loss"], b["loss"], rel_tol=1e-5)
        assert math.isclose(a["auroc"], b["auroc"], abs_tol=1e-4)
    states = [read(tmp_path / name / "classifier" / "last.pt")[1] for name in ("alone", "together")]
    for name, value in states[0].items():
        assert torch.allclose(value.float(), states[1][name].float(), atol=1e-4), name


def test_a_run_may_start_from_another_ones_weights(tmp_path: Path) -> None:
    """What is behind them is not run again, and stays known."""
    stages = ({"name": "pretrain", "epochs": 4}, {"epochs": 1, "optimiser": {"name": "sgd", "rate": 1e-12}})
    use = toy_folds().use[0]

    def folds(stage: Any) -> Any:
        other = frozenset({patient_tag(f"toy:{stage.name}")})
        named = replace(toy_folds(), use=(msgspec.structs.replace(use, stage=stage.name),))
        return replace(named, tags=named.tags | other, taught=named.taught | other)

    first = Fit(toy_recipe(stages[0]), folds, tmp_path / "first", accelerator="cpu", say=quiet)
    start = fit(first).checkpoint
    run = Fit(toy_recipe(*stages, seed=7), folds, tmp_path / "next", accelerator="cpu", say=quiet, start=start)
    outcome = fit(run)
    assert list(outcome.history) == ["classifier"]
    facts, state = read(outcome.checkpoint)
    before, weights = read(start)
    torch.testing.assert_close(state, weights)
    assert [use.stage for use in facts.data] == ["pretrain", "classifier"]
    assert {patient_tag("toy:pretrain"), patient_tag("toy:classifier")} <= set(facts.trained_on)
    assert facts.departures == ("pretrain of a run of toy with seed 0",)
    assert before.departures == ()


def test_weights_of_another_network_or_with_nothing_left_to_learn_are_no_start(tmp_path: Path) -> None:
    start = fit(run_of(tmp_path / "first", toy_recipe({"epochs": 1}))).checkpoint
    other = toy_recipe({"epochs": 1}, options={**OPTIONS, "unet_width": 8})
    with pytest.raises(RecipeError, match="another network"):
        fit(run_of(tmp_path / "other", other, start=start))
    with pytest.raises(RecipeError, match="leave --unet and --weights out"):
        fit(run_of(tmp_path / "both", start=start, unet=start))
