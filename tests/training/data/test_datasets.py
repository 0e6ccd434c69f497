"""What a loader gets, and that augmentation moves image and masks alike."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn.functional import avg_pool2d
from torch.utils.data import DataLoader

from cxredge.errors import UsageError
from cxredge.pixels import Geometry
from cxredge.result import LABELS
from tests.support import drawn_sets as drawn
from training.data import Augment, ChestDataset, PhantomDataset, PlaneCache, open_collection
from training.data.augment import Drawn, apply
from training.data.cases import Box
from training.data.evidence import covered

KNOWN = torch.tensor([True, True, False])


def field(rows: int = 48, columns: int = 64) -> torch.Tensor:
    """A smooth picture without symmetry."""
    noise = np.random.default_rng(0).random((rows, columns)).astype(np.float32)
    smooth = ndimage.gaussian_filter(noise, 3)
    return torch.from_numpy((smooth - smooth.min()) / (smooth.max() - smooth.min()))[None]


def moved(drawn_: Drawn, image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    masks = torch.cat([image, 1 - image, image * 0.5])
    found, outlines, known = apply(drawn_, image, masks, KNOWN, size=size, masks_size=size)
    order = [1, 0, 2] if drawn_.flip else [0, 1, 2]
    if drawn_.contrast == drawn_.gamma == 1 and not drawn_.angle:  # beyond the field, 1 - image is not 1 - 0
        assert torch.allclose(outlines[order], torch.cat([found, 1 - found, found * 0.5]), atol=1e-5)
    assert known.tolist() == [True, True, False]
    return found


def test_nothing_drawn_changes_nothing() -> None:
    image = field()
    assert torch.allclose(moved(Drawn((0, 0, 48, 64)), image, (48, 64)), image, atol=1e-5)


def test_a_crop_is_a_slice() -> None:
    image = field()
    assert torch.allclose(moved(Drawn((5, 9, 32, 40)), image, (32, 40)), image[:, 5:37, 9:49], atol=1e-5)


def test_a_crop_beyond_the_field_shows_all_of_it_with_black_around() -> None:
    image = field()
    far = Drawn((-24, -32, 96, 128))
    found, outlines, _ = apply(far, image, image.repeat(3, 1, 1), KNOWN, size=(96, 128), masks_size=(48, 64))
    assert torch.allclose(outlines[1:2, 12:36, 16:48], avg_pool2d(image, 2), atol=1e-5)
    assert torch.allclose(found[:, 24:72, 32:96], image, atol=1e-5)
    assert max(found[:, :24].max(), found[:, :, 96:].max()) < 1e-5


def test_a_flip_exchanges_the_lungs() -> None:
    image = field()
    masks = torch.stack([torch.zeros(24, 32), torch.ones(24, 32), torch.full((24, 32), 0.5)])
    known = torch.tensor([True, False, True])
    found, outlines, known = apply(
        Drawn((0, 0, 48, 64), flip=True), image, masks, known, size=(48, 64), masks_size=(24, 32)
    )
    assert torch.allclose(found, image.flip(-1), atol=1e-5)
    assert outlines.mean((1, 2)).tolist() == pytest.approx([1.0, 0.0, 0.5])
    assert known.tolist() == [False, True, True]
    moved(Drawn((2, 3, 40, 50), flip=True), image, (40, 50))


def test_a_quarter_turn_and_scipy() -> None:
    image = field(48, 48)
    turned = moved(Drawn((0, 0, 48, 48), angle=90), image, (48, 48))
    assert torch.allclose(turned, torch.rot90(image, 1, (1, 2)), atol=1e-4)
    # Any other angle, on a field that is not square, against scipy's own turn.
    image = field(48, 64)
    mine = moved(Drawn((0, 0, 48, 64), angle=11), image, (48, 64))[0].numpy()
    theirs = ndimage.rotate(image[0].numpy(), 11, reshape=False, order=1)
    inside = ndimage.rotate(np.ones((48, 64)), 11, reshape=False, order=1) > 0.999
    inside = ndimage.binary_erosion(inside, iterations=2)
    assert inside.sum() > 1000 and np.abs(mine - theirs)[inside].max() < 1e-3
    assert mine[0, 0] == 0  # what comes from outside is black


def test_contrast_keeps_the_mean_and_the_range() -> None:
    image = field() * 0.5 + 0.25
    found = moved(Drawn((0, 0, 48, 64), contrast=1.2), image, (48, 64))
    assert found.mean().item() == pytest.approx(image.mean().item(), abs=1e-4)
    assert found.std().item() == pytest.approx(1.2 * image.std().item(), rel=1e-3)
    strong = moved(Drawn((0, 0, 48, 64), contrast=9.0), image, (48, 64))
    assert strong.min() == 0 and strong.max() == 1


def test_gamma_bends_the_curve_and_keeps_its_ends() -> None:
    image = field()
    found = moved(Drawn((0, 0, 48, 64), gamma=2.0), image, (48, 64))
    assert torch.allclose(found, image.clamp(0, 1).square(), atol=1e-4)


def test_what_is_drawn_lies_in_its_ranges() -> None:
    wide = Augment(size=(20, 20), scale=(0.3, 0.9), flip=0.5, rotate=5, contrast=0.1, gamma=0.5)
    rng = np.random.default_rng(1)
    found = [wide.draw(rng, 48, 64) for _ in range(500)]
    areas = [d.box[2] * d.box[3] / (48 * 64) for d in found]
    assert 0.28 < min(areas) < 0.35 and 0.8 < max(areas) < 0.92
    assert all(0 <= d.box[0] <= 48 - d.box[2] and 0 <= d.box[1] <= 64 - d.box[3] for d in found)
    assert 0.4 < np.mean([d.flip for d in found]) < 0.6
    assert 4.9 < max(d.angle for d in found) <= 5 and -5 <= min(d.angle for d in found) < -4.9
    assert 0.9 <= min(d.contrast for d in found) < 0.91
    assert 1 / 1.5 <= min(d.gamma for d in found) < 0.68 and 1.47 < max(d.gamma for d in found) <= 1.5
    far = [Augment(scale=(0.8, 2.0)).draw(rng, 48, 64).box for _ in range(300)]
    assert max(height * width for _, _, height, width in far) > 1.8 * 48 * 64
    for top, left, height, width in far:
        assert (height <= 48 and width <= 64) or (height >= 48 and width >= 64)
        assert min(0, 48 - height) <= top <= max(0, 48 - height) and min(0, 64 - width) <= left <= max(0, 64 - width)
    shifted = {Augment(size=(44, 60)).draw(rng, 48, 64).box for _ in range(500)}
    assert {box[2:] for box in shifted} == {(44, 60)}
    assert {box[0] for box in shifted} == set(range(5)) == {box[1] for box in shifted}


@pytest.mark.parametrize(
    "options",
    [
        {"scale": (0, 1)},
        {"scale": (0.5, 5)},
        {"scale": (0.9, 0.5)},
        {"flip": 2},
        {"size": (0, 4)},
        {"contrast": -1},
        {"rotate": math.nan},
        {"gamma": -1},
    ],
)
def test_ranges_that_cannot_be_drawn_from(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Augment(**options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="does not fit"):
        Augment(size=(99, 9)).draw(np.random.default_rng(), 48, 64)


@pytest.fixture
def planes(tmp_path: Path) -> tuple[object, PlaneCache]:
    found = open_collection("jsrt", drawn.write_jsrt(tmp_path))
    return found, PlaneCache.build(found, tmp_path / "cache", geometry=Geometry(64, 64), workers=0)


def test_items_of_a_collection(planes: tuple) -> None:
    collection, cache = planes
    plain = ChestDataset(collection, (2, 0), cache)
    assert len(plain) == 2
    item = plain[1]
    assert item["index"] == 0
    assert np.array_equal(item["image"][0].numpy(), cache.plane(0))
    assert item["masks"].shape == (3, 32, 32) and item["masks_known"].tolist() == [True] * 3
    nodule = LABELS.index("Nodule")
    assert item["labels_known"].tolist() == [place == nodule for place in range(14)]
    assert item["labels"].tolist() == [float(place == nodule) for place in range(14)]
    assert torch.equal(plain.labels()[:, nodule], torch.tensor([0.0, 1.0])) and plain.labels().isnan().sum() == 26
    types = {name: item[name].dtype for name in ("image", "labels", "labels_known", "masks", "masks_known")}
    assert types == {
        "image": torch.float32,
        "labels": torch.float32,
        "labels_known": torch.bool,
        "masks": torch.float32,
        "masks_known": torch.bool,
    }
    resized = ChestDataset(collection, (0,), cache, masks_size=(16, 16))[0]["masks"]
    wanted = item["masks"].reshape(3, 16, 2, 16, 2).mean((2, 4))
    assert resized.shape == (3, 16, 16) and (resized - wanted).abs().max() < 1e-5


def test_views_are_seeded_by_epoch_and_index(planes: tuple) -> None:
    collection, cache = planes
    wide = Augment(size=(56, 48), scale=(0.5, 1), flip=0.5, rotate=10, contrast=0.2)
    one, two = (ChestDataset(collection, (0, 1, 2), cache, augment=wide, seed=7) for _ in range(2))
    assert one[0]["image"].shape == (1, 56, 48) and one[0]["masks"].shape == (3, 28, 24)
    assert all(torch.equal(one[i]["image"], two[i]["image"]) for i in range(3))
    first = one[0]["image"]
    one.set_epoch(1)
    assert not torch.equal(one[0]["image"], first)
    two.set_epoch(1)
    assert torch.equal(one[0]["masks"], two[0]["masks"])
    other = ChestDataset(collection, (0,), cache, augment=wide, seed=8)
    other.set_epoch(1)
    assert not torch.equal(other[0]["image"], one[0]["image"])


def test_workers_that_stay_see_the_epoch(planes: tuple) -> None:
    collection, cache = planes
    dataset = ChestDataset(collection, (0, 1, 2), cache, augment=Augment(size=(48, 48)), seed=7)
    loader = DataLoader(dataset, batch_size=3, num_workers=1, persistent_workers=True)
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        (batch,) = loader
        here = torch.stack([dataset[i]["image"] for i in range(3)])
        assert torch.equal(batch["image"], here)
        assert batch["index"].tolist() == [0, 1, 2]


def test_a_cache_of_another_collection_is_refused(planes: tuple, tmp_path: Path) -> None:
    other = open_collection("nih", drawn.write_nih_folder(tmp_path / "nih"))
    with pytest.raises(UsageError, match="not of this collection"):
        ChestDataset(other, (0,), planes[1])


def test_phantoms_are_the_same_items() -> None:
    dataset = PhantomDataset(2, size=96, first_seed=5)
    item, again = dataset[1], PhantomDataset(1, size=96, first_seed=6)[0]
    assert item["image"].shape == (1, 96, 96) and item["masks"].shape == (3, 48, 48)
    assert item["labels_known"].all() and item["masks_known"].all()
    assert torch.equal(item["image"], again["image"]) and torch.equal(item["labels"], again["labels"])
    left, right, heart = (mask.nonzero()[:, 1].float().mean() for mask in item["masks"] > 0.5)
    assert right < heart < left  # the patient's left is on the image's right
    flipped = PhantomDataset(2, size=96, first_seed=5, augment=Augment(flip=1.0))[1]
    assert torch.allclose(flipped["image"], item["image"].flip(-1), atol=1e-5)
    assert torch.allclose(flipped["masks"][[1, 0, 2]], item["masks"].flip(-1), atol=1e-5)
    with pytest.raises(IndexError):
        dataset[2]


def test_cells_are_covered_by_the_share_of_them_that_lies_in_a_box() -> None:
    boxes = (Box("Mass", 0.11, 0.2, 0.37, 0.83), Box("Mass", 0.3, 0.1, 0.9, 0.3), Box("Hernia", 0.5, 0.5, 0.75, 1.0))
    found = covered(boxes, 10)
    fine = np.zeros((2, 1000, 1000), bool)
    for plane, box in zip((fine[0], fine[0], fine[1]), boxes, strict=True):
        rows, columns = (
            slice(round(box.top * 1000), round(box.bottom * 1000)),
            slice(round(box.left * 1000), round(box.right * 1000)),
        )
        single = np.zeros((1000, 1000), bool)
        single[rows, columns] = True
        share = single.reshape(10, 100, 10, 100).mean((1, 3))
        assert (found[LABELS.index(box.label)] >= share - 1e-6).all()
        plane |= single
    for label, plane in zip(("Mass", "Hernia"), fine, strict=True):
        share = plane.reshape(10, 100, 10, 100).mean((1, 3))
        # Where two boxes of a disease share a cell, the larger part counts: never more than both together.
        assert (found[LABELS.index(label)] <= share + 1e-6).all()
    assert found.sum((1, 2)).astype(bool).sum() == 2


def test_evidence_moves_with_the_picture() -> None:
    """A white rectangle and its box are turned, flipped, cropped and seen from afar alike."""
    augment = Augment(size=(64, 64), scale=(0.5, 1.4), ratio=(0.8, 1.25), flip=0.5, rotate=20)
    data = PhantomDataset(20, size=64, augment=augment)
    box = Box("Nodule", 0.3, 0.2, 0.55, 0.4)
    data.located = dict.fromkeys(range(20), (box,))
    white = np.zeros((64, 64), np.float32)
    white[round(0.2 * 64) : round(0.4 * 64), round(0.3 * 64) : round(0.55 * 64)] = 1
    masks, met = np.zeros((3, 32, 32), np.float32), 0
    for index in range(20):
        item = data._item(index, white, [0.0] * 14, masks, (True, True, True))
        planes = item["evidence"]
        assert planes.shape == (14, 16, 16)
        assert not np.delete(planes.numpy(), LABELS.index("Nodule"), 0).any()
        seen, told = avg_pool2d(item["image"], 4)[0].numpy(), planes[LABELS.index("Nodule")].numpy()
        if min(seen[0].max(), seen[-1].max(), seen[:, 0].max(), seen[:, -1].max()) > 0 or seen.sum() < 4:
            continue  # cut off by the edge
        assert told.sum() == pytest.approx(seen.sum(), rel=0.15)
        np.testing.assert_allclose(ndimage.center_of_mass(told), ndimage.center_of_mass(seen), atol=0.3)
        met += 1
    assert met >= 15


def test_evidence_of_a_picture_that_is_not_moved_is_that_of_the_field(tmp_path: Path) -> None:
    data = PhantomDataset(2, size=64)
    data.located = {0: (Box("Edema", 0.25, 0.25, 0.75, 0.5),), 1: ()}
    assert "evidence" in data[0]
    assert float(data[0]["evidence"].sum()) == pytest.approx(0.5 * 0.25 * 16 * 16)
    assert not data[1]["evidence"].any()
    assert "evidence" not in PhantomDataset(1, size=64)[0]
