"""`cxredge benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cxredge.cli.options import bundle_option, key_option

if TYPE_CHECKING:
    from cxredge.benchmark.record import Report

STOPPED = 130


class _Words(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """Names with commas between them."""

    name = "NAMES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names, without blanks."""
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip() for word in str(value).split(","))
        if not all(words):
            self.fail(f"{value!r} holds an empty name", param, ctx)
        return words


class _Numbers(click.ParamType):  # type: ignore[type-arg]
    """Whole numbers from 1 on with commas between them."""

    name = "NUMBERS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers, each once."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(dict.fromkeys(int(word) for word in str(value).split(",")))
        except ValueError:
            self.fail(f"{value!r} is not numbers with commas between them", param, ctx)
        if min(numbers) < 1:
            self.fail(f"{value!r} holds a number below 1", param, ctx)
        return numbers


@click.command()
@bundle_option
@key_option
@click.option("--engine", "engines", type=_Words(), default="all", show_default=True, help="Names, or all.")
@click.option("--device", "devices", type=_Words(), default="all", show_default=True, help="Names, or all.")
@click.option("--precision", "precisions", type=_Words(), default="all", show_default=True, help="Names, or all.")
@click.option("--batch", "batches", type=_Numbers(), default="1", show_default=True, help="Images an inference.")
@click.option("--threads", type=_Numbers(), help="Threads for one inference.  [default: the engine's]")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file to predict on; more may be given.  [default: a drawn DX film, 3000 x 2500, raw]",
)
@click.option("--seconds", type=click.FloatRange(0.1), default=9.0, show_default=True, help="For each combination.")
@click.option("--cold", type=click.IntRange(0), default=3, show_default=True, help="New processes; 0: no cold start.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write cxredge.benchmark/1.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write a PNG: stages, and accuracy.")
@click.option("--quiet", is_flag=True, help="No notes on stderr.")
def benchmark(
    bundle: str | None, key: str | None, json_file: Path | None, plot: Path | None, quiet: bool, **options: Any
) -> int:
    """Measure how fast a bundle runs on this machine, and say what to use.

    Every engine, device, precision, batch size and number of threads asked for; what cannot be run is listed with the
    reason. Ctrl-C keeps what was measured. Measure on a quiet machine: what else runs is measured along.

    Exit codes: 0 something was measured, 1 nothing could be, 2 wrong usage, 130 stopped by Ctrl-C.
    """
    from cxredge.benchmark.plan import Asked
    from cxredge.benchmark.suite import Settings, run
    from cxredge.benchmark.table import table
    from cxredge.pipeline import find_bundle

    asked = Asked(
        engines=options["engines"],
        devices=options["devices"],
        precisions=options["precisions"],
        batches=options["batches"],
        threads=options["threads"] or (None,),
    )
    settings = Settings(seconds=options["seconds"], cold_runs=options["cold"], key=key)
    report = run(
        find_bundle(bundle),
        asked,
        options["inputs"],
        settings,
        (lambda _: None) if quiet else (lambda line: click.echo(line, err=True)),
    )
    click.echo(table(report))
    _write(report, json_file, plot)
    if not report.complete:
        return STOPPED
    return 0 if report.results else 1


def _write(report: Report, json_file: Path | None, plot: Path | None) -> None:
    from cxredge.files import write_atomically

    if json_file is not None:
        import msgspec

        write_atomically(json_file, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    if plot is not None:
        from cxredge.benchmark.plot import draw

        write_atomically(plot, draw(report))
