"""The tables of docs/node.md that follow from the code: `python -m tests.support.node_page docs/node.md`."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

from cxredge.node.events import Event
from cxredge.node.logs import level_of
from cxredge.node.metrics import COUNTED, TIMED
from tests.support.tables import table, with_tables

__all__ = ["TABLES"]


def events() -> str:
    """Event, level, facts: the comments in the enum are the source."""
    found = re.findall(r'^    [A-Z_]+ = "(\w+)"(?:  # (.*))?$', inspect.getsource(Event), re.MULTILINE)
    assert len(found) == len(Event)
    rows = [(f"`{name}`", level_of(Event(name), {}), facts) for name, facts in found]
    return table(["event", "level", "facts"], rows)


def metrics() -> str:
    """Every counter and histogram."""
    rows = [(f"`cxredge_{name}_total`", _ticked(labels), what) for name, what, labels in COUNTED.values()]
    rows.append(("`cxredge_received_bytes_total`", "`sender`", "Bytes of the images that were received."))
    rows.append(("`cxredge_retired_total`", "`what`", "What retention has removed: images, results, rows."))
    for name, (what, bounds, labels, _) in TIMED.items():
        between = f"{bounds[0]:g} to {bounds[-1]:g} s"
        rows.append((f"`cxredge_{name}`", _ticked(labels), f"Histogram, {between}. {what}"))
    for name, label, what in (
        ("images", "state", "Images that the node knows of."),
        ("deliveries", "destination, state", "Deliveries that wait or were given up."),
        ("oldest_wait_seconds", "", "How long the oldest queued image has waited."),
        ("free_disk_bytes", "", "Room on the spool's disk."),
        ("start_time_seconds", "", "When the node started."),
        ("info", "version", "1, with the version that runs."),
    ):
        rows.append((f"`cxredge_{name}`", _ticked(label.split(", ") if label else ()), what))
    return table(["metric", "labels", ""], rows)


TABLES = {"events": events, "metrics": metrics}


def _ticked(labels: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8"), TABLES), encoding="utf-8")
