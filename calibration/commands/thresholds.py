"""`python -m calibration thresholds`."""

from __future__ import annotations

from pathlib import Path

import click

from calibration.commands.options import FILE

__all__ = ["thresholds"]


@click.command()
@click.argument("scores", type=FILE)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the results.")
@click.option("--point", "points", multiple=True, metavar="NAME=RULE", help="A further point, or another rule for one.")
@click.option(
    "--prevalence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="For PPV, NPV and least cost.  [default: of the cases]",
)
@click.option("--resamples", default=1000, show_default=True, type=click.IntRange(1), help="Of the bootstrap.")
@click.option("--seed", default=0, show_default=True, help="Of folds and bootstrap.")
def thresholds(
    scores: Path, out: Path, points: tuple[str, ...], prevalence: float | None, resamples: int, seed: int
) -> None:
    """Choose each disease's probability calibration and operating points from SCORES, with curves and reports.

    RULE is youden, corner, f1, sensitivity:S, specificity:S or cost:PREVALENCE:RATIO.
    """
    from calibration.scores import read_scores
    from calibration.threshold_report import threshold_report, write_thresholds
    from calibration.thresholds import How, derive
    from cxredge.operating_points import parse_rule

    rules = {}
    for text in points:
        name, equals, rule = text.partition("=")
        if not equals:
            raise click.UsageError(f"--point takes NAME=RULE, not {text!r}")
        rules[name] = parse_rule(rule)
    read = read_scores(scores)
    report = derive(read, How(rules, prevalence, resamples, seed))
    write_thresholds(report, read, out)
    click.echo(threshold_report(report))
