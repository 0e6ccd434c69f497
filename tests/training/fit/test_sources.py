"""Recipes' data sets as samples, and the two commands from end to end on phantoms that the test draws."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from cxredge.errors import UsageError
from training.checkpoint import load, patient_tag, read
from training.data import PhantomDataset
from training.errors import LeakError
from training.evaluate.cli import evaluate
from training.evaluate.predict import examine
from training.fit.cli import fit
from training.fit.drawn import draw_one
from training.fit.run import Fit, options_of
from training.fit.run import fit as run_fit
from training.fit.sources import Places, _placed, augment_of, folds_of, open_source_of
from training.methods.base import Options
from training.phantoms import generate
from training.recipes import Augment, Optimiser, Source, Stage, parse

SMALL = Options(field=64, crop=64, mask=32, unet_width=4, unet_depth=2, channels=1)
PHANTOMS = Source(kind="phantoms", options={"train": 6, "validation": 4, "test": 4, "seed": 5})
STAGE = Stage(name="classifier", epochs=1, batch=2, optimiser=Optimiser(name="adam", rate=0.1))


def places(tmp_path: Path, said: list[str] | None = None) -> Places:
    return Places(None, {}, tmp_path / "cache", workers=0, say=(said if said is not None else []).append)


def test_phantoms_are_drawn_once_and_are_those_of_their_seeds(tmp_path: Path) -> None:
    said: list[str] = []
    opened = open_source_of(PHANTOMS, places(tmp_path, said), SMALL)
    kept = opened.samples("train")
    drawings = len(said)
    fresh = PhantomDataset(6, size=64, masks_size=(32, 32), first_seed=5_000_000)
    for index in range(6):
        one, other = kept[index], fresh[index]
        assert torch.allclose(one["image"], other["image"], atol=1e-5)
        assert torch.equal(one["labels"], other["labels"])
        assert torch.allclose(one["masks"], other["masks"], atol=0.26)  # shares of a cell, cut to 1/255
        assert one["masks"].shape == (3, 32, 32)
        assert bool(one["masks_known"].all())
    assert kept.describe(2) == "phantom of seed 5000002"
    np.testing.assert_array_equal(kept.truth(), np.stack([kept[index]["labels"].numpy() for index in range(6)]))
    opened.samples("train")
    assert len(said) == drawings  # nothing is drawn again


def test_only_the_outlines_that_a_recipe_names_are_learned_from(tmp_path: Path) -> None:
    hearts = Source(kind="phantoms", options={**PHANTOMS.options, "outlines": ["heart"]})
    item = open_source_of(hearts, places(tmp_path), SMALL).samples("train")[0]
    assert item["masks_known"].tolist() == [False, False, True]
    whole = open_source_of(PHANTOMS, places(tmp_path), SMALL).samples("train")[0]  # drawn once for both
    assert torch.equal(whole["masks"], item["masks"])
    for wrong in ([], ["liver"], "heart"):
        with pytest.raises(UsageError, match="outlines of phantoms"):
            bad = Source(kind="phantoms", options={**PHANTOMS.options, "outlines": wrong})
            open_source_of(bad, places(tmp_path), SMALL)


def test_folds_of_phantoms_share_no_seed_and_boxes_lie_in_the_field(tmp_path: Path) -> None:
    opened = open_source_of(PHANTOMS, places(tmp_path), SMALL)
    folds = [set(opened.patients(fold)) for fold in ("train", "val", "test")]
    assert [len(fold) for fold in folds] == [6, 4, 4]
    assert not (folds[0] & folds[1] or folds[0] & folds[2] or folds[1] & folds[2])
    made = folds_of(STAGE, (PHANTOMS,), places(tmp_path), SMALL, seed=0)
    assert made.tags == {patient_tag(name) for name in folds[0] | folds[1]}
    for boxes in opened.boxes("train"):
        for box in boxes:
            assert 0 <= box.left < box.right <= 1
            assert 0 <= box.top < box.bottom <= 1


def test_guessed_hearts_are_learned_from_and_never_scored_on(tmp_path: Path) -> None:
    """Phantoms in Montgomery's layout: the guess is near the heart that was drawn, and only training sees it."""
    drawn, folder = {}, tmp_path / "CXR_png"
    for name in ("CXR_png", "ManualMask/leftMask", "ManualMask/rightMask"):
        (tmp_path / name).mkdir(parents=True)
    for seed in range(10):
        found, name = generate(seed, size=128, findings={}, devices=False), f"MCUCXR_{seed:04d}_0.png"
        Image.fromarray(np.uint8(found.image * 255)).save(folder / name)
        for side, mask in zip(("left", "right"), found.masks, strict=False):
            Image.fromarray(np.uint8(mask * 255)).save(tmp_path / "ManualMask" / f"{side}Mask" / name)
        drawn[name] = found.masks[2]
    source = Source(kind="montgomery", split="random", options={"hearts": "guessed"})
    opened = open_source_of(
        source, Places(None, {"montgomery": tmp_path}, tmp_path / "cache", say=lambda _: None), SMALL
    )
    train, test = opened.samples("train"), opened.samples("test")
    assert len(train) and len(test)
    for index in range(len(train)):
        item = train[index]
        truth = drawn[train.describe(index).split("/")[-1]].reshape(32, 4, 32, 4).mean((1, 3)) > 0.5
        guess = item["masks"][2].numpy() > 0.5
        assert item["masks_known"].tolist() == [True, True, True]
        assert 2 * (guess & truth).sum() / (guess.sum() + truth.sum()) > 0.8
        assert (item["masks"].sum(0) < 1.02).all()  # it ends where the lungs begin
    assert test[0]["masks_known"].tolist() == [True, True, False]


