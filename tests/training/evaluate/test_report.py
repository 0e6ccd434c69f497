"""The whole of an evaluation on a toy: what is written, what is refused, what is said of what cannot be measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxredge.result import LABELS
from tests.support.toy_training import ToySet, toy_folds, toy_recipe
from training.checkpoint import SplitFacts, patient_tag
from training.data import Box, Person
from training.errors import LeakError
from training.evaluate.run import DRAWN, Evaluation, _source, evaluate
from training.evaluate.tables import split_words
from training.fit.run import Fit, fit
from training.fit.sources import Places
from training.recipes import find, names

PAPER = {
    "title": "Somebody, 2020",
    "split": "official",
    "mean": 0.8,
    "auroc": {"Mass": 0.81},
    "iou": {"Mass": 0.2},
    "accuracy": 0.7,
    "sensitivity": 0.7,
    "specificity": 0.7,
    "f1": 0.6,
}


class ToyOpened:
    """The toy's pictures as a data set with folds; each disease's spot is its box."""

    name, shippable, citation = "toys", True, "drawn"
    split = SplitFacts("a toy's split", False, "1" * 64)

    def __init__(self, spoil: bool = False, patients: str = "test") -> None:
        self.sets = {"train": ToySet(96, 1), "val": ToySet(64, 2), "test": ToySet(80, 3)}
        self.called = patients
        if spoil:
            self.sets["test"].drawn[:, LABELS.index("Hernia")] = 0
            self.sets["test"].known[:, LABELS.index("Edema")] = False

    def samples(self, fold: str, augment: object = None, seed: int = 0) -> ToySet:
        return self.sets[fold]

    def patients(self, fold: str) -> list[str]:
        return [f"toy:{self.called if fold == 'test' else fold}-{index // 2}" for index in range(len(self.sets[fold]))]

    def people(self, fold: str) -> list[Person]:
        return [Person("AP" if row[0] else "PA", "F", 40.0 + index) for index, row in enumerate(self.sets[fold].drawn)]

    def boxes(self, fold: str) -> list[tuple[Box, ...]]:
        found = []
        for row in self.sets[fold].drawn:
            spots = [(LABELS[c], *divmod(int(c), 4)) for c in np.flatnonzero(row)]
            found.append(tuple(Box(n, x / 4, y / 4, x / 4 + 0.25, y / 4 + 0.25) for n, y, x in spots))
        return found


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = toy_recipe({"epochs": 4}, paper=PAPER)
    out = tmp_path_factory.mktemp("run")
    return fit(Fit(recipe, lambda _: toy_folds(), out, accelerator="cpu", say=lambda _: None)).checkpoint


def wanted(checkpoint: Path, out: Path, opened: ToyOpened) -> Evaluation:
    places = Places(None, {}, out)
    return Evaluation(checkpoint, places, out, resamples=50, opened=lambda *_: opened)


def test_everything_is_written_and_the_scores_are_of_the_test_fold(checkpoint: Path, tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    from training.checkpoint import load
    from training.evaluate.predict import examine

    opened = ToyOpened()
    report = evaluate(wanted(checkpoint, tmp_path, opened))
    told = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert told["schema"] == "cxredge.evaluation/1"
    assert {path.name for path in tmp_path.iterdir()} >= {"report.json", "report.md", "roc.png", "auroc.png"}
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("roc.png", "auroc.png"))
    found = examine(load(checkpoint)[0], opened.sets["test"])
    for c, label in enumerate(LABELS):
        theirs = roc_auc_score(opened.sets["test"].drawn[:, c], found.logits[:, c])
        assert report["auroc"]["diseases"][label]["auroc"]["value"] == pytest.approx(theirs, abs=1e-9)
    assert report["auroc"]["mean"]["value"] > 0.9
    assert report["data"]["patients"] == 40
    assert report["masks"]["structures"]["heart"]["images"] == 0


def test_every_table_names_its_split_and_the_paper_stands_beside(checkpoint: Path, tmp_path: Path) -> None:
    evaluate(wanted(checkpoint, tmp_path, ToyOpened()))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    tables = len(re.findall(r"^\| ---", text, re.MULTILINE))
    assert tables >= 6
    assert text.count("Split: **a toy's split (unofficial)**") == tables
    assert re.search(r"\| Mass \|.*\| 0\.8100 \|", text)
    assert "| Paper's mean | 0.700 | 0.700 | 0.700 | 0.600 |" in text
    assert "Not comparable" in text  # its figures are on the official split, ours are not


def test_groups_are_scored_apart_and_beside_what_the_view_alone_says(checkpoint: Path, tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    from training.checkpoint import load
    from training.evaluate.predict import examine

    opened = ToyOpened()
    told = evaluate(wanted(checkpoint, tmp_path, opened))["within"]
    drawn, logits = opened.sets["test"].drawn, examine(load(checkpoint)[0], opened.sets["test"]).logits
    ill = drawn[:, 0] == 1  # the toy takes an AP film of exactly those with the first disease
    assert told["view_alone"]["diseases"][LABELS[0]] == 1.0
    assert told["groups"]["AP"]["images"] == ill.sum() and told["groups"]["PA"]["images"] == (~ill).sum()
    assert LABELS[0] not in told["groups"]["AP"]["diseases"]  # all of them have it
    for label, found in told["groups"]["PA"]["diseases"].items():
        c = LABELS.index(label)
        truth = drawn[~ill, c]
        assert min(truth.sum(), (1 - truth).sum()) >= told["least"]
        assert found["value"] == pytest.approx(roc_auc_score(truth, logits[~ill, c]), abs=1e-9)
        assert found["low"] <= found["value"] <= found["high"]
    assert set(told["groups"]) == {"all", "PA", "AP", "women", "40 to 59", "60 and over"}
    assert "## Within groups" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_disease_with_one_class_is_named_as_not_measurable(checkpoint: Path, tmp_path: Path) -> None:
    report = evaluate(wanted(checkpoint, tmp_path, ToyOpened(spoil=True)))
    assert report["not_measurable"] == {"Hernia": "no positive of 80", "Edema": "no image says yes or no"}
    assert report["auroc"]["diseases"]["Hernia"]["auroc"] is None
    told = [d["auroc"]["value"] for d in report["auroc"]["diseases"].values() if d["auroc"]]
    assert len(told) == 12
    assert report["auroc"]["mean"]["value"] == pytest.approx(np.mean(told))
    assert "Hernia" not in report["points"]["diseases"]
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Not measurable: " in text
    assert "Hernia (no positive of 80)" in text


def test_a_data_set_without_labels_gets_a_sentence_and_no_empty_tables(checkpoint: Path, tmp_path: Path) -> None:
    opened = ToyOpened()
    opened.sets["test"].known[:] = False
    opened.people = lambda _fold: []  # type: ignore[method-assign]
    report = evaluate(wanted(checkpoint, tmp_path, opened))
    assert report["auroc"]["mean"] is None and len(report["not_measurable"]) == len(LABELS)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## AUROC\n\nNot measurable: no disease" in text
    assert "| Hernia | 0 | 0 |" not in text and "## Within groups" not in text
    assert "None: no disease can be measured on both folds." in text


def test_a_network_that_never_learned_to_outline_has_no_ratio(checkpoint: Path, tmp_path: Path) -> None:
    assert evaluate(wanted(checkpoint, tmp_path, ToyOpened()))["ratio"] == {}
    assert "Cardiothoracic" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_weights_that_saw_a_test_patient_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(LeakError, match=r"5 of the 40 patients of fold 'test of toys' trained these weights"):
        evaluate(wanted(checkpoint, tmp_path, ToyOpened(patients="train")))
    assert not (tmp_path / "report.json").exists()


def test_boxes_of_spots_are_found_where_they_are(checkpoint: Path, tmp_path: Path) -> None:
    report: dict[str, Any] = evaluate(wanted(checkpoint, tmp_path, ToyOpened()))
    assert set(report["boxes"]["diseases"]) == set(LABELS)
    assert "threshold 0.5" in report["boxes"]["rule"]
    assert report["boxes"]["diseases"]["Mass"]["paper"] == 0.2


def test_patient_tags_are_short_and_stable() -> None:
    assert patient_tag("chestxray14:17") == patient_tag("chestxray14:17") != patient_tag("chestxray14:18")
    assert len(patient_tag("chestxray14:17")) == 16


def test_drawn_chests_judge_a_network_whose_recipe_names_none_and_no_recipe_learns_from_their_seeds() -> None:
    wanted = Evaluation(Path("any.pt"), Places(None, {}, Path("cache")), Path("out"), kind="phantoms")
    assert _source(find("cxr_irnet-nih"), wanted) == DRAWN
    own = find("chexnet-phantoms")
    assert _source(own, wanted) == own.data[0]
    learned = [source for name in names() for stage in find(name).stages for source in find(name).sources(stage)]
    drawn = [source.options.get("seed", 0) for source in learned if source.kind == "phantoms"]
    assert drawn and DRAWN.options["seed"] not in drawn


@pytest.mark.parametrize(
    ("name", "official", "said"),
    [
        ("by its makers", True, "by its makers (official)"),
        ("all cases judge", False, "all cases judge (unofficial)"),
        ("random 70/10/20 (unofficial, seed 0)", False, "random 70/10/20 (unofficial, seed 0)"),
    ],
)
def test_a_split_says_once_whether_its_makers_gave_it(name: str, official: bool, said: str) -> None:
    assert split_words({"name": name, "official": official}) == said
