"""The real images, where they are: what their README says of them must be what is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxredge.pixels import Geometry, Percentiles
from cxredge.result import LABELS
from training.data import PlaneCache, open_collection, require_positives, split_of, summarise
from training.data.planes import plane_of, planes_of_masks

POSITIVES = dict(zip(LABELS, (281, 120, 305, 357, 191, 167, 400, 163, 178, 164, 113, 93, 165, 34), strict=True))


def test_nih_is_what_its_readme_says(shared_data: Path) -> None:
    found = open_collection("nih", shared_data / "nih")
    split = split_of(found)
    facts = summarise(found, split)
    assert (facts["cases"], facts["patients"], facts["no_finding"]) == (1208, 854, 341)
    assert {label: counts["positive"] for label, counts in facts["labels"].items()} == POSITIVES
    assert [len(fold) for fold in (split.train, split.val, split.test)] == [784, 210, 214]
    assert found.shippable and not split.official
    require_positives(split)
    assert split.sha256 == split_of(found).sha256


def test_nih_planes(shared_data: Path, tmp_path: Path) -> None:
    found = open_collection("nih", shared_data / "nih")
    for index in range(0, 1208, 100):
        plane = plane_of(found.cases[index], Geometry(64, 64, "pad"), Percentiles())
        assert plane.shape == (64, 64) and 0 <= plane.min() < plane.max() <= 1 and plane.std() > 0.05


@pytest.mark.parametrize(("kind", "count", "shippable"), [("montgomery", 138, True), ("shenzhen", 566, False)])
def test_real_lungs(shared_data: Path, tmp_path: Path, kind: str, count: int, shippable: bool) -> None:
    found = open_collection(kind, shared_data / "lungs" / kind)
    assert (len(found.cases), found.shippable) == (count, shippable)
    columns = np.arange(64)
    for case in found.cases[:: 1 if count < 200 else 5]:
        left, right, heart = planes_of_masks(case, Geometry(64, 64, "pad"))
        centres = [(mask.sum(0) * columns).sum() / mask.sum() for mask in (right, left)]
        assert centres[0] < 33 and centres[1] > 31 and centres[1] - centres[0] > 12, case.path.name
        assert min(left.sum(), right.sum()) > 0.25 * max(left.sum(), right.sum()), case.path.name
        assert (left + right).max() < 1.01 and heart.max() == 0


def test_real_lungs_are_dark(shared_data: Path, tmp_path: Path) -> None:
    """The masks lie where the lungs are in the cached plane: darker than what is around them."""
    found = open_collection("montgomery", shared_data / "lungs" / "montgomery")
    few = type(found)("Montgomery", found.root, found.cases[::12], shippable=True, citation="")
    cache = PlaneCache.build(few, tmp_path, geometry=Geometry(96, 96, "pad"), masks_size=(96, 96), workers=0)
    for index in range(len(few.cases)):
        plane, (masks, _) = cache.plane(index), cache.masks(index)
        lungs = masks[:2].max(0) > 0.5
        between = (masks[:2].max(0) < 0.5) & (plane > 0)
        assert plane[lungs].mean() < plane[between].mean()
