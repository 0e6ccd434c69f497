"""A small world to calibrate in: a narrow random network, drawn chests, and labels that go with what it says of them.

Labels are drawn from the network's own logits and noise, so it has a useful AUROC without being trained: what INT8
loses of it can be seen, and nothing has to be learned first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.cases import read_table
from calibration.planes import geometry_of, prepare
from calibration.running import answer
from export.graphfile import GraphFile, open_graph
from tests.support.exported import Shelf
from tests.support.site_cases import draw_cases, draw_labels, write_cases

CALIBRATING, JUDGING = 24, 140


@dataclass(frozen=True)
class World:
    """A graph, a table of cases that calibrate, and one of other patients' cases that judge."""

    graph: GraphFile
    data: Path
    judged: Path
    images: tuple[Path, ...]


def make_world(folder: Path, method: str = "chexnet") -> World:
    """Everything in `folder`."""
    graph = open_graph(Shelf().file(method, folder))
    images = draw_cases(folder, CALIBRATING + JUDGING)
    unlabelled = np.full((len(images), 14), np.nan)
    names = [f"csv:{number}" for number in range(len(images))]
    draft = write_cases(folder / "draft.csv", images, unlabelled, names)
    planes = prepare(read_table(draft), geometry_of(graph), folder / "planes")
    truth = draw_labels(answer(graph, "onnxruntime", planes).logits)
    data = write_cases(folder / "data.csv", images[:CALIBRATING], truth[:CALIBRATING], names[:CALIBRATING])
    judged = write_cases(folder / "judge.csv", images[CALIBRATING:], truth[CALIBRATING:], names[CALIBRATING:])
    return World(graph, data, judged, tuple(images))
