"""The losses against their equations in float64 NumPy, and at the ends of the range."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cxredge.errors import UsageError
from training.losses import bce, biased_focal, dice, evidence, focal

LOGITS = torch.randn(6, 14, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
TARGETS = (torch.rand(6, 14, generator=torch.Generator().manual_seed(1)) < 0.3).double()
P, Y = 1 / (1 + np.exp(-LOGITS.numpy())), TARGETS.numpy()


def test_bce() -> None:
    expected = -(Y * np.log(P) + (1 - Y) * np.log(1 - P)).mean()
    assert bce(LOGITS, TARGETS).item() == pytest.approx(expected, rel=1e-12)


def test_focal() -> None:
    pt, at = np.where(Y == 1, P, 1 - P), np.where(Y == 1, 0.25, 0.75)
    expected = (-at * (1 - pt) ** 2 * np.log(pt)).mean()
    assert focal(LOGITS, TARGETS).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("beta", [1.0, 2.0, 3.0])
def test_biased_focal(beta: float) -> None:
    """MLRFNet eq. 3 and 4, label by label."""
    total = 0.0
    for n, c in np.ndindex(Y.shape):
        p, y = P[n, c], Y[n, c]
        shifted = max(p - 0.2, 0.0)
        total += -0.4 * (1 - p) ** beta * y * np.log(p) - 0.6 * shifted**beta * (1 - y) * np.log(1 - p)
    assert biased_focal(LOGITS, TARGETS, beta=beta).item() == pytest.approx(total / Y.size, rel=1e-12)


def test_easy_negatives_cost_nothing_and_the_logarithm_is_not_shifted() -> None:
    logit = torch.tensor([[0.19 / 0.81, 0.5 / 0.5]], dtype=torch.float64).log().requires_grad_()
    loss = biased_focal(logit[:, :1], torch.zeros(1, 1, dtype=torch.float64))
    loss.backward()
    assert loss.item() == 0.0 and logit.grad is not None and logit.grad[0, 0] == 0.0
    half = biased_focal(logit[:, 1:], torch.zeros(1, 1, dtype=torch.float64)).item()
    assert half == pytest.approx(0.6 * 0.3**2 * np.log(2))


def test_without_focus_it_is_weighted_cross_entropy() -> None:
    expected = -(0.4 * Y * np.log(P) + 0.6 * (1 - Y) * np.log(1 - P)).mean()
    assert biased_focal(LOGITS, TARGETS, beta=0.0).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", [bce, focal, biased_focal])
@pytest.mark.parametrize("size", [80.0, 1e4])
def test_very_sure_networks_do_not_overflow(loss: object, size: float) -> None:
    logits = torch.tensor([[size, -size, size, -size]], requires_grad=True)
    value = loss(logits, torch.tensor([[1.0, 1.0, 0.0, 0.0]]))  # type: ignore[operator]
    value.backward()
    assert torch.isfinite(value) and logits.grad is not None and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("beta", [-1.0, 0.5])
def test_exponents_that_give_no_gradient(beta: float) -> None:
    with pytest.raises(UsageError):
        biased_focal(LOGITS, TARGETS, beta=beta)


def test_dice() -> None:
    p = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    t = (torch.rand(2, 3, 8, 8) < 0.4).double()
    parts = [2 * (p[n, k] * t[n, k]).sum() / (p[n, k].sum() + t[n, k].sum()) for n in range(2) for k in range(3)]
    assert dice(p, t).item() == pytest.approx(1 - np.mean(parts), abs=0.01)
    assert dice(t, t).item() == pytest.approx(0.0, abs=1e-12)
    assert dice(1 - t, t).item() == pytest.approx(1.0, abs=0.01)


def test_dice_leaves_out_what_nobody_drew() -> None:
    p = torch.rand(2, 3, 8, 8, requires_grad=True)
    t = (torch.rand(2, 3, 8, 8) < 0.4).float()
    t[0, 2] = float("nan")
    labelled = torch.ones(2, 3)
    labelled[0, 2] = 0
    loss = dice(p, t, labelled)
    loss.backward()
    separate = [dice(p[n : n + 1, k : k + 1], t[n : n + 1, k : k + 1]) for n, k in np.ndindex(2, 3) if (n, k) != (0, 2)]
    assert loss.item() == pytest.approx(np.mean([part.item() for part in separate]), rel=1e-5)
    assert p.grad is not None and torch.isfinite(p.grad).all()
    assert p.grad[0, 2].abs().sum() == 0 and p.grad[1, 2].abs().sum() > 0


def test_dice_of_nothing_labelled() -> None:
    p = torch.rand(1, 3, 4, 4, requires_grad=True)
    loss = dice(p, torch.zeros(1, 3, 4, 4), torch.zeros(1, 3))
    loss.backward()
    assert loss.item() == 0.0 and p.grad is not None and p.grad.abs().sum() == 0


def boxed(*boxes: tuple[int, int, int, int, int]) -> torch.Tensor:
    """[1, 3, 8, 8]: of a disease, from top to bottom and from left to right."""
    covered = torch.zeros(1, 3, 8, 8)
    for disease, top, bottom, left, right in boxes:
        covered[0, disease, top:bottom, left:right] = 1
    return covered


def test_evidence_asks_where_a_map_is_above_its_middle_and_not_how_high() -> None:
    truth = boxed((0, 1, 4, 2, 5), (2, 6, 8, 0, 8))
    right = truth * 3 - 7
    assert evidence(right, truth).item() < 0.03
    assert evidence(right * 40 + 100, truth).item() == pytest.approx(evidence(right, truth).item(), abs=1e-4)
    assert evidence(-right, truth).item() > 0.9
    moved = right.clone()
    moved[0, 0] = moved[0, 0].roll(2, 1)  # two of three columns beside the box: Dice 1/3, and the other map right
    assert evidence(moved, truth).item() == pytest.approx((2 / 3 + 0) / 2, abs=0.03)


def test_evidence_by_its_equation_with_cells_that_a_box_covers_in_part() -> None:
    maps = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    covered = torch.rand(4, 3, 20, 20, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    covered[1] = 0
    found = []
    for n, c in np.ndindex(4, 3):
        if n == 1:
            continue
        share = covered[n, c].numpy().reshape(5, 4, 5, 4).mean((1, 3))
        x = maps[n, c].numpy().astype(np.float32)
        pointed = 1 / (1 + np.exp(-10 * ((x - x.min()) / (x.max() - x.min()) - 0.5)))
        found.append(1 - 2 * (pointed * share).sum() / (pointed + share).sum())
    assert evidence(maps, covered).item() == pytest.approx(np.mean(found), rel=1e-5)


def test_nothing_is_learned_where_no_box_is_known_or_a_map_is_flat() -> None:
    maps = torch.randn(2, 3, 8, 8, requires_grad=True)
    loss = evidence(maps, torch.zeros(2, 3, 8, 8))
    loss.backward()
    assert loss.item() == 0 and maps.grad is not None and not maps.grad.any()
    flat = torch.zeros(1, 3, 8, 8, requires_grad=True)
    evidence(flat, boxed((1, 2, 4, 2, 4))).backward()
    assert flat.grad is not None and torch.isfinite(flat.grad).all()
