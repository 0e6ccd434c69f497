"""A file of scores, `cxredge.scores/1`: what a graph said of labelled cases. An `.npz` without pickles."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.errors import CalibrationError, Problem
from calibration.planes import Planes
from calibration.running import Answers
from cxredge.files import write_atomically
from cxredge.result import LABELS
from export.graphfile import GraphFile

__all__ = ["SCHEMA", "Scores", "read_scores", "write_scores"]

SCHEMA = "cxredge.scores/1"


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Logits of cases.

    Attributes:
        logits: [N, 14].
        truth: [N, 14] of 1, 0 and not-a-number.
        patients: tags.
        images: SHA-256 of each image file.
        facts: graph, precision, what ran, the table.
        gate: logits [N, 3] of the input gate; None where the graph has none.
    """

    logits: npt.NDArray[np.float64] = field(repr=False)
    truth: npt.NDArray[np.float64] = field(repr=False)
    patients: tuple[str, ...] = field(repr=False)
    images: tuple[str, ...] = field(repr=False)
    facts: dict[str, Any]
    gate: npt.NDArray[np.float64] | None = field(default=None, repr=False)


def write_scores(path: Path, graph: GraphFile, planes: Planes, given: Answers, *, chosen_on: int = 0) -> None:
    """Write what a graph answered; no path and no name of a patient is kept.

    Args:
        path: the file.
        graph: which answered.
        planes: what it was shown.
        given: what it answered.
        chosen_on: how many of the patients chose the graph's epoch.
    """
    info = given.info
    facts = {
        "schema": SCHEMA,
        "graph_sha256": graph.sha256,
        "precision": graph.precision,
        "method": graph.metadata.get("method"),
        "ran": f"{info.engine} {info.version}, {info.device}, {info.precision}",
        "table_sha256": planes.table.sha256,
        "refused": planes.refused,
        "chosen_on": chosen_on,
    }
    file = io.BytesIO()
    np.savez(
        file,
        logits=given.logits,
        truth=planes.table.truth.astype(np.float32),
        patients=np.array(planes.table.tags),
        images=np.array(planes.hashes),
        facts=np.array(json.dumps(facts)),
        **({} if given.gate is None else {"gate": given.gate}),
    )
    write_atomically(path, file.getvalue())


def read_scores(path: Path) -> Scores:
    """Read a file of scores.

    Raises:
        CalibrationError: it is not one.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(str(file["facts"]))
            logits, truth = (file[name].astype(np.float64) for name in ("logits", "truth"))
            gate = file["gate"].astype(np.float64) if "gate" in file else None
            patients, images = (tuple(file[name].tolist()) for name in ("patients", "images"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CalibrationError(Problem.SCORES, f"{path} is no file of scores ({type(error).__name__})") from None
    shapes = {logits.shape, truth.shape, (len(patients), len(LABELS)), (len(images), len(LABELS))}
    if facts.get("schema") != SCHEMA or len(shapes) != 1 or (gate is not None and gate.shape != (len(logits), 3)):
        raise CalibrationError(Problem.SCORES, f"{path} is no file of scores: use `python -m calibration score`")
    return Scores(logits, truth, patients, images, facts, gate)
