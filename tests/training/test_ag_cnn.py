"""AG-CNN: the largest region against scipy, the crop, the heat map, the stages."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import ndimage

from cxredge.errors import UsageError
from tests.support.narrow import images, narrow
from training.methods.ag_cnn import AgCnn, heat_map
from training.methods.regions import box_of, crop_box, largest_region, spread_steps, unit_range


def reference_box(mask: npt.NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """By connected-component labelling: 8 neighbours, the largest, of equal ones the first in reading order."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 0:
        return 0.0, 0.0, 1.0, 1.0
    sizes = np.bincount(labels.ravel())[1:]
    rows, columns = np.nonzero(labels == 1 + int(np.argmax(sizes)))
    height, width = mask.shape
    return columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_box_agrees_with_labelling(dtype: torch.dtype) -> None:
    """1,000 random 7 x 7 maps of all densities; many have several regions of the same size."""
    rng = np.random.default_rng(7)
    masks = rng.random((1000, 7, 7)) < rng.uniform(0.05, 0.7, (1000, 1, 1))
    regions = largest_region(torch.from_numpy(masks).to(dtype))
    boxes = box_of(regions.float()).numpy()
    expected = np.array([reference_box(mask) for mask in masks], dtype=np.float32)
    np.testing.assert_allclose(boxes, expected, atol=1e-6)
    ties = [np.bincount(ndimage.label(mask, np.ones((3, 3)))[0].ravel())[1:] for mask in masks]
    assert sum(len(sizes) > 1 and (sizes == sizes.max()).sum() > 1 for sizes in ties) > 100


def test_ties_go_to_the_first_in_reading_order() -> None:
    mask = torch.zeros(2, 5, 5)
    mask[0, 0, 3:] = mask[0, 4, :2] = 1.0
    mask[1, 2, 0] = mask[1, 1, 4] = 1.0
    regions = largest_region(mask)
    assert regions[0].nonzero().tolist() == [[0, 3], [0, 4]]
    assert regions[1].nonzero().tolist() == [[1, 4]]


def test_winding_regions_are_followed_to_their_end() -> None:
    """A snake is the longest way that a label can have to go; a map that is not square, too."""
    for rows, columns in ((7, 7), (5, 9), (14, 14), (3, 2)):
        snake = np.zeros((rows, columns), bool)
        snake[::2, 1:-1] = True
        for turn, row in enumerate(range(1, rows, 2)):
            snake[row, -1 if turn % 2 == 0 else 0] = row + 1 < rows
        snake[0, 0] = snake[-1, 0] = False
        whole = largest_region(torch.from_numpy(snake)[None].float())[0]
        expected, _ = ndimage.label(snake, np.ones((3, 3)))
        first = expected == 1 + np.argmax(np.bincount(expected.ravel())[1:])
        assert np.array_equal(whole.numpy() > 0, first)
        assert first.sum() <= spread_steps(rows, columns) + 1
    assert spread_steps(7, 7) == 31


def test_empty_and_full_masks() -> None:
    boxes = box_of(largest_region(torch.stack([torch.zeros(7, 7), torch.ones(7, 7)])))
    assert boxes.tolist() == [[0.0, 0.0, 1.0, 1.0]] * 2


def test_crop_of_the_whole_image_is_the_image() -> None:
    image = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(crop_box(image, torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 2)), image, atol=1e-5, rtol=0)


def test_crop_is_the_box_resized() -> None:
    """Against torch's own resize of the slice, away from the border where the neighbours outside the box differ."""
    image = torch.rand(1, 1, 56, 56)
    box = torch.tensor([[1 / 7, 2 / 7, 5 / 7, 6 / 7]])
    part = image[:, :, 16:48, 8:40]
    resized = torch.nn.functional.interpolate(part, size=(56, 56), mode="bilinear", align_corners=False)
    torch.testing.assert_close(crop_box(image, box)[..., 2:-2, 2:-2], resized[..., 2:-2, 2:-2], atol=1e-5, rtol=0)


def test_heat_map_statistics() -> None:
    features = torch.randn(2, 5, 3, 3)
    f = features.numpy().astype(np.float64)
    np.testing.assert_allclose(heat_map(features), np.abs(f).max(1), rtol=1e-6)
    np.testing.assert_allclose(heat_map(features, "l1"), np.abs(f).sum(1) / 5, rtol=1e-6)
    np.testing.assert_allclose(heat_map(features, "l2"), np.sqrt((f**2).sum(1)) / 5, rtol=1e-6)


def test_unit_range() -> None:
    heat = torch.tensor([[[2.0, 4.0], [3.0, 2.0]], [[5.0, 5.0], [5.0, 5.0]]])
    assert unit_range(heat).tolist() == [[[0.0, 1.0], [0.5, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]


def test_the_branches_see_what_they_should() -> None:
    method = narrow("ag_cnn", crop=96, field=128)
    assert isinstance(method, AgCnn)
    view = images(3, 96)
    found = method.branches(view)
    expected = [reference_box(heat > 0.7) for heat in found.heat.detach().numpy()]
    np.testing.assert_allclose(found.box, expected, atol=1e-6)
    pool_global = method.global_backbone(method.normalise(view)).amax((2, 3))
    pool_local = method.local_backbone(method.normalise(crop_box(view, found.box))).amax((2, 3))
    torch.testing.assert_close(found.whole, method.global_classifier(pool_global))
    torch.testing.assert_close(found.local, method.local_classifier(pool_local))
    both = method.fusion_classifier(torch.cat([pool_global, pool_local], 1))
    torch.testing.assert_close(found.fusion, both)
    assert found.fusion.shape == (3, 15)
    torch.testing.assert_close(method.score(view).logits, both[:, :14])


@pytest.mark.parametrize(
    ("stage", "learns"), [("global", "global_"), ("local", "local_"), ("fusion", "fusion_"), (None, "")]
)
def test_stages_freeze_what_came_before(stage: str | None, learns: str) -> None:
    method = narrow("ag_cnn").train()
    assert isinstance(method, AgCnn)
    method.set_stage(stage)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)
    logits = method.training_logits(images(4, 64))
    assert logits.shape == (4, 15)
    logits.square().sum().backward()
    optimizer.step()
    changed = {name for name, value in method.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith(learns) for name in changed)


def test_unknown_stage() -> None:
    method = narrow("ag_cnn")
    assert isinstance(method, AgCnn)
    with pytest.raises(UsageError, match="global, local, fusion"):
        method.set_stage("last")
