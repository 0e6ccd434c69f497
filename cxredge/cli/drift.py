"""`cxredge drift`."""

from __future__ import annotations

import json

import click

from cxredge.cli.options import key_option

ALARM = 3
"""The exit code of an alarm: apart from 1 and 2, which say that nothing could be told."""


@click.command()
@click.argument("bundle", type=click.Path())
@click.argument("results", type=click.Path())
@click.option("--baseline", type=click.Path(), help="Earlier results to measure from, in place of the bundle's own.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@key_option
def drift(bundle: str, results: str, baseline: str | None, form: str, key: str | None) -> int:
    """Say whether RESULTS.jsonl still look like what BUNDLE gave before. No labels are needed.

    RESULTS.jsonl holds the lines of `cxredge predict --format json`, in the order in which the images were taken.

    Exit codes: 0 no alarm, 3 an alarm, 2 it cannot be told.
    """
    from cxredge.bundle import open_bundle
    from cxredge.drift import table, watch

    with open_bundle(bundle, key=key) as opened:
        report = watch(opened, results, baseline=baseline)
    click.echo(json.dumps(report, indent=2, allow_nan=False) if form == "json" else table(report))
    return ALARM if report["alarm"] else 0
