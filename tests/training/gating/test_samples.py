"""The gate's samples: the same from seed, fold, epoch and index; answers that are known where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.support.toy_training import ToySet
from training.gating.bank import bank_of, kinds_of
from training.gating.samples import GateSamples
from training.others import DRAWN


def samples(folder: Path, fold: str, count: int = 24) -> GateSamples:
    return GateSamples(ToySet(count, 1), fold, 0, folder)


def test_training_is_drawn_anew_each_epoch_and_a_measured_fold_never(tmp_path: Path) -> None:
    train, val = samples(tmp_path, "train"), samples(tmp_path, "val")
    for made, changes in ((train, True), (val, False)):
        before = [made[index]["image"] for index in range(len(made))]
        made.set_epoch(1)
        after = [made[index]["image"] for index in range(len(made))]
        made.set_epoch(0)
        assert all(torch.equal(made[index]["image"], before[index]) for index in (0, 5, len(made) - 1))
        same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert (sum(same) <= 2) if changes else all(same)


def test_what_is_no_chest_has_no_polarity_and_no_turn(tmp_path: Path) -> None:
    train = samples(tmp_path, "train")
    items = [train[index] for index in range(len(train))]
    chests, others = items[:24], items[24:]
    assert len(others) == train.others == 34
    assert all(item["gate"][0] == 0 and item["gate_known"].all() for item in chests)
    assert all(item["gate"][0] == 1 and item["gate_known"].tolist() == [True, False, False] for item in others)
    told = {tuple(item["gate"].tolist()[1:]) for item in chests}
    assert told == {(0, 0), (1, 0), (0, 1), (1, 1)}
    assert np.isnan(train.truth()).all() and train.truth().shape == (58, 14)


def test_a_measured_fold_shows_each_chest_as_it_is_and_in_turn_in_every_pose(tmp_path: Path) -> None:
    val, chests = samples(tmp_path, "val"), ToySet(24, 1)
    kinds = val.kinds()
    assert len(kinds) == len(val) == 2 * 24 + 34
    answers = {
        "as it is": [0, 0, 0],
        "upright": [0, 0, 0],
        "inverted": [0, 1, 0],
        "turned": [0, 0, 1],
        "inverted and turned": [0, 1, 1],
    }
    for index in range(48):
        item = val[index]
        assert item["gate"].tolist() == answers[kinds[index]]
        if kinds[index] == "as it is":
            assert torch.equal(item["image"], chests[index // 2]["image"])
    assert all(kinds.count(name) == 6 for name in answers if name != "as it is")
    assert {kind.removeprefix("chest, ") for kind in kinds[48:]} - set(answers)
    assert val.describe(47) == "toy-1.png (row 24)" and val.describe(50) == "drawn picture 2"


def test_no_drawn_picture_is_in_two_folds_and_none_is_drawn_twice(tmp_path: Path) -> None:
    said: list[str] = []
    banks = {fold: bank_of(12, 32, fold, 0, tmp_path, said.append) for fold in ("train", "val", "test")}
    pictures = [bank[index].tobytes() for bank in banks.values() for index in range(12)]
    assert len(set(pictures)) == len(pictures) and len(said) == 3
    np.testing.assert_array_equal(bank_of(12, 32, "val", 0, tmp_path, said.append), banks["val"])
    assert len(said) == 3
    name = kinds_of(12, "val", 0)[4]
    rng = np.random.default_rng([1, 0, 4])
    rng.integers(len(DRAWN))
    np.testing.assert_array_equal(banks["val"][4], np.rint(DRAWN[name](rng, 32) * 255))
