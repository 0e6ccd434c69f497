"""Committees: what is joined says the average, through one U-Net, and remembers whom every member learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from cxredge.errors import UsageError
from tests.support.narrow import images
from training.checkpoint import DataUse, Facts, SplitFacts, load, patient_tag, save, versions
from training.cli import group
from training.errors import CheckpointError
from training.join import joined
from training.methods import build

OPTIONS: dict[str, Any] = {
    "field": 64, "crop": 64, "mask": 32, "unet_width": 4, "unet_depth": 2, "channels": 1, "width": 0.25,
    "backbone": "plain", "stride": 16,
}  # fmt: skip
SPLIT = SplitFacts("drawn", False, "0" * 64)


def member(path: Path, seed: int, patients: tuple[str, ...], *, unet: int = 0, **changes: Any) -> Path:
    """A checkpoint whose U-Net is drawn from one seed, and the rest from another."""
    torch.manual_seed(unet)
    outlines = build("cxr_irnet", OPTIONS).unet.state_dict()
    torch.manual_seed(seed)
    method = changes.pop("method", "cxr_irnet")
    options = OPTIONS | changes
    network = build(method, options)
    state = network.state_dict() | {f"unet.{name}": value for name, value in outlines.items()}
    use = DataUse("classifier", f"set {seed}", 3, 2, True, "drawn", SPLIT)
    tags = tuple(sorted(map(patient_tag, patients)))
    facts = Facts(
        method=method,
        config=options,
        recipe={"name": "members", "seed": seed},
        departures=(f"seed {seed}",),
        split=SPLIT,
        data=(use,),
        trained_on=tags,
        chosen_on=(patient_tag(patients[-1]),),
        stage="classifier",
        epoch=seed + 1,
        scores={"auroc": 0.5},
        versions=versions(),
    )
    return save(path, state, facts)


def test_a_committee_says_the_average_of_its_members(tmp_path: Path) -> None:
    paths = [
        member(tmp_path / "a.pt", 1, ("x", "y")),
        member(tmp_path / "b.pt", 2, ("y", "z")),
        member(tmp_path / "c.pt", 3, ("z", "x"), backbone="densenet121", width=0.125, blocks=[1, 1, 1, 1]),
    ]
    out = tmp_path / "all.pt"
    done = CliRunner().invoke(group, ["join", *map(str, paths), "--out", str(out)])
    assert done.exit_code == 0, done.output
    network, facts = load(out)
    image = images(3, 64)
    with torch.no_grad():
        whole, each = network(image), [load(path)[0](image) for path in paths]
    torch.testing.assert_close(whole.logits, torch.stack([one.logits for one in each]).mean(0))
    torch.testing.assert_close(whole.heatmaps, torch.stack([one.heatmaps for one in each]).mean(0))
    torch.testing.assert_close(whole.masks, each[0].masks)
    assert (each[0].logits - each[1].logits).abs().max() > 1e-3
    assert len(network.backbones()) == 3
    assert [use.name for use in facts.data] == ["set 1", "set 2", "set 3"]
    assert facts.trained_on == tuple(sorted(map(patient_tag, "xyz")))
    assert facts.chosen_on == ()  # whoever chose one member's epoch taught another
    assert facts.departures[-1] == "a committee of 3: members, seed 1; members, seed 2; members, seed 3"
    assert not facts.scores


def test_a_committee_is_exported_with_a_free_batch(tmp_path: Path) -> None:
    paths = [member(tmp_path / f"{seed}.pt", seed, ("x", "y")) for seed in (1, 2)]
    network, _ = load(joined(paths, tmp_path / "all.pt"))
    with torch.no_grad():
        graph = torch.export.export(network, (images(2, 64),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
        for count in (1, 5):
            image = images(count, 64, seed=count)
            for ours, theirs in zip(network(image)[:3], graph(image)[:3], strict=True):
                torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unet": 5}, "another U-Net"),
        ({"stride": 32}, "sees its images otherwise"),
        ({"feature_weighting": False}, "sees its images otherwise"),
    ],
)
def test_what_looks_otherwise_cannot_be_joined(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    first, other = member(tmp_path / "a.pt", 1, ("x",)), member(tmp_path / "b.pt", 2, ("y",), **changes)
    with pytest.raises(CheckpointError, match=said):
        joined([first, other], tmp_path / "all.pt")
    assert not (tmp_path / "all.pt").exists()


def test_one_is_no_committee_and_a_committee_is_no_member(tmp_path: Path) -> None:
    first, other = (member(tmp_path / f"{seed}.pt", seed, ("x",)) for seed in (1, 2))
    with pytest.raises(UsageError, match="at least two"):
        joined([first], tmp_path / "all.pt")
    both = joined([first, other], tmp_path / "both.pt")
    with pytest.raises(UsageError, match="committee already"):
        joined([first, both], tmp_path / "all.pt")


def test_a_mirrored_committee_says_the_average_of_both_images(tmp_path: Path) -> None:
    paths = [member(tmp_path / f"{seed}.pt", seed, ("x", "y")) for seed in (1, 2)]
    out = tmp_path / "mirrored.pt"
    done = CliRunner().invoke(group, ["join", *map(str, paths), "--out", str(out), "--mirrored"])
    assert done.exit_code == 0, done.output
    network, plain = load(out)[0], load(joined(paths, tmp_path / "plain.pt"))[0]
    image = images(3, 64)
    with torch.no_grad():
        said, masks = network(image), plain.unet(image).masks
        one, other = plain.score(image, masks), plain.score(image.flip(3), masks.flip(3))
        torch.testing.assert_close(said.logits, (one.logits + other.logits) / 2)
        torch.testing.assert_close(said.heatmaps, (one.maps + other.maps.flip(3)) / 2)
        torch.testing.assert_close(said.masks, masks)
        assert (one.logits - other.logits).abs().max() > 1e-3
        graph = torch.export.export(network, (images(2, 64),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
        for ours, theirs in zip(network(image)[:3], graph(image)[:3], strict=True):
            torch.testing.assert_close(ours, theirs)
