"""`python -m training phantom`: phantoms as DICOM files, with their truth beside them."""

from __future__ import annotations

from pathlib import Path

import click

from training.phantoms.encoding import SYNTAXES

__all__ = ["phantom"]


def _findings(pairs: tuple[str, ...], healthy: bool) -> dict[str, float] | None:
    """LABEL or LABEL=SEVERITY; None leaves the choice to the seed."""
    if not pairs:
        return {} if healthy else None
    found = {}
    for pair in pairs:
        label, _, severity = pair.partition("=")
        try:
            found[label] = float(severity or 0.7)
        except ValueError:
            raise click.BadParameter(f"{pair!r} is not LABEL=SEVERITY", param_hint="--finding") from None
    return found


@click.command()
@click.option("--count", default=8, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--dicom", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder.")
@click.option("--png", is_flag=True, help="Also write what a workstation would show, as 8-bit PNG.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the first; the rest count up.")
@click.option("--size", default=1024, show_default=True, type=click.IntRange(64, 4096), help="Pixels on a side.")
@click.option("--finding", "pairs", multiple=True, metavar="LABEL[=SEVERITY]", help="Instead of random ones; repeat.")
@click.option("--healthy", is_flag=True, help="Without any disease.")
@click.option(
    "--photometric",
    type=click.Choice(["monochrome2", "monochrome1", "mixed"]),
    default="mixed",
    show_default=True,
    help="How the pixels are stored; mixed inverts every fifth.",
)
@click.option(
    "--syntax",
    type=click.Choice(list(SYNTAXES)),
    default="explicit",
    show_default=True,
    help="Transfer syntax; all of these keep every bit.",
)
@click.option("--workers", default=0, show_default=True, type=click.IntRange(0, 64), help="Processes; 0 uses this one.")
@click.option(
    "--device", metavar="NAME", help="Of torch, develops the pictures in batches: cuda, cpu, or auto (cuda if there)."
)
def phantom(
    count: int,
    folder: Path,
    png: bool,
    seed: int,
    size: int,
    pairs: tuple[str, ...],
    healthy: bool,
    photometric: str,
    syntax: str,
    workers: int,
    device: str | None,
) -> None:
    """Write synthetic chest radiographs as DX files: NAME.dcm, NAME.json (the truth) and NAME.masks.npz."""
    from training.phantoms.dicom import write_dicom
    from training.phantoms.pool import PhantomPool

    findings = _findings(pairs, healthy)
    with PhantomPool(min(workers, count), device=device) as pool:
        for number, made in enumerate(pool.stream(range(seed, seed + count), size=size, findings=findings)):
            inverted = photometric == "monochrome1" or (photometric == "mixed" and number % 5 == 4)
            path = write_dicom(made, folder, f"phantom-{seed + number:06d}", inverted=inverted, syntax=syntax)
            if png:
                _write_png(made.image, path.with_suffix(".png"))
            click.echo(f"{path}  {', '.join(made.parameters['findings']) or 'no finding'}")


def _write_png(image: object, path: Path) -> None:
    import io

    import numpy as np
    from PIL import Image

    from cxredge.files import write_atomically

    file = io.BytesIO()
    Image.fromarray(np.rint(np.asarray(image) * 255).astype(np.uint8)).save(file, "PNG")
    write_atomically(path, file.getvalue())
