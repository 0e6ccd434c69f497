"""`cxredge site`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from cxredge.cli.options import engine_options, key_option


@click.command()
@click.argument("bundle", type=click.Path())
@click.argument("cases", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The new bundle: folder or .cxr.")
@click.option("--results", type=click.Path(), help="Results of the bundle on the cases, in place of running it.")
@click.option("--consecutive", is_flag=True, help="The cases are unselected: make them the baseline for drift.")
@click.option("--point", "points", multiple=True, metavar="NAME=RULE", help="Another rule for an operating point.")
@click.option("--date", "day", metavar="YYYY-MM-DD", help="The date to seal with.  [default: today]")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Folder for a copy of the report.")
@click.option("--format", "form", type=click.Choice(["markdown", "json"]), default="markdown", show_default=True)
@click.option("--quiet", is_flag=True, help="No progress bar.")
@key_option
@engine_options
def site(
    bundle: str,
    cases: str,
    output: Path,
    results: str | None,
    consecutive: bool,
    points: tuple[str, ...],
    day: str | None,
    report: Path | None,
    form: str,
    quiet: bool,
    key: str | None,
    **model: Any,
) -> None:
    """Give BUNDLE thresholds and calibration from your own labelled CASES.csv, as a new bundle.

    CASES.csv has the columns path, patient (if known) and the fourteen labels: 1, 0 or empty. At least 200 images must
    be answered. The report goes to standard output and into the new bundle; nothing of a patient is in either.

    RULE is youden, corner, f1, sensitivity:S, specificity:S or cost:PREVALENCE:RATIO.
    """
    from cxredge.files import write_atomically
    from cxredge.operating_points import parse_rule
    from cxredge.site import Wishes, adapt, markdown
    from cxredge.site.adapt import parse_day

    rules = {}
    for text in points:
        name, equals, rule = text.partition("=")
        if not equals:
            raise click.UsageError(f"--point takes NAME=RULE, not {text!r}")
        rules[name] = parse_rule(rule)
    with _progress(cases, quiet or results is not None) as step:
        wishes = Wishes(
            results=results,
            rules=rules,
            consecutive=consecutive,
            day=parse_day(day) if day else None,
            key=key,
            model=model,
            step=step,
        )
        told = adapt(bundle, cases, output, wishes)
    text, data = markdown(told), json.dumps(told, indent=2, allow_nan=False)
    if report is not None:
        write_atomically(report / "site_report.md", text.encode())
        write_atomically(report / "site_report.json", data.encode() + b"\n")
    click.echo(data if form == "json" else text)
    click.echo(f"{output}: sha256 {told['sha256']}", err=True)


@contextmanager
def _progress(cases: str, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar on stderr for a person who waits."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from cxredge.site import read_cases

    with click.progressbar(length=len(read_cases(cases).paths), file=sys.stderr, label="predicting") as bar:
        yield lambda: bar.update(1)
