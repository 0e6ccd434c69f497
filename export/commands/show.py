"""`python -m export show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

__all__ = ["show"]


@click.command()
@click.argument("graph", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(graph: Path, as_json: bool) -> None:
    """Print what GRAPH takes and gives, what it is made of, what it costs, and what it says of itself."""
    from export.graphfile import open_graph
    from export.summary import summary

    found = summary(open_graph(graph))
    click.echo(json.dumps(found, indent=2) if as_json else text(found))


def text(found: dict[str, Any]) -> str:
    """The summary for a person."""
    told = found["metadata"]
    operators = ", ".join(f"{count} {name}" for name, count in found["operators"].items())
    numbers = ", ".join(f"{count / 1e6:.2f} M {name}" for name, count in found["weights"].items() if count >= 5000)
    rows = [
        ("file", f"{found['file']}, {found['bytes'] / 1e6:.1f} MB, sha256 {found['sha256']}"),
        ("precision", f"{found['precision']}, opset {found['opset']}"),
        ("input", _shape("image", ["N", 1, *found["input"]]) + ", float32, 0..1, bright = dense"),
        *(("output", _shape(name, ["N", *shape])) for name, shape in found["outputs"].items()),
        ("cost", f"{found['gmacs']:.3f} G multiply-adds an image"),
        ("weights", numbers),
        ("operators", f"{sum(found['operators'].values())}: {operators}"),
        *((name.replace("_", " "), _value(told[name])) for name in _SHOWN if told.get(name)),
    ]
    return "\n".join(f"{name:18} {value}" for name, value in rows)


_SHOWN = ("method", "origin", "checkpoint_sha256", "split", "trained_on", "departures", "heatmaps", "gate", "versions")


def _shape(name: str, axes: list[Any]) -> str:
    return f"{name} [{', '.join(map(str, axes))}]"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(inner)}" for key, inner in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
