"""`python -m export compile`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

__all__ = ["compile_graph"]


@click.command()
@click.argument("graph", type=click.Path(path_type=Path))
@click.option("--engine", required=True, type=click.Choice(["openvino", "tensorrt", "onnxruntime"]))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="A folder for the result.")
@click.option("--device", default="auto", show_default=True, help="Of the engine: cpu, gpu, npu, cuda.")
@click.option("--precision", default="auto", show_default=True, help="fp32, bf16, fp16, int8; auto: the graph's own.")
@click.option(
    "--time-limit", default=300.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Seconds."
)
@click.option("--memory-limit", metavar="SIZE", help="Of the compiling process, such as 4G (Linux).")
@click.option("--full-weights", is_flag=True, help="OpenVINO: float32 weights in the IR, not float16.")
@click.option("--most", default=16, show_default=True, type=click.IntRange(1), help="TensorRT: the largest batch.")
@click.option("--version-compatible", is_flag=True, help="TensorRT: a plan that later releases can load.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def compile_graph(graph: Path, engine: str, out: Path, memory_limit: str | None, as_json: bool, **rest: Any) -> None:
    """Make an engine's own form of GRAPH in the folder --out, in a process of its own, and run it once."""
    from export.compiling import Wanted, bytes_of
    from export.compiling import compile_graph as run
    from export.graphfile import open_graph
    from export.targets.common import Options

    try:
        memory = None if memory_limit is None else bytes_of(memory_limit)
    except ValueError:
        raise click.BadParameter(
            f"{memory_limit!r} is no size such as 800M or 4G", param_hint="--memory-limit"
        ) from None
    options = Options(memory, rest["most"], rest["version_compatible"], rest["full_weights"])
    wanted = Wanted(engine, out, rest["device"].lower(), rest["precision"], rest["time_limit"], options)
    told = run(open_graph(graph), wanted)
    click.echo(json.dumps(told, indent=2) if as_json else _text(told, out))


def _text(told: dict[str, Any], out: Path) -> str:
    differences = ", ".join(f"{name} {value:.1e}" for name, value in told["largest_difference"].items())
    rows = [
        ("made", f"{told['what']} in {out}: {', '.join(told['files'])}"),
        ("engine", f"{told['engine']} {told['version']} on {told['device']}, {told['precision']}"),
        ("compiled in", f"{told['compile_ms'] / 1e3:.1f} s"),
        ("one image", f"{told['median_ms']:.1f} ms"),
        ("differs by", f"{differences} from the graph in float32"),
    ]
    return "\n".join(f"{name:12} {value}" for name, value in rows)
