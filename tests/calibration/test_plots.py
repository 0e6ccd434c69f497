"""Pictures are drawn and measured: every operating point can be read, wherever it lies."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from calibration.plots import mark_points

STANDARD = ("balanced", "screening", "confirm", "corner", "f1", "cost")

CASES = {
    "all at one place": (dict.fromkeys(STANDARD, (0.1, 0.9)), 0.95),
    "closer than their names": ({name: (0.03 * i, 0.9 + 0.02 * i) for i, name in enumerate(STANDARD)}, 0.97),
    "a perfect graph": ({name: (0.0, 1.0 - 0.05 * (i % 2)) for i, name in enumerate(STANDARD)}, 1.0),
    "worse than chance": ({name: (0.2 + 0.15 * i, 0.02 + 0.1 * i) for i, name in enumerate(STANDARD)}, 0.3),
    "twelve": ({f"point-{i}": (i / 12, min(1.0, 0.3 + i / 12)) for i in range(12)}, 0.8),
    "none": ({}, 0.7),
}


@pytest.mark.parametrize("size", [(2.4, 2.4), (4.2, 4.0)], ids=["sheet", "panel"])
@pytest.mark.parametrize("case", CASES)
def test_every_point_has_its_name_and_no_name_lies_on_another(case: str, size: tuple[float, float]) -> None:
    points, auroc = CASES[case]
    figure = Figure(figsize=size, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    mark_points(axes, points, auroc)
    canvas.draw()
    legend = axes.get_legend()
    texts = [*legend.get_texts(), legend.get_title()]
    said = [name.strip() for text in legend.get_texts() for name in text.get_text().replace("\n", " ").split(",")]
    assert sorted(said) == sorted(points) and f"{auroc:.3f}" in legend.get_title().get_text()
    boxes = [text.get_window_extent() for text in texts]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    inside = axes.get_window_extent()
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in boxes)
    assert all(inside.y0 <= box.y0 and box.y1 <= inside.y1 for box in boxes)
    looks = [(line.get_marker(), line.get_color()) for line in axes.lines]
    assert len(set(looks)) == len(looks) == len(legend.get_texts())


def test_points_apart_keep_markers_of_their_own_at_their_places() -> None:
    axes = Figure().add_subplot()
    points = {"a": (0.1, 0.6), "b": (0.11, 0.605), "c": (0.13, 0.7)}
    mark_points(axes, points, 0.9)
    drawn = {line.get_label(): tuple(np.ravel(line.get_xydata())) for line in axes.lines}
    assert drawn == {"a, b": points["a"], "c": points["c"]}
