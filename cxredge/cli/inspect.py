"""`cxredge info`, `cxredge verify`, `cxredge schema`: what is here, and whether it is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cxredge.cli.options import key_option

if TYPE_CHECKING:
    from cxredge.bundle import Bundle, Manifest

# Distribution -> engine: looked up in the installed metadata, so that no engine is imported to be listed.
_ENGINES = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt", "tensorrt_cu13"),
}


@click.command()
@click.option("--bundle", type=click.Path(), help="A bundle folder or .cxr file to describe instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@key_option
def info(bundle: str | None, as_json: bool, key: str | None) -> None:
    """Say what this installation is, or with --bundle what a bundle is."""
    if bundle is None:
        facts = _installation()
    else:
        from cxredge.bundle import open_bundle

        with open_bundle(Path(bundle), key=key) as opened:
            facts = _describe(opened)
    click.echo(json.dumps(facts, indent=2) if as_json else _lines(facts))


def _installation() -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, version

    from cxredge import native

    def installed(names: tuple[str, ...]) -> str:
        for name in names:
            try:
                return version(name)
            except PackageNotFoundError:
                continue
        return "not installed"

    return {
        "cxredge": version("cxredge"),
        "C core": f"{native.version()}, {native.isa()}",
        "engines": {engine: installed(names) for engine, names in _ENGINES.items()},
        "default bundle": _embedded(),
        "next": "cxredge doctor measures the engines; cxredge info --bundle PATH describes a bundle",
    }


def _embedded() -> str:
    from cxredge.bundle import open_bundle
    from cxredge.pipeline import EMBEDDED

    if not EMBEDDED.exists():
        return "none embedded: give one with --bundle"
    with open_bundle(EMBEDDED) as bundle:
        return f"{bundle.facts.name} {bundle.facts.version}, a {bundle.facts.use}"


def _describe(opened: Bundle) -> dict[str, Any]:
    manifest = opened.manifest
    points = {}
    for name in manifest.operating_points:
        first = manifest.findings[0].operating_points[name]
        points[name] = f"{first.how} (data: {first.data})"
    base = manifest.baseline
    return {
        "bundle": f"{manifest.name} {manifest.version}",
        "sha256": opened.sha256,
        "signature": f"by the key {opened.signed_by}" if opened.signed_by else "not checked: --key checks it",
        **_origin(manifest),
        "method": manifest.method,
        "clinical": manifest.clinical,
        "intended use": manifest.intended_use,
        "input": f"{manifest.input.columns} x {manifest.input.rows}, {manifest.input.fit}",
        "graphs": {
            precision: ", ".join(graph.engines) if graph.engines else "any engine"
            for precision, graph in manifest.graphs.items()
        },
        "gate": "in the graph" if manifest.gate else "none: only tags and lungs are checked",
        "operating points": points | {"default": manifest.default_operating_point},
        **({"own thresholds": ", ".join(own)} if (own := manifest.findings_by_precision) else {}),
        "drift baseline": f"{base.images} images ({base.data})" if base else "none: `cxredge drift` needs --baseline",
    }


def _origin(manifest: Manifest) -> dict[str, Any]:
    """What a derived bundle says of where it comes from."""
    if manifest.derived is None:
        return {}
    derived = manifest.derived
    parent = derived.parent
    return {
        "derived from": {
            "parent": f"{parent.name} {parent.version}",
            "parent sha256": parent.sha256,
            "cases": f"{derived.cases} of {derived.patients} patients, on {derived.date}, {derived.ran}",
            "cases sha256": derived.cases_sha256,
            "report": derived.report,
        }
    }


def _lines(facts: dict[str, Any], indent: str = "") -> str:
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            rows += [f"{indent}{name}", _lines(value, indent + "  ")]
        else:
            rows.append(f"{indent}{name:<{18 - len(indent)}} {value}")
    return "\n".join(rows)


@click.command()
@click.argument("bundle", type=click.Path())
@key_option
@click.option("--signature", type=click.Path(), help="The signature to check.  [default: BUNDLE.sig]")
def verify(bundle: str, key: str | None, signature: str | None) -> None:
    """Check BUNDLE: its manifest, every file and hash, every graph. Exit code 2 and the first reason if it fails.

    With --key its signature is checked before anything in it is parsed.
    """
    from cxredge.bundle import open_bundle

    with open_bundle(Path(bundle), key=key, signature=signature) as opened:
        files = opened.check()
        facts, derived, signer = opened.facts, opened.manifest.derived, opened.signed_by
    click.echo(f"signed by the key {signer}" if signer else "signature not checked: --key checks it")
    click.echo(f"{facts.name} {facts.version}: {len(files)} files are as they were sealed")
    click.echo(f"sha256 {facts.sha256}")
    if derived:
        click.echo(f"derived on {derived.date} from {derived.parent.name} {derived.parent.version}")
        click.echo(f"parent sha256 {derived.parent.sha256}")


@click.command()
@click.argument("which", type=click.Choice(["prediction", "bundle", "benchmark"]), default="prediction")
def schema(which: str) -> None:
    """Print the JSON Schema of a prediction (the default), of a bundle's manifest, or of a benchmark."""
    if which == "bundle":
        from cxredge.bundle import json_schema
    elif which == "benchmark":
        from cxredge.benchmark.record import json_schema
    else:
        from cxredge.result import json_schema
    click.echo(json.dumps(json_schema(), indent=2))
