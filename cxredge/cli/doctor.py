"""`cxredge doctor`: what this machine has, what each engine measures, what to install."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import click

from cxredge.cli.options import key_option


@click.command()
@click.option("--bundle", type=click.Path(), envvar="CXREDGE_BUNDLE", show_envvar=True, help="Measure on this bundle.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads for one inference.  [default: the engine's]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@key_option
def doctor(bundle: str | None, threads: int | None, as_json: bool, key: str | None) -> None:
    """Say what this machine has, and with a bundle measure every engine and remember the fastest.

    `--engine auto` of the other commands then takes that one. Nothing leaves this machine.
    """
    from cxredge.errors import BundleError
    from cxredge.pipeline import find_bundle

    facts: dict[str, Any] = {"machine": _machine(), "engines": _engines(), "decoders": _decoders()}
    try:
        path: Path | None = find_bundle(bundle)
    except BundleError:
        if bundle:
            raise
        path = None
    facts |= _measured(path, key, threads) if path else {"measured": [], "chosen": None}
    click.echo(json.dumps(facts, indent=2) if as_json else _text(facts))


def _machine() -> dict[str, Any]:
    from cxredge import native
    from cxredge.engines.base import usable_cores
    from cxredge.engines.cache import Cache

    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "python": sys.version.split()[0],
        "C core": f"{native.version()}, {native.isa()}",
        "cache": str(Cache(None).folder),
        "variables": {name: value for name, value in sorted(os.environ.items()) if name.startswith("CXREDGE_")},
    }


def _engines() -> list[dict[str, Any]]:
    from cxredge.engines.catalog import ENGINES, engine

    found = []
    for name in ENGINES:
        module = engine(name)
        state = module.availability()
        found.append(
            {
                "name": name,
                "available": state.ok,
                "version": state.version,
                "devices": list(module.devices()) if state.ok else [],
                "reason": state.reason,
                "install": state.install,
            }
        )
    return found


def _decoders() -> list[dict[str, Any]]:
    from cxredge.dicom.decoders import decoder_states

    return [
        {"transfer_syntax": state.syntax, "decoder": state.decoder, "missing": state.missing}
        for state in decoder_states()
    ]


def _measured(path: Path, key: str | None, threads: int | None) -> dict[str, Any]:
    """Measure every way to run the bundle; the choice is remembered for `auto`."""
    import dataclasses

    from cxredge.bundle import open_bundle
    from cxredge.engines.base import EngineRequest
    from cxredge.engines.measure import measure_all
    from cxredge.engines.registry import choose

    request = EngineRequest(threads=threads)
    with open_bundle(path, key=key) as opened:
        name = f"{opened.manifest.name} {opened.manifest.version}"
        click.echo(f"measuring {name}: a few seconds for each engine and precision", err=True)
        choice = choose(opened, request, refresh=True)
        # Where there is but one way to run it, nothing had to be measured to choose.
        measurements = choice.measurements or tuple(measure_all(opened, request))
    rows = [dataclasses.asdict(m) for m in measurements]
    for row in rows:
        row["milliseconds"] = row.pop("median_ms")
    return {"bundle": name, "measured": rows, "chosen": dataclasses.asdict(choice.request)}


def _text(facts: dict[str, Any]) -> str:
    lines = ["machine"]
    lines += [f"  {name:<12}{value}" for name, value in facts["machine"].items() if value]
    lines.append("engines")
    for engine in facts["engines"]:
        if engine["available"]:
            lines.append(f"  {engine['name']:<14}{engine['version']:<12}{', '.join(engine['devices'])}")
        else:
            lines.append(f"  {engine['name']:<14}{engine['reason']}; {engine['install']}")
    missing = [state for state in facts["decoders"] if state["missing"]]
    lines.append(f"decoders: {len(facts['decoders']) - len(missing)} of {len(facts['decoders'])} transfer syntaxes")
    lines += [f"  {state['transfer_syntax']}: {state['missing']}" for state in missing]
    lines += _measurements(facts)
    return "\n".join(lines)


def _measurements(facts: dict[str, Any]) -> list[str]:
    if not facts["chosen"]:
        return ["No bundle, so nothing was measured: give one with --bundle."]
    lines = [f"measured on {facts['bundle']}, one image at a time"]
    for row in facts["measured"]:
        way = f"  {row['engine']:<14}{row['device']:<6}{row['precision']:<6}"
        spent = row["milliseconds"]
        lines.append(f"{way}{spent:>9.2f} ms" if spent is not None else f"{way} {row['code']}: {row['detail']}")
    chosen = facts["chosen"]
    lines.append(f"auto takes {chosen['engine']} on {chosen['device']} at {chosen['precision']}")
    return lines
