"""`python -m calibration seal`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from calibration.commands.options import FILE
from calibration.commands.passphrase import unlocked

__all__ = ["seal"]


@click.command()
@click.option("--fp32", required=True, type=FILE, help="The graph.")
@click.option("--int8", type=FILE, help="Its INT8 variant.")
@click.option("--gate", type=FILE, help="gate.json of the INT8 variant.")
@click.option("--bf16-gate", type=FILE, help="Report of `gate FP32 --bf16`: fp32 may then be run in bfloat16 too.")
@click.option("--input-gate", type=FILE, help="input_gate.json of the checkpoint, where the graph has a gate.")
@click.option(
    "--thresholds",
    required=True,
    multiple=True,
    metavar="[PRECISION=]FILE",
    help="thresholds.json, chosen for INT8 where there is one. int8=FILE and fp32=FILE give each its own.",
)
@click.option("--name", required=True, help="Of the bundle.")
@click.option("--version", required=True, help="Of the bundle.")
@click.option("--intended-use", required=True, help="One paragraph that a clinician can read; @FILE reads it from one.")
@click.option("--point", default="balanced", show_default=True, help="The default operating point.")
@click.option("--notes", type=FILE, help="Markdown that ends the model card.")
@click.option("--sources", type=FILE, help="JSON list of further data sets: name, citation, licence.")
@click.option("--allow-unsupported", is_flag=True, help="A disease without a threshold gets one half, unmeasured.")
@click.option("--sign", type=FILE, help="NAME.private.pem: sign the bundle too, as OUT.sig.")
@click.option("--private", is_flag=True, help="Accept data whose makers forbid giving weights away.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="A new folder, or a file that ends in .cxr."
)
def seal(
    fp32: Path, int8: Path | None, out: Path, notes: Path | None, sources: Path | None, intended_use: str,
    sign: Path | None, thresholds: tuple[str, ...], **rest: Any,
) -> None:  # fmt: skip
    """Seal graphs, gate, calibration, operating points, golden pair, model card and sources as a bundle."""
    from calibration.seal import Parts
    from calibration.seal import seal as write
    from export.graphfile import open_graph

    key = None if sign is None else unlocked(sign)  # asked for first: sealing takes a while
    parts = Parts(
        fp32=open_graph(fp32),
        int8=None if int8 is None else open_graph(int8),
        intended_use=_text(intended_use),
        notes="" if notes is None else notes.read_text(encoding="utf-8"),
        sources=() if sources is None else _listed(sources),
        **_thresholds(thresholds, "fp32" if int8 is None else "int8"),
        **rest,
    )
    click.echo(f"{out}: sha256 {write(parts, out)}")
    if key is not None:
        from calibration.signing import sign_bundle

        click.echo(f"{sign_bundle(out, key)}: its signature")


def _text(given: str) -> str:
    return Path(given[1:]).read_text(encoding="utf-8").strip() if given.startswith("@") else given


def _thresholds(given: tuple[str, ...], main: str) -> dict[str, Path]:
    """The file for the set that all decide with, which is `main`'s, and that of fp32 beside it."""
    files: dict[str, Path] = {}
    for text in given:
        precision, equals, name = text.partition("=")
        if not equals or precision not in ("fp32", "int8"):  # a path may hold an equals sign
            precision, name = main, text
        if precision in files:
            raise click.BadParameter(f"two files for {precision}", param_hint="--thresholds")
        files[precision] = Path(FILE.convert(name, None, None))
    if main not in files or (main == "fp32" and "int8" in files):
        raise click.BadParameter(f"the {main} graph needs its own: {main}=FILE", param_hint="--thresholds")
    return {"thresholds" if precision == main else f"{precision}_thresholds": file for precision, file in files.items()}


def _listed(path: Path) -> tuple[dict[str, Any], ...]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise click.BadParameter(f"{path} is no JSON list of objects", param_hint="--sources")
    return tuple(found)
