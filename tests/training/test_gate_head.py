"""The gate's head: absent unless asked for, cheap, read from the encoder alone."""

from __future__ import annotations

import pytest
import torch

from tests.support.narrow import NARROW, images, narrow
from training.describe import describe
from training.gate import QUESTIONS
from training.methods import METHODS, build
from training.methods.base import Options


@pytest.mark.parametrize("name", ["chexnet", "se_multimap", "ag_cnn"])
def test_a_fourth_output_and_nothing_else_changes(name: str) -> None:
    """The se_multimap has a way of its own through `forward`."""
    plain, gated = narrow(name), narrow(name, gate=True)
    own = {key for key in gated.state_dict() if key.startswith("gate.")}
    assert own and set(gated.state_dict()) - own == set(plain.state_dict())
    gated.load_state_dict(plain.state_dict(), strict=False)
    image = images(3, 128)
    with torch.no_grad():
        without, out = plain(image), gated(image)
        torch.testing.assert_close(out[:3], without[:3])
        assert without.gate is None and out.gate is not None and out.gate.shape == (3, len(QUESTIONS))
        assert out.gate.std(0).min() > 0, "all images are answered alike"
        torch.testing.assert_close(gated(image[1:2]).gate, out.gate[1:2], atol=1e-5, rtol=1e-5)


def test_it_is_no_ablation_switch_and_off_unless_told() -> None:
    assert "gate" not in Options.switches() and not Options().gate
    assert build("chexnet", NARROW | {"gate": "true"}, strict=False).gate is not None  # as a command line says it


def test_it_reads_the_encoder_alone_and_every_stage_of_it() -> None:
    method = narrow("chexnet", gate=True)
    stages = [stage.detach().requires_grad_(True) for stage in method.unet.encode(images(2, 128))]
    gate = method.gated(tuple(stages))
    assert gate is not None
    gate.square().sum().backward()
    assert all(stage.grad is not None and stage.grad.abs().sum() > 0 for stage in stages)
    with torch.no_grad():
        torch.testing.assert_close(method(images(2, 128)).gate, gate.detach())


def test_places_reach_the_answer() -> None:
    """Turned features have the same means and the same largest values: only their places tell."""
    head = narrow("chexnet", gate=True).gate
    assert head is not None
    stages = tuple(torch.rand(1, count, side, side) for count, side in zip((4, 4, 4), (32, 16, 8), strict=True))
    turned = tuple(torch.rot90(stage, 1, (2, 3)) for stage in stages)
    with torch.no_grad():
        assert (head(stages) - head(turned)).abs().max() > 1e-4


@pytest.mark.parametrize("options", [{}, {"field": 160, "crop": 160, "mask": 80, "width": 0.25, "unet_width": 64}])
def test_it_costs_under_a_hundredth_of_the_unet(options: dict[str, object]) -> None:
    found, plain = describe("chexnet", {**options, "gate": True}), describe("chexnet", dict(options))
    assert found["outputs"]["gate"] == ["N", 3] and "gate" not in plain["outputs"] and plain["gate"] is None
    assert 0 < found["gate"]["gmacs"] < 0.01 * found["unet"]["gmacs"]
    assert found["graph"]["parameters"] == plain["graph"]["parameters"] + found["gate"]["parameters"]
    assert (found["parameters"], found["gmacs"]) == (plain["parameters"], plain["gmacs"])


def test_every_method_takes_it() -> None:
    assert all(describe(name, {**NARROW, "gate": True})["outputs"]["gate"] == ["N", 3] for name in METHODS)