def test_severity_is_raised_where_a_recipe_asks() -> None:
    free, severe = (
        [draw_one(seed, size=64, options={"devices": False, "least_severity": least}).parameters for seed in range(12)]
        for least in (1e-9, 0.8)
    )
    assert min(value for told in free for value in told["findings"].values()) < 0.8
    for one, other in zip(free, severe, strict=True):
        assert other["findings"] == {label: max(0.8, value) for label, value in one["findings"].items()}


def test_a_cache_of_another_device_is_another_cache(tmp_path: Path) -> None:
    """Its pictures may differ in their last bit; labels and masks may not."""
    here = open_source_of(PHANTOMS, places(tmp_path), SMALL).samples("train")
    said: list[str] = []
    there = open_source_of(PHANTOMS, replace(places(tmp_path, said), draw_on="cpu"), SMALL).samples("train")
    assert said == ["drawing 6 phantoms of 64 x 64, pictures on cpu"]
    for one, other in zip(here, there, strict=True):
        assert one["image"].numpy() == pytest.approx(other["image"].numpy(), abs=2e-3)
        assert one["masks"].equal(other["masks"])
        assert one["labels"].equal(other["labels"])


def test_augmentation_leaves_whole_fields_to_the_unet_and_views_to_classifiers() -> None:
    options = Options(field=64, crop=48, mask=32, unet_depth=2)
    assert augment_of(Augment(), "classifier", options) is None
    moved = augment_of(Augment(crop="resized", flip=0.5), "classifier", options)
    assert moved is not None
    assert (moved.size, moved.scale) == ((48, 48), (0.08, 1.0))
    plain = augment_of(Augment(crop="random"), "global", options)
    assert plain is not None
    assert (plain.size, plain.scale) == ((48, 48), None)
    whole = augment_of(Augment(crop="resized", rotation=5), "unet", options)
    assert whole is not None
    assert whole.size is None
    centred = augment_of(Augment(flip=0.5), "classifier", options)
    assert centred is not None
    assert centred.size is None  # the method crops it, as it crops every image


def test_a_box_of_a_padded_image_moves_with_it() -> None:
    from training.data import Box

    # An image twice as wide as high fills the middle half of the field's height.
    box = _placed(Box("Mass", 0.5, 0.0, 1.0, 0.5), (0.0, 0.0, 1.0, 1.0), (0.0, 0.25, 1.0, 0.75))
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((0.5, 0.25, 1.0, 0.5))


