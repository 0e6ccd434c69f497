"""From a file on disk to the graph's input plane, against the way one would write it with pydicom, NumPy and Pillow.

    python benchmarks/file_to_input.py [--smoke] [--json FILE] [--seconds S] [--only raw,jpeg_ls]

The image is a drawn chest of 3000 x 2500, 12 bits in 16, with noise; the plane is 256 x 256. Both ways run in one
process in turns (A B A B ...), after one round that is not counted; the figure is the ratio of the medians, and the
spread that goes with it is the 10th and 90th percentile of the ratios of neighbouring rounds. The file lies in the
page cache. Left out: reading from the disk itself, and importing the libraries.

The other way: `pydicom.dcmread`, `pixel_array`, `apply_modality_lut`, `apply_voi_lut`, to 0..1 in float32, and Pillow's
box filter. pydicom needs a plugin for JPEG-LS: `pip install pylibjpeg pylibjpeg-libjpeg` (GPL-3.0: for this benchmark
only), python-gdcm or pyjpegls. It picks among the installed ones by itself, and the result names which. Where there is
none, the row says so and has no ratio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks._machine import machine
from cxredge.pixels import Geometry, Percentiles
from cxredge.reading import open_source, read_plane
from tests.support import dicom_files as files
from tests.support.phantom import draw_phantom

SIDE = 256
CASES = {
    "raw": (files.EXPLICIT, 10.0),
    "rle": (files.RLE, 4.0),
    "jpeg_ls": (files.JPEG_LS, 4.0),
    "jpeg_2000": (files.J2K_LOSSLESS, 25.0),
    "jpeg_2000_lossy": (files.J2K, None),
    "jpeg_lossless": (files.JPEG_LOSSLESS_SV1, None),
    "htj2k": (files.HTJ2K_LOSSLESS, None),
}


def ours(path: Path) -> npt.NDArray[np.float32]:
    """The way of this package."""
    return read_plane(open_source(path), Geometry(SIDE, SIDE, "stretch"), Percentiles())[0]


def theirs(path: Path) -> npt.NDArray[np.float32]:
    """The way of pydicom, NumPy and Pillow."""
    from PIL import Image
    from pydicom import dcmread
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    ds = dcmread(path)
    shown = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds)
    image = Image.fromarray((shown / 4095).astype(np.float32))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def plugin(syntax: str) -> str | None:
    """The decoder that pydicom picks; None where it has none."""
    from pydicom.pixels import get_decoder

    if syntax in files.RAW_SYNTAXES:
        return "pydicom"
    names = get_decoder(syntax).available_plugins
    return names[0] if names else None


def timed(run: Callable[[], Any]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def compare(path: Path, baseline: bool, seconds: float) -> dict[str, Any]:
    """Median milliseconds of both, their ratio with its spread, and how far the planes are apart."""
    plane = ours(path)
    a, b = [], []
    apart = float(np.abs(plane - theirs(path)).max() * 255) if baseline else None
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(a) < 3:
        a.append(timed(lambda: ours(path)) * 1e3)
        if baseline:
            b.append(timed(lambda: theirs(path)) * 1e3)
    row: dict[str, Any] = {"ours_ms": round(statistics.median(a), 2), "rounds": len(a)}
    row["ours_low_high_ms"] = [round(float(value), 2) for value in np.percentile(a, [10, 90])]
    if baseline:
        ratios = np.array(b) / np.array(a)
        row["theirs_ms"] = round(statistics.median(b), 2)
        row["ratio"] = round(statistics.median(b) / statistics.median(a), 2)
        row["ratio_low_high"] = [round(float(value), 2) for value in np.percentile(ratios, [10, 90])]
        row["apart_grey_levels"] = round(apart or 0.0, 2)
    return row


def main() -> int:
    """Run the cases and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a small image and three rounds: that it runs, no figures")
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each case runs (default 8)")
    parser.add_argument("--only", default="", help="names of cases, with commas")
    options = parser.parse_args()
    shape = (600, 500) if options.smoke else (3000, 2500)
    image = draw_phantom(*shape)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (syntax, target) in CASES.items():
            if options.only and name not in options.only.split(","):
                continue
            path = files.write_dicom(Path(folder) / f"{name}.dcm", image, syntax=syntax, window=(2048, 4096))
            picked = plugin(syntax)
            row = compare(path, picked is not None, 0 if options.smoke else options.seconds)
            rows[name] = {
                "syntax": syntax,
                "bytes": path.stat().st_size,
                "pydicom_decoder": picked,
                "target": None if options.smoke else target,
                **row,
            }
            print(line(name, rows[name]))
    result = {"image": list(shape), "plane": SIDE, "smoke": options.smoke, **machine(), "cases": rows}
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def line(name: str, row: dict[str, Any]) -> str:
    """A case for people."""
    text = f"{name:16} {row['ours_ms']:8.1f} ms"
    if "ratio" not in row:
        return f"{text}   pydicom has no decoder for it here: no ratio"
    low, high = row["ratio_low_high"]
    text += (
        f"   {row['theirs_ms']:8.1f} ms ({row['pydicom_decoder']})   {row['ratio']:6.1f} x  ({low:.1f} .. {high:.1f})"
    )
    if row["target"] is not None:
        text += f"   at least {row['target']:g}: {'met' if row['ratio'] >= row['target'] else 'MISSED'}"
    return text


if __name__ == "__main__":
    sys.exit(main())
