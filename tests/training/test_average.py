"""Averages of weights: of runs from one start, and of those alone."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from click.testing import CliRunner

from cxredge.errors import UsageError
from tests.support.narrow import images
from tests.training.test_join import member
from training.average import averaged
from training.checkpoint import load, patient_tag, read, save
from training.cli import group
from training.errors import CheckpointError
from training.join import joined


def moved(path: Path, out: Path, by: float, patients: tuple[str, ...]) -> Path:
    """What becomes of a checkpoint that learns a little more, from these patients."""
    facts, state = read(path)
    torch.manual_seed(7)
    further = {
        name: value + by * torch.randn_like(value)
        if value.is_floating_point() and not name.startswith(("unet.", "gate."))
        else value
        for name, value in state.items()
    }
    tags = tuple(sorted(map(patient_tag, patients)))
    return save(out, further, msgspec.structs.replace(facts, trained_on=tags))


def test_it_is_the_mean_of_weights_and_statistics_and_knows_whom_all_learned_from(tmp_path: Path) -> None:
    start = member(tmp_path / "start.pt", 1, ("x", "y"))
    paths = [moved(start, tmp_path / f"{by}.pt", by, ("x", who)) for by, who in ((-0.001, "y"), (0.003, "z"))]
    out = tmp_path / "mean.pt"
    done = CliRunner().invoke(group, ["average", *map(str, paths), "--out", str(out)])
    assert done.exit_code == 0, done.output
    network, facts = load(out)
    first, second = (read(path)[1] for path in paths)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (first[name] + second[name]) / 2)
    assert facts.trained_on == tuple(sorted(map(patient_tag, "xyz")))
    assert facts.departures[-1] == "the average of the weights of 2 runs: members, seed 1; members, seed 1"
    assert not facts.scores
    with torch.no_grad():
        assert network(images(2, 64)).logits.shape == (2, 14)


def test_an_average_can_be_joined_with_others(tmp_path: Path) -> None:
    start = member(tmp_path / "start.pt", 1, ("x", "y"))
    mean = averaged([start, moved(start, tmp_path / "b.pt", 0.001, ("x", "y"))], tmp_path / "mean.pt")
    network, facts = load(joined([mean, member(tmp_path / "c.pt", 2, ("z", "y"))], tmp_path / "all.pt"))
    assert len(network.backbones()) == 2
    assert any("average" in word for word in facts.departures)


def test_strangers_are_refused(tmp_path: Path) -> None:
    one, two = (member(tmp_path / f"{seed}.pt", seed, ("x", "y")) for seed in (1, 2))
    with pytest.raises(CheckpointError, match=r"did not begin where .* join them instead"):
        averaged([one, two], tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


def test_other_shapes_outlines_and_committees_are_refused(tmp_path: Path) -> None:
    one = member(tmp_path / "one.pt", 1, ("x", "y"))
    dense = member(tmp_path / "d.pt", 1, ("x", "y"), backbone="densenet121", width=0.125, blocks=[1, 1, 1, 1])
    with pytest.raises(CheckpointError, match="another shape"):
        averaged([one, dense], tmp_path / "out.pt")
    with pytest.raises(CheckpointError, match="another U-Net"):
        averaged([one, member(tmp_path / "other.pt", 1, ("x", "y"), unet=5)], tmp_path / "out.pt")
    both = joined([one, member(tmp_path / "two.pt", 2, ("x", "y"))], tmp_path / "both.pt")
    with pytest.raises(UsageError, match="committee already"):
        averaged([one, both], tmp_path / "out.pt")
    with pytest.raises(UsageError, match="at least two"):
        averaged([one], tmp_path / "out.pt")
