"""AG-CNN's box as a graph on both engines, against SciPy's connected components."""

from __future__ import annotations

import numpy as np

from export.region import box_by_labelling, check_boxes, heat_maps


def test_a_thousand_boxes_on_7_x_7() -> None:
    found = check_boxes(7, 0.7, ("onnxruntime", "openvino"), limit_seconds=120)
    assert found["equal"] == {"onnxruntime": 1000, "openvino": 1000}
    assert found["maps"] == 1000 and found["with_ties"] > 100 and found["at_tau"] > 100


def test_a_cell_of_exactly_tau_is_not_above_it() -> None:
    maps = heat_maps(7, 0.7)
    assert (maps == np.float32(0.7)).any() and not (np.float32(0.7) > np.float32(0.7))
    assert 0.05 < (maps > np.float32(0.7)).mean() < 0.95


def test_labelling_itself() -> None:
    """By hand: diagonal neighbours belong together, of equal regions the first counts, an empty mask is the whole."""
    mask = np.zeros((4, 4), bool)
    assert box_by_labelling(mask) == (0.0, 0.0, 1.0, 1.0)
    mask[0, 3] = mask[2, 0] = mask[3, 1] = True
    assert box_by_labelling(mask) == (0.0, 0.5, 0.5, 1.0)
    mask[1, 2] = True
    assert box_by_labelling(mask) == (0.5, 0.0, 1.0, 0.5)
