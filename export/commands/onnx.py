"""`python -m export onnx`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

__all__ = ["onnx"]


@click.command()
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The graph's file.")
@click.option("--precision", type=click.Choice(["fp32", "fp16"]), default="fp32", show_default=True)
@click.option("--method", help="With --random, in place of a checkpoint: the method.")
@click.option("--random", "is_random", is_flag=True, help="Random weights: for timing and tests.")
@click.option("--seed", default=0, show_default=True, help="Of random weights.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="With --random: an option of the method.")
@click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Compare on real images of this folder too; may be repeated.",
)
@click.option("--images", default=8, show_default=True, type=click.IntRange(1), help="How many images of each folder.")
@click.option("--phantoms", default=9, show_default=True, type=click.IntRange(0), help="How many drawn chests.")
@click.option(
    "--all-images", is_flag=True, help="Compare all of them, even of a network whose one image takes seconds."
)
@click.option(
    "--evaluation",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="report.json of `python -m training evaluate`: its thresholds are looked at too. "
    "[default: evaluation/report.json beside the checkpoint, if it is there]",
)
@click.option(
    "--time-limit",
    default=300.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Seconds that an engine may take to compile.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def onnx(checkpoint: Path | None, out: Path, precision: str, as_json: bool, **rest: Any) -> None:  # fmt: skip
    """Write CHECKPOINT as one ONNX graph at --out, with a parity report beside it.

    torch, ONNX Runtime and OpenVINO must give the same answers, or nothing is written.
    """
    from export.images import gather
    from export.memory import memory_told
    from export.parity import Plan
    from export.report import markdown
    from export.run import export_graph
    from export.thresholds import thresholds_of

    with memory_told("making the network"):
        subject = _subject(checkpoint, rest)
    evaluation = rest["evaluation"] or _usual(checkpoint)
    plan = Plan(
        gather(subject.method.options.field, phantoms=rest["phantoms"], folders=rest["data"], each=rest["images"]),
        thresholds_of(evaluation, subject.facts),
        limit_seconds=rest["time_limit"],
        every=rest["all_images"],
        say=lambda line: click.echo(line, err=True),
    )
    report = export_graph(subject, out, plan, precision)
    click.echo(json.dumps(report, indent=2) if as_json else markdown(report))


def _subject(checkpoint: Path | None, rest: dict[str, Any]) -> Any:
    from export.subject import from_checkpoint, random_subject

    if rest["is_random"] == (checkpoint is not None):
        raise click.UsageError("give a CHECKPOINT, or --method NAME --random")
    if checkpoint is not None:
        return from_checkpoint(checkpoint)
    if not rest["method"]:
        raise click.UsageError("--random needs --method NAME")
    return random_subject(rest["method"], settings_of(rest["settings"]), seed=rest["seed"])


def settings_of(pairs: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE pairs; a value that is JSON is taken as such, anything else as text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--set")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _usual(checkpoint: Path | None) -> Path | None:
    usual = checkpoint.parent / "evaluation" / "report.json" if checkpoint else None
    return usual if usual is not None and usual.is_file() else None
