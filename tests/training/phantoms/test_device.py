"""Pictures developed by torch, many at once, are those that NumPy develops one by one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cxredge.errors import UsageError
from training.phantoms import Phantom, PhantomPool, batch, generate
from training.phantoms.device import Developer, chosen
from training.phantoms.filters import blur_matrix, blurred, blurred_part
from training.phantoms.generator import draw

torch = pytest.importorskip("torch")

SEEDS, SIZE = range(24), 96
STEPS = 1
"""Of 4095: rounding may tip a value to the next one."""
FEW = 1e-3
"""Share of the pixels that may be tipped."""


@pytest.fixture(scope="module")
def alone() -> list[Phantom]:
    return [generate(seed, size=SIZE) for seed in SEEDS]


def check(ours: list[Phantom], theirs: list[Phantom]) -> None:
    """The truth bit by bit, the picture to a step."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a.masks, b.masks)
        assert np.array_equal(a.labels, b.labels)
        assert a.boxes == b.boxes
        assert a.parameters == b.parameters
        assert a.disease_masks.keys() == b.disease_masks.keys()
        assert all(np.array_equal(a.disease_masks[name], b.disease_masks[name]) for name in a.disease_masks)
    off = np.abs(np.stack([a.stored for a in ours]).astype(int) - np.stack([b.stored for b in theirs]))
    assert off.max() <= STEPS
    assert (off > 0).mean() < FEW


def test_torchs_processor_agrees(alone: list[Phantom]) -> None:
    check(batch(SEEDS, size=SIZE, device="cpu"), alone)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no graphics card here")
def test_a_card_agrees(alone: list[Phantom]) -> None:
    check(batch(SEEDS, size=SIZE, device="cuda"), alone)


def test_processes_and_a_device_together(alone: list[Phantom]) -> None:
    with PhantomPool(2, device="cpu") as pool:
        check(list(pool.stream(SEEDS, size=SIZE)), alone)


def test_several_batches_in_order(alone: list[Phantom], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.phantoms.device._PIXELS", 5 * SIZE**2)
    assert Developer("cpu").at_once(SIZE) == 5
    check(batch(SEEDS, size=SIZE, device="cpu"), alone)


def test_low_precision_that_training_allows_does_not_reach_the_pictures() -> None:
    exposed = [draw(seed, size=SIZE).exposed for seed in range(2)]
    plain = [stored.copy() for stored in Developer("cpu")(exposed)]
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            again = list(Developer("cpu")(exposed))
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert all(np.array_equal(a, b) for a, b in zip(plain, again, strict=True))


def test_findings_may_be_a_function_of_the_seed(alone: list[Phantom]) -> None:
    drawn = batch(SEEDS, size=SIZE, device="cpu", findings=lambda seed: alone[seed].parameters["findings"])
    check(drawn, alone)


def test_auto_is_a_card_or_none() -> None:
    assert chosen("auto") == ("cuda" if torch.cuda.is_available() else None)
    assert chosen(None) is None


def test_without_torch_auto_is_none_and_a_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("training.phantoms.device.find_spec", lambda name: None if name == "torch" else find(name))
    assert chosen("auto") is None
    with pytest.raises(UsageError, match="torch"):
        chosen("cpu")


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(UsageError, match=device):
        PhantomPool(0, device=device)


def test_phantoms_without_a_device_import_no_torch() -> None:
    code = "import sys; from training.phantoms import batch; batch([1], size=64); print('torch' in sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.fixture
def picture() -> Iterator[np.ndarray]:
    yield np.random.default_rng(4).random((70, 70), dtype=np.float32)


@pytest.mark.parametrize("step", [-3, 0, 20, 29, 30, 40, 54, 55, 70])
def test_a_blur_is_its_matrix(picture: np.ndarray, step: int) -> None:
    matrix = blur_matrix(70, step).astype(np.float64)
    assert np.abs(matrix @ picture @ matrix.T - blurred(picture, step)).max() < 2e-6


@pytest.mark.parametrize("step", [25, 40, 60])
def test_a_part_of_a_blur_is_all_of_it(picture: np.ndarray, step: int) -> None:
    filled, wanted = np.s_[10:40, 0:25], np.s_[20:70, 3:31]
    picture[:10], picture[40:], picture[:, 25:] = 0, 0, 0
    part = blurred_part(picture[filled], 70, step, filled, wanted)
    assert np.abs(part - blurred(picture, step)[wanted]).max() < 2e-6
