"""The checkpoint file: what goes in comes out, and what is not one is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import msgspec
import pytest
import torch

from tests.support.toy_training import OPTIONS, Toy, toy_recipe
from training.checkpoint import Facts, SplitFacts, assert_unseen, load, patient_tag, read, save, versions
from training.data import Case, Collection
from training.errors import CheckpointError, LeakError
from training.methods import build


def made() -> tuple[Toy, Facts]:
    model = build("toy", OPTIONS)
    assert isinstance(model, Toy)
    facts = Facts(
        method="toy",
        config=msgspec.to_builtins(model.options),
        recipe=msgspec.to_builtins(toy_recipe()),
        departures=("width 0.5 in place of 1",),
        split=SplitFacts("drawn", False, "0" * 64),
        data=(),
        trained_on=tuple(sorted(map(patient_tag, ("a:1", "a:2")))),
        stage="classifier",
        epoch=3,
        scores={"auroc": 0.9, "dice_heart": None},
        versions=versions(),
    )
    return model, facts


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    model, facts = made()
    again, told = load(save(tmp_path / "a.pt", model.state_dict(), facts))
    assert told == facts
    image = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        for one, other in zip(model.eval()(image), again(image), strict=True):
            assert one is other is None or torch.equal(one, other)


def test_weights_that_are_not_numbers_are_never_kept(tmp_path: Path) -> None:
    model, facts = made()
    path = save(tmp_path / "a.pt", model.state_dict(), facts)
    before = path.read_bytes()
    state = model.state_dict()
    state["classifier.bias"] = state["classifier.bias"].clone().fill_(float("nan"))
    with pytest.raises(CheckpointError, match=r"classifier\.bias"):
        save(path, state, facts)
    assert path.read_bytes() == before


@pytest.mark.parametrize("schema", ["cxredge.checkpoint/2", "cxredge.checkpoint/x", "other/1"])
def test_other_schemas_are_refused(tmp_path: Path, schema: str) -> None:
    _, facts = made()
    torch.save({**msgspec.to_builtins(facts), "schema": schema, "state_dict": {}}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="newer schema" if schema.endswith("2") else "not 'cxredge"):
        read(tmp_path / "a.pt")


class Evil:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code of a file ran')",))


def test_files_that_are_no_checkpoints_are_refused_and_run_no_code(tmp_path: Path) -> None:
    model, facts = made()
    (tmp_path / "text.pt").write_text("not a checkpoint", encoding="utf-8")
    (tmp_path / "code.pt").write_bytes(pickle.dumps({"schema": "cxredge.checkpoint/1", "x": Evil()}))
    torch.save({"schema": "cxredge.checkpoint/1", "x": Evil()}, tmp_path / "zipped.pt")
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    torch.save({**msgspec.to_builtins(facts), "epoch": "three", "state_dict": {}}, tmp_path / "typed.pt")
    whole = save(tmp_path / "cut.pt", model.state_dict(), facts)
    whole.write_bytes(whole.read_bytes()[:5000])
    for name in ("text", "code", "zipped", "weights", "typed", "cut", "absent"):
        with pytest.raises(CheckpointError):
            read(tmp_path / f"{name}.pt")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    model, facts = made()
    state = {name: value for name, value in model.state_dict().items() if name != "classifier.bias"}
    save(tmp_path / "a.pt", state, facts)
    with pytest.raises(CheckpointError, match=r"not those of toy.*classifier\.bias"):
        load(tmp_path / "a.pt")


def test_a_patient_who_trained_is_recognised_by_the_names_that_data_sets_give(tmp_path: Path) -> None:
    _, facts = made()
    cases = tuple(Case(tmp_path / f"{n}.png", patient, row=n) for n, patient in enumerate(("a:2", "a:3"), 2))
    collection = Collection("a", tmp_path, cases, True, "nobody")
    assert_unseen(facts, map(patient_tag, collection.patients([1])), "test")
    with pytest.raises(LeakError, match="1 of the 2 patients"):
        assert_unseen(facts, map(patient_tag, collection.patients([0, 1])), "test")