RECIPE = """
schema = "cxredge.recipe/1"
name = "tiny"
summary = "tiny"
method = "{method}"
data = [{{ kind = "phantoms", options = {{ train = 48, validation = 40, test = 40, seed = 2 }} }}]
[[stages]]
name = "unet"
epochs = 1
batch = 8
optimiser = {{ name = "adam", rate = 1e-2 }}
loss = {{ name = "dice" }}
watch = "dice"
augment = {{ rotation = 5.0 }}
[options]
width = 0.1
blocks = [1, 1, 1, 1]
channels = 1
field = 64
crop = 64
mask = 32
unet_width = 20
unet_depth = 2
"""

BRANCH = """
[[stages]]
name = "{name}"
epochs = 1
batch = 8
optimiser = {{ name = "sgd", rate = 1e-2, momentum = 0.9 }}
augment = {{ crop = "resized", flip = 0.5 }}
"""


@pytest.mark.parametrize("method", ["cxr_irnet", "ag_cnn"])
def test_both_commands_from_end_to_end(method: str, tmp_path: Path) -> None:
    names = ("global", "local", "fusion") if method == "ag_cnn" else ("classifier",)
    text = RECIPE.format(method=method) + "".join(BRANCH.format(name=name) for name in names)
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    shared = ["--cache", str(tmp_path / "cache")]
    words = [str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "run"), "--accelerator", "cpu", "--quiet"]
    ran = CliRunner().invoke(fit, [*words, *shared], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    facts, _ = read(tmp_path / "run" / "best.pt")
    assert [use.stage for use in facts.data] == ["unet", *names]
    assert len(facts.trained_on) == 88
    if method == "ag_cnn":
        one, two = (read(tmp_path / "run" / name / "best.pt")[1] for name in ("global", "fusion"))
        for name, value in one.items():
            if name.startswith("global_"):
                assert torch.equal(value, two[name]), name  # frozen, running statistics too
    words = [str(tmp_path / "run" / "best.pt"), "--resamples", "20", "--json"]
    ran = CliRunner().invoke(evaluate, [*words, *shared], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    report = json.loads((tmp_path / "run" / "evaluation" / "report.json").read_text(encoding="utf-8"))
    assert report["data"]["images"] == 40
    assert report["masks"]["structures"]["heart"]["dice"]["value"] > 0
    assert sum(entry["boxes"] for entry in report["boxes"]["diseases"].values()) > 10
    with pytest.raises(LeakError):
        CliRunner().invoke(evaluate, [str(_leaking(tmp_path)), "--resamples", "20", *shared], catch_exceptions=False)


def _leaking(tmp_path: Path) -> Path:
    """The same weights, chosen on a patient of the test fold."""
    import msgspec

    from training.checkpoint import save

    facts, state = read(tmp_path / "run" / "best.pt")
    tags = (*facts.trained_on, patient_tag("phantom:2700003"))
    return save(tmp_path / "leak.pt", state, msgspec.structs.replace(facts, trained_on=tuple(sorted(tags))))


@pytest.mark.shared
def test_the_nih_folder_opens_with_folds_apart_and_boxes_on_the_field(shared_data: Path, tmp_path: Path) -> None:
    source = Source(kind="nih", folder="nih")
    opened = open_source_of(source, Places(shared_data, {}, tmp_path / "cache", say=lambda _: None), SMALL)
    folds = {fold: {patient_tag(name) for name in opened.patients(fold)} for fold in ("train", "val", "test")}
    assert [len(opened.samples(fold)) for fold in folds] == [784, 210, 214]
    assert not (folds["train"] | folds["val"]) & folds["test"]
    boxes = [box for found in opened.boxes("test") for box in found]
    assert boxes
    assert all(0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1 for box in boxes)
    assert "(row " in opened.samples("test").describe(0)


def test_what_comes_several_times_is_augmented_anew_and_what_only_teaches_judges_nothing(tmp_path: Path) -> None:
    often = Source(kind="phantoms", options={**PHANTOMS.options, "test": 0}, times=3)
    beside = Source(kind="phantoms", options={"train": 5, "seed": 9}, validates=False)
    stage = Stage(
        name="classifier",
        epochs=1,
        batch=2,
        optimiser=Optimiser(name="adam", rate=0.1),
        augment=Augment(crop="resized", flip=0.5),
        evidence=1.0,
    )
    made = folds_of(stage, (often, beside), places(tmp_path), SMALL, seed=0)
    assert (len(made.train), len(made.validation)) == (3 * 6 + 5, 4)
    assert [(use.train, use.validation) for use in made.use] == [(6, 4), (5, 0)]
    first, again, third = (made.train[place] for place in (1, 7, 13))
    assert first["labels"].equal(again["labels"])
    assert not first["image"].allclose(again["image"], atol=0.02)
    assert not again["image"].allclose(third["image"], atol=0.02)
    assert [item["index"] for item in (first, again, third)] == [1, 7, 13]
    assert first["evidence"].shape == (14, 16, 16)
    assert "evidence" not in made.validation[0]
    told = [bool(made.train[place]["evidence"].amax((1, 2)).gt(0).any()) for place in range(len(made.train))]
    assert any(told)
    with pytest.raises(UsageError, match="0 validation images"):
        folds_of(STAGE, (replace_source(beside, validates=True),), places(tmp_path), SMALL, seed=0)


def replace_source(source: Source, **changes: object) -> Source:
    return msgspec.structs.replace(source, **changes)


def test_a_network_learns_from_boxes_to_point_at_them(tmp_path: Path) -> None:
    """The same network, pictures and steps, with and without what the maps owe the boxes."""
    content = {
        "schema": "cxredge.recipe/1",
        "name": "pointing",
        "summary": "Points",
        "method": "cxr_irnet",
        "options": {
            "field": 64, "crop": 64, "mask": 32, "unet_width": 4, "unet_depth": 2, "channels": 1, "width": 0.25,
            "backbone": "plain", "stride": 16, "feature_weighting": False,
        },
        "stages": [{
            "name": "classifier", "epochs": 6, "batch": 16, "optimiser": {"name": "adam", "rate": 0.004},
            "data": [{"kind": "phantoms", "options": {"train": 160, "validation": 8, "seed": 4}}],
        }],
    }  # fmt: skip
    met = {}
    for weight in (0.0, 1.0):
        content["stages"][0]["evidence"] = weight  # type: ignore[index]
        recipe, here = parse(content), places(tmp_path)
        made = run_fit(
            Fit(
                recipe,
                lambda stage, recipe=recipe, here=here: folds_of(
                    stage, recipe.sources(stage), here, options_of(recipe), recipe.seed
                ),
                tmp_path / f"run-{weight}",
                accelerator="cpu",
                say=lambda _: None,
            )
        )
        network, _ = load(made.checkpoint)
        drawn = open_source_of(Source(kind="phantoms", options={"train": 160, "seed": 4}), here, options_of(recipe))
        found = examine(network, drawn.samples("train"), drawn.boxes("train"))
        met[weight] = float(np.mean([box.iou for box in found.boxes]))
    assert met[1.0] > 1.4 * met[0.0]


def test_phantoms_may_be_drawn_finer_and_reduced_as_files_are(tmp_path: Path) -> None:
    """Images are the means of what is drawn larger; masks and boxes are those of it, on the smaller field."""
    finer = Source(kind="phantoms", options={"train": 3, "seed": 5, "finer": 4})
    opened = open_source_of(finer, places(tmp_path), SMALL)
    kept, boxes = opened.samples("train"), opened.boxes("train")
    for index in range(3):
        large = generate(5_000_000 + index, size=256)
        item = kept[index]
        reduced = np.asarray(Image.fromarray(large.image).resize((64, 64), Image.Resampling.BOX))
        np.testing.assert_allclose(item["image"][0].numpy(), reduced, atol=2e-5)
        shares = large.masks.reshape(3, 32, 8, 32, 8).mean((2, 4))
        np.testing.assert_allclose(item["masks"].numpy(), shares, atol=3e-3)
        assert item["labels"].tolist() == large.labels.tolist()
        assert [(b.label, b.left * 256, b.bottom * 256) for b in boxes[index]] == [
            (b.label, b.left, b.bottom) for b in large.boxes
        ]
    with pytest.raises(UsageError, match="finer is a whole number"):
        bad = Source(kind="phantoms", options={**PHANTOMS.options, "finer": 0})
        open_source_of(bad, places(tmp_path), SMALL).samples("train")
