"""A phantom says the truth about itself: organs where they should be, and the same bytes again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, center_of_mass, label

from cxredge.errors import UsageError
from cxredge.result import LABELS, STRUCTURES
from training.phantoms import Phantom, PhantomPool, batch, generate, sample_findings
from training.phantoms.findings import stream

SIZE = 160


@pytest.fixture(scope="module")
def healthy() -> list[Phantom]:
    return [generate(seed, size=SIZE, findings={}, devices=False) for seed in range(12)]


def same(a: Phantom, b: Phantom) -> bool:
    return (
        a.image.tobytes() == b.image.tobytes()
        and a.masks.tobytes() == b.masks.tobytes()
        and a.boxes == b.boxes
        and a.parameters == b.parameters
    )


def test_same_seed_same_bytes() -> None:
    assert same(generate(5, size=SIZE), generate(5, size=SIZE))
    assert not same(generate(5, size=SIZE), generate(6, size=SIZE))


def test_processes_draw_the_same() -> None:
    seeds = list(range(9))
    with PhantomPool(2) as pool:
        there = list(pool.stream(seeds, size=96))
    assert all(same(a, b) for a, b in zip(batch(seeds, size=96), there, strict=True))


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, 2**70])
def test_random_numbers_are_those_of_the_seed_and_the_purpose(seed: int) -> None:
    expected = np.random.default_rng([seed, *b"pose"]).random(4)
    assert np.array_equal(stream(seed, "pose").random(4), expected)


def test_shapes_and_ranges(healthy: list[Phantom]) -> None:
    for phantom in healthy:
        assert phantom.image.shape == (SIZE, SIZE)
        assert phantom.image.dtype == np.float32
        assert phantom.image.min() >= 0
        assert phantom.image.max() <= 1
        assert phantom.stored.max() < 4096
        assert phantom.masks.shape == (len(STRUCTURES), SIZE, SIZE)
        assert phantom.labels.tolist() == [0] * len(LABELS)
        assert phantom.boxes == ()


def test_organs_lie_as_in_a_patient(healthy: list[Phantom]) -> None:
    """Seen from the front: the patient's left lung on the image's right, the heart between and below, to the left."""
    for phantom in healthy:
        left, right, heart = (center_of_mass(mask) for mask in phantom.masks)
        assert right[1] < heart[1] < left[1]
        assert heart[1] > 0.5 * (left[1] + right[1])
        assert heart[0] > 0.5 * (left[0] + right[0])
        assert not (phantom.masks.sum(0) > 1).any()
        for mask in phantom.masks:
            _, parts = label(mask)
            assert 0.03 < mask.mean() < 0.25
            assert parts <= 2  # a sliver beyond the heart's apex may be cut off


def test_masks_are_of_the_picture(healthy: list[Phantom]) -> None:
    """Lungs are darker than the heart, in the picture and right at their common border."""
    for phantom in healthy:
        left, right, heart = phantom.masks
        lungs = left | right
        assert np.median(phantom.image[lungs]) < np.median(phantom.image[heart]) - 0.15
        inside = heart & binary_dilation(lungs, iterations=4)
        outside = lungs & binary_dilation(heart, iterations=4)
        assert phantom.image[outside].mean() < phantom.image[inside].mean() - 0.1


def test_image_is_the_stored_values_through_the_window(healthy: list[Phantom]) -> None:
    from pydicom.dataset import Dataset
    from pydicom.pixels import apply_windowing

    for phantom in healthy[:4]:
        ds = Dataset()
        ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = *phantom.window, "LINEAR"
        ds.PhotometricInterpretation, ds.BitsStored, ds.PixelRepresentation = "MONOCHROME2", 12, 0
        expected = apply_windowing(phantom.stored, ds) / 4095
        assert np.allclose(phantom.image, expected, atol=1e-5)


def test_size_changes_resolution_not_the_patient() -> None:
    small, large = (generate(7, size=size, findings={"Mass": 0.6}) for size in (128, 256))
    joined = large.image.reshape(128, 2, 128, 2).mean((1, 3))
    assert np.corrcoef(small.image.ravel(), joined.ravel())[0, 1] > 0.99
    assert small.spacing == pytest.approx(2 * large.spacing)
    for a, b in zip(small.masks, large.masks[:, ::2, ::2], strict=True):
        assert (a & b).sum() / (a | b).sum() > 0.95


def test_sampled_findings_come_together_as_told() -> None:
    drawn = [sample_findings(np.random.default_rng(seed)) for seed in range(6000)]
    has = np.array([[name in findings for name in LABELS] for findings in drawn], float)
    rate = dict(zip(LABELS, has.mean(0), strict=True))
    assert rate["Effusion"] == pytest.approx(0.13, abs=0.02)
    assert rate["Hernia"] == pytest.approx(0.05, abs=0.015)
    together = np.corrcoef(has.T)
    assert together[LABELS.index("Effusion"), LABELS.index("Atelectasis")] > 0.1
    assert together[LABELS.index("Emphysema"), LABELS.index("Cardiomegaly")] < 0
    assert all(0.2 <= severity <= 1 for findings in drawn for severity in findings.values())
    assert 0.2 < (has.sum(1) == 0).mean() < 0.6


def test_prevalence_can_be_set() -> None:
    only = dict.fromkeys(LABELS, 0.0) | {"Mass": 1.0}
    assert set(sample_findings(np.random.default_rng(0), only)) == {"Mass"}


UNUSABLE: list[dict[str, object]] = [
    {"findings": {"Gout": 0.5}},
    {"findings": {"Mass": 1.5}},
    {"findings": {"Mass": float("nan")}},
    {"prevalence": {"Mass": 2.0}},
    {"size": 32},
]


@pytest.mark.parametrize("options", UNUSABLE, ids=str)
def test_unusable_arguments_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        generate(0, **options)  # type: ignore[arg-type]


def test_negative_seed_is_refused() -> None:
    with pytest.raises(UsageError):
        generate(-1)
