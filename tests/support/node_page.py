"""The tables of docs/node.md that follow from the code: `python -m tests.support.node_page docs/node.md`."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

from cxredge.node.events import Event
from cxredge.node.logs import level_of
from cxredge.node.metrics import COUNTED, TIMED

__all__ = ["TABLES", "with_tables"]


def events() -> str:
    """Event, level, facts: the comments in the enum are the source."""
    lines = ["| event | level | facts |", "| --- | --- | --- |"]
    source = inspect.getsource(Event)
    for name, facts in re.findall(r'^    [A-Z_]+ = "(\w+)"(?:  # (.*))?$', source, re.MULTILINE):
        lines.append(f"| `{name}` | {level_of(Event(name), {})} | {facts} |")
    return "\n".join(lines)


def metrics() -> str:
    """Every counter and histogram."""
    lines = ["| metric | labels | |", "| --- | --- | --- |"]
    for name, what, labels in COUNTED.values():
        lines.append(f"| `cxredge_{name}_total` | {_ticked(labels)} | {what} |")
    lines.append("| `cxredge_received_bytes_total` | `sender` | Bytes of the images that were received. |")
    lines.append("| `cxredge_retired_total` | `what` | What retention has removed: images, results, rows. |")
    for name, (what, bounds, labels, _) in TIMED.items():
        between = f"{bounds[0]:g} to {bounds[-1]:g} s"
        lines.append(f"| `cxredge_{name}` | {_ticked(labels)} | Histogram, {between}. {what} |")
    for name, label, what in (
        ("images", "state", "Images that the node knows of."),
        ("deliveries", "destination, state", "Deliveries that wait or were given up."),
        ("oldest_wait_seconds", "", "How long the oldest queued image has waited."),
        ("free_disk_bytes", "", "Room on the spool's disk."),
        ("start_time_seconds", "", "When the node started."),
        ("info", "version", "1, with the version that runs."),
    ):
        lines.append(f"| `cxredge_{name}` | {_ticked(label.split(', ') if label else ())} | {what} |")
    return "\n".join(lines)


TABLES = {"events": events, "metrics": metrics}


def with_tables(page: str) -> str:
    """The page with its tables as the code has them; each stands between two comments with its name."""
    for name, made in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)"
        page, found = re.subn(pattern, lambda match: match[1] + made() + match[2], page, flags=re.DOTALL)  # noqa: B023
        assert found == 1, name
    return page


def _ticked(labels: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
