"""The contact sheet of docs/phantoms.md: a healthy chest, then the fourteen diseases with their boxes.

python -m training.phantoms.sheet docs/images/phantoms.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cxredge.files import write_atomically
from cxredge.result import LABELS, display_name
from training.phantoms.generator import generate

__all__ = ["contact_sheet"]


def contact_sheet(*, seed: int = 31, severity: float = 0.7, side: int = 192, columns: int = 5) -> Image.Image:
    """A grey picture with one phantom a tile, `side` pixels each, another patient in each."""
    names = ["", *LABELS]
    sheet = Image.new("L", (columns * side, -(-len(names) // columns) * side))
    for i, name in enumerate(names):
        made = generate(seed + i, size=2 * side, findings={name: severity} if name else {})
        tile = Image.fromarray(np.rint(made.image * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BOX)
        pen = ImageDraw.Draw(tile)
        for box in made.boxes:
            pen.rectangle([v / 2 for v in (box.left, box.top, box.right - 1, box.bottom - 1)], outline=255)
        pen.text((3, 2), display_name(name) if name else "No finding", fill=255)
        sheet.paste(tile, (i % columns * side, i // columns * side))
    return sheet


def main() -> None:
    """Write the sheet as a PNG of 32 greys."""
    import io

    parser = argparse.ArgumentParser(description="Draw the contact sheet of the fourteen diseases.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=31)
    arguments = parser.parse_args()
    sheet = contact_sheet(seed=arguments.seed).quantize(32, dither=Image.Dither.NONE)
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    write_atomically(arguments.out, file.getvalue())


if __name__ == "__main__":
    main()
