"""Who must not judge a graph: the patients who trained it and those whose images calibrated its INT8 form.

A graph's metadata count them and hold a hash of the list; the list itself (short hashes of patients) lies beside the
graph as `GRAPH.patients.json` and never enters a bundle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from calibration.errors import CalibrationError, Problem
from cxredge.files import write_atomically
from export.graphfile import GraphFile
from export.metadata import PATIENTS_SCHEMA, patients_path, tags_sha256

__all__ = ["chosen_by", "refuse_seen", "seen_by", "write_seen"]

_SHOWN = 5


def seen_by(graph: GraphFile) -> frozenset[str]:
    """Tags of the patients whom a graph has seen.

    Raises:
        CalibrationError: LEAK where the list that the graph's metadata speak of is missing or another one.
    """
    return _read(graph)[0]


def chosen_by(graph: GraphFile) -> frozenset[str]:
    """Those of them who taught it nothing: their images chose the epoch, in a validation fold.

    Raises:
        CalibrationError: as `seen_by`.
    """
    return _read(graph)[1]


def _read(graph: GraphFile) -> tuple[frozenset[str], frozenset[str]]:
    wanted = graph.metadata.get("seen_sha256"), graph.metadata.get("chosen_sha256")
    if wanted[0] is None:  # random weights, or those of a maker who named no patients
        return frozenset(), frozenset()
    path = patients_path(graph.path)
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        tags = sorted({*tree["trained_on"], *tree["calibrated_on"]}) if tree["schema"] == PATIENTS_SCHEMA else []
        chosen, calibrated = sorted(set(tree.get("chosen_on", ()))), frozenset(tree["calibrated_on"])
    except (OSError, ValueError, KeyError, TypeError):
        raise CalibrationError(
            Problem.LEAK, f"{path} is needed to see that no patient of the cases trained this graph; export writes it"
        ) from None
    if (tags_sha256(tags), tags_sha256(chosen) if chosen else None) != wanted:
        raise CalibrationError(Problem.LEAK, f"{path} is not the list that belongs to {graph.path.name}")
    return frozenset(tags), frozenset(chosen) - calibrated


def write_seen(
    path: Path, trained_on: Iterable[str], calibrated_on: Iterable[str], chosen_on: Iterable[str] = ()
) -> dict[str, Any]:
    """Write the list beside a graph; gives what belongs into the graph's metadata."""
    lists = {
        "trained_on": sorted(set(trained_on)),
        "chosen_on": sorted(set(chosen_on)),
        "calibrated_on": sorted(set(calibrated_on)),
    }
    data = json.dumps({"schema": PATIENTS_SCHEMA, **lists}, indent=1) + "\n"
    write_atomically(patients_path(path), data.encode())
    return {
        "seen_sha256": tags_sha256(sorted({*lists["trained_on"], *lists["calibrated_on"]})),
        "chosen_sha256": tags_sha256(lists["chosen_on"]) if lists["chosen_on"] else None,
    }


def refuse_seen(graph: GraphFile, tags: Sequence[str], *, chosen_too: bool = False) -> None:
    """Refuse cases whose patients the graph has seen.

    Args:
        graph: whose list is asked.
        tags: of the cases' patients.
        chosen_too: let those be who only chose the epoch. An INT8 graph may be compared with its float graph on them;
            figures of how well either performs are a little too good.

    Raises:
        CalibrationError: LEAK, with how many of how many.
    """
    judged = set(tags)
    allowed = chosen_by(graph) if chosen_too else frozenset()
    leaked = sorted((judged & seen_by(graph)) - allowed)
    if leaked:
        raise CalibrationError(
            Problem.LEAK,
            f"{len(leaked)} of the {len(judged)} patients trained or calibrated {graph.path.name}; hashes "
            f"{', '.join(leaked[:_SHOWN])}",
        )


def list_sha256(hashes: Iterable[str]) -> str:
    """One hash for a set of images."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()
