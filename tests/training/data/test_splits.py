"""Splits: patients stay on one side, hashes tell splits apart, what a fold lacks is named."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxredge.errors import UsageError
from cxredge.result import LABELS
from tests.support import drawn_sets as drawn
from training.data import (
    Case,
    Collection,
    Split,
    lacking,
    open_collection,
    require_positives,
    split_of,
)
from training.errors import DataError, Problem


def made(patients: list[int], **facts: object) -> Collection:
    """A collection of those patients, one image a mention; image i has disease i modulo 14."""
    cases = []
    for number, patient in enumerate(patients):
        labels = [0.0] * 14
        labels[number % 14] = 1.0
        cases.append(Case(Path(f"/set/{number:04d}.png"), f"x:{patient}", tuple(labels)))
    return Collection("X", Path("/set"), tuple(cases), shippable=True, citation="", **facts)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=80), st.integers(0, 5))
def test_random_split_is_by_patient_and_unofficial(patients: list[int], seed: int) -> None:
    patients += range(20)  # enough of them for a share of a tenth
    collection = made(patients)
    split = split_of(collection, kind="random", seed=seed)
    sides = [collection.patients(split.fold(fold)) for fold in ("train", "val", "test")]
    assert sum(map(len, sides)) == len(set(patients))  # nobody twice
    assert sorted(split.train + split.val + split.test) == list(range(len(patients)))
    count = len(set(patients))
    assert np.allclose([len(side) / count for side in sides], (0.7, 0.1, 0.2), atol=1 / count)
    assert not split.official and "unofficial" in split.name and f"seed {seed}" in split.name


def test_seeds_and_hashes() -> None:
    collection = made(list(range(100)))
    one, same, other = (split_of(collection, kind="random", seed=seed) for seed in (1, 1, 2))
    assert one == same and one.sha256 == same.sha256 != other.sha256
    assert len(one.sha256) == 64
    # The hash is of who is where: neither the order of the table nor the folder's place matters.
    turned = dataclasses.replace(
        collection,
        root=Path("/elsewhere"),
        cases=tuple(
            dataclasses.replace(case, path=Path("/elsewhere") / case.path.name) for case in collection.cases[::-1]
        ),
    )
    back = {99 - index: index for index in range(100)}
    folds = [tuple(back[index] for index in one.fold(fold)) for fold in ("train", "val", "test")]
    assert Split(turned, *folds, name="", official=False).sha256 == one.sha256
    moved = Split(collection, one.train[1:], (*one.val, one.train[0]), one.test, name="", official=False)
    assert moved.sha256 != one.sha256


def test_a_patient_on_both_sides_is_named() -> None:
    collection = made([1, 2, 3, 1])
    with pytest.raises(DataError, match=r"1 patients are in two folds \(train and test.*x:1") as caught:
        Split(collection, (0, 1), (2,), (3,), name="", official=False)
    assert caught.value.problem is Problem.PATIENT_ON_BOTH_SIDES
    official = made([1, 2, 3, 1], folds={"train_val": (0, 1), "test": (2, 3)}, official=True, split_name="lists")
    with pytest.raises(DataError, match="x:1"):
        split_of(official, validation=0)


@pytest.mark.parametrize(("train", "test"), [((0, 0), (1,)), ((0,), (0,)), ((0,), (9,)), ((), ())])
def test_folds_that_are_none(train: tuple[int, ...], test: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as caught:
        Split(made([1, 2]), train, (), test, name="", official=False)
    assert caught.value.problem is Problem.SPLIT


def test_validation_is_cut_by_patient_from_training_only() -> None:
    patients = [number // 3 for number in range(150)]
    folds = {"train_val": tuple(range(120)), "test": tuple(range(120, 150))}
    collection = made(patients, folds=folds, official=True, split_name="lists")
    split = split_of(collection, validation=0.25)
    assert split.test == folds["test"] and split.official
    assert (len(collection.patients(split.train)), len(collection.patients(split.val))) == (30, 10)
    assert "25%" in split.name and "seed 0" in split.name
    assert split_of(collection, validation=0.25, seed=3).sha256 != split.sha256
    assert split_of(collection, validation=0).val == ()
    with pytest.raises(UsageError):
        split_of(collection, validation=0.9)
    with pytest.raises(DataError, match="too few"):
        split_of(made([1, 2, 3]), kind="random")


def test_every_case_can_judge() -> None:
    split = split_of(made([1, 2, 2]), kind="test")
    assert (split.train, split.val, split.test) == ((), (), (0, 1, 2))


def test_patients_are_recognised_over_data_sets(tmp_path: Path) -> None:
    """So that weights trained on the folder cannot be tested on its patients in the whole set, or the other way."""
    whole = open_collection("chestxray14", drawn.write_chestxray14(tmp_path / "whole"))
    folder = open_collection("nih", drawn.write_nih_folder(tmp_path / "folder"))
    trained = folder.patients(split_of(folder).train)
    assert len(trained) == 7 and trained < whole.patients()
    assert not trained & whole.patients(split_of(whole).test)
    assert folder.patients(split_of(folder).test) == whole.patients(split_of(whole).test)


def test_what_a_fold_lacks_is_named() -> None:
    collection = made(list(range(28)))
    unknown = dataclasses.replace(collection.cases[20], labels=(math.nan,) * 14)
    all_ill = dataclasses.replace(collection.cases[21], labels=(1.0, *(math.nan,) * 13))
    collection = dataclasses.replace(collection, cases=(*collection.cases[:20], unknown, all_ill))
    split = Split(collection, tuple(range(14)), tuple(range(14, 21)), (21,), name="drawn", official=False)
    found = lacking(split)
    assert found["train"].positive == found["train"].negative == found["train"].unknown == ()
    assert found["val"].positive == LABELS[6:]  # 14 to 19 are the first six diseases
    assert found["test"].negative == ("Atelectasis",) and found["test"].unknown == LABELS[1:]
    require_positives(split, ["train", "test"])
    with pytest.raises(DataError, match=r"val: Pneumonia, Pneumothorax, .*Hernia") as caught:
        require_positives(split)
    assert caught.value.problem is Problem.NO_POSITIVE
