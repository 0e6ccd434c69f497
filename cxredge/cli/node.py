"""`cxredge node`: run a DICOM node, or check that it would run."""

from __future__ import annotations

import json

import click

__all__ = ["config_option", "node"]

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False),
    envvar="CXREDGE_NODE",
    show_envvar=True,
    required=True,
    help="The node's configuration, node.toml; docs/node.md has every word of it.",
)


# "\b" keeps the lines below it as they are.
_HELP = """Receive radiographs, analyse them, send the results, and lose none.

Runs in the foreground, logs a JSON object a line to stderr, and ends well on SIGTERM or Ctrl-C: what runs may end
first. A second signal ends it at once; nothing is lost by that either.

\b
cxredge node --config node.toml --check
cxredge node --config node.toml
"""


@click.command(help=_HELP)
@config_option
@click.option("--check", is_flag=True, help="Do not run: try the model, the spool and each destination, and say how.")
@click.option("--json", "as_json", is_flag=True, help="With --check: one JSON object.")
def node(config_path: str, check: bool, as_json: bool) -> None:
    """The `cxredge node` command."""
    from cxredge.node.config import read_config
    from cxredge.node.service import need_node, serve

    config = read_config(config_path)
    need_node()
    if not check:
        serve(config)
        return
    from cxredge.node.check import check_all

    rows = check_all(config)
    if as_json:
        click.echo(json.dumps({"schema": "cxredge.check/1", "checks": [row.__dict__ for row in rows]}, indent=2))
    else:
        wide = max(len(row.what) for row in rows)
        click.echo("\n".join(f"{'ok  ' if row.ok else 'FAIL'}  {row.what:<{wide}}  {row.detail}" for row in rows))
    if not all(row.ok for row in rows):
        raise click.exceptions.Exit(1)
