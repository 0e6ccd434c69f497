"""Writes seeds for the fuzz targets of the C core: `seeds.py FOLDER [DICOM...]`, one folder for each target.

Without files, the seeds that lie in `seeds/`: made here from numbers, of every pixel format and window. With DICOM
files or folders, seeds for the plane target with their pixel formats, windows and tables, and with every so many of
their pixels. Those hold parts of real images, so they are made where they are used and never kept.

Every number goes where the target takes it (`fuzz.h`): little endian, in its order.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 40
"""Rows and columns of a seed's image, at most."""
FUNCTIONS = {"LINEAR": 0, "LINEAR_EXACT": 1, "SIGMOID": 2}


@dataclass
class Lut:
    """A lookup table of at most 300 entries."""

    first: int
    bits: int
    entries: list[int]

    def packed(self) -> bytes:
        """As `take_lut` of plane_fuzz.c reads it."""
        head = struct.pack("<HiB", len(self.entries) - 1, self.first, self.bits - 1)
        return head + struct.pack(f"<{len(self.entries)}H", *self.entries)


@dataclass
class Film:
    """One input of plane_fuzz.c."""

    pixels: np.ndarray  # (rows, columns), unsigned, as stored
    bits_stored: int
    high_bit: int
    signed: bool = False
    big_endian: bool = False
    inverted: bool = False
    modality: tuple[float, float] | Lut = (1.0, 0.0)
    voi: tuple[float, float, int] | Lut = (2048.0, 4096.0, 0)
    plane: tuple[int, int] = (16, 20)
    fit: int = 1
    chunk: int = 64
    percentiles: tuple[float, float] = field(default=(0.5, 99.5))

    def packed(self) -> bytes:
        """As LLVMFuzzerTestOneInput of plane_fuzz.c reads it."""
        rows, columns = self.pixels.shape
        allocated = self.pixels.dtype.itemsize * 8
        by_table = isinstance(self.modality, Lut)
        slope, intercept = (1.0, 0.0) if isinstance(self.modality, Lut) else self.modality
        center, width, function = (1.0, 2.0, 3) if isinstance(self.voi, Lut) else self.voi
        flags = self.signed | self.big_endian << 1 | self.inverted << 2 | by_table << 3 | function << 4
        parts = [*map(double, self.percentiles), struct.pack("<HH", rows - 1, columns - 1)]
        parts.append(struct.pack("<BBB", {8: 0, 16: 1, 32: 2}[allocated], self.bits_stored - 1, self._spare()))
        parts.append(struct.pack("<BHHBH", flags, self.plane[0] - 1, self.plane[1] - 1, self.fit, self.chunk - 1))
        parts += map(double, (slope, intercept, center, width))
        parts += [table.packed() for table in (self.modality, self.voi) if isinstance(table, Lut)]
        order = ">" if self.big_endian else "<"
        parts.append(self.pixels.astype(self.pixels.dtype.newbyteorder(order)).tobytes())
        return b"".join(parts)

    def _spare(self) -> int:
        return self.high_bit + 1 - self.bits_stored


def double(value: float) -> bytes:
    """A double by its bits."""
    return b"\0" + struct.pack("<d", value)


def whole(value: int) -> bytes:
    """A small whole number."""
    return b"\1" + struct.pack("<h", value)


def drawn(bits: int, allocated: int, rows: int = 32, columns: int = 37) -> np.ndarray:
    """A rough slope over all of its bits; whole numbers only, so that it is the same everywhere."""
    y, x = np.mgrid[0:rows, 0:columns]
    level = y * 500 // rows + x * 500 // columns + (x * x * 7 + y * y * 13) % 97
    return np.asarray(level * (2**bits - 1) // level.max(), dtype=f"u{allocated // 8}")


def films() -> Iterator[tuple[str, Film]]:
    """Of every pixel format, modality step, VOI step and fit."""
    table = Lut(-5, 12, [(i * 37) % 4096 for i in range(90)])
    yield "8-bits", Film(drawn(8, 8), 8, 7, voi=(127.5, 255.0, 1))
    yield "12-of-16", Film(drawn(12, 16), 12, 11)
    yield "16-inverted", Film(drawn(16, 16), 16, 15, inverted=True, voi=(30000.0, 41000.5, 0), fit=2)
    yield "signed", Film(drawn(12, 16), 12, 11, signed=True, modality=(2.0, -100.5), voi=(-60.0, 3000.0, 0))
    yield "high-bits", Film(drawn(12, 16) << 4, 12, 15, voi=(2000.25, 1500.5, 1), fit=0)
    yield "big-endian", Film(drawn(14, 16), 14, 13, big_endian=True, voi=(8000.0, 4000.0, 2))
    yield "32-bits", Film(drawn(24, 32), 24, 23, voi=(8388608.0, 16777216.0, 1), plane=(40, 40))
    yield "falling", Film(drawn(12, 16), 12, 11, modality=(-1.5, 4095.0), voi=(0.0, 4096.0, 0))
    yield "modality-lut", Film(drawn(8, 8), 8, 7, modality=table, voi=(2048.0, 4096.0, 0))
    yield "voi-lut", Film(drawn(8, 8), 8, 7, modality=(0.5, -10.0), voi=table)
    yield "step", Film(drawn(12, 16), 12, 11, voi=(2048.0, 1.0, 0))
    yield "tall", Film(drawn(12, 16, 250, 7), 12, 11, plane=(9, 9))
    yield "wide", Film(drawn(12, 16, 6, 290), 12, 11, plane=(9, 38), fit=0)


def places() -> Iterator[tuple[str, bytes]]:
    """Inputs of numbers_fuzz.c: four sizes, a fit, and decisions."""
    decisions = struct.pack("<BB", 3, 1) + struct.pack("<12h", *(700, 4096, 0, 2048, -900, 4000, 10, 1000, 0, 1, 2, 3))
    for fit, name in enumerate(("stretch", "pad", "crop")):
        sizes = b"".join(struct.pack("<HB", size, 0) for size in (3000, 2500, 256, 256))
        yield f"ok-{name}", sizes + bytes([fit]) + decisions + struct.pack("<i", fit)
    # An image of two thousand million rows and one column, cropped to a plane that lies the other way: nothing is left.
    yield "crop-of-nothing", b"".join(struct.pack("<HB", 1, shift) for shift in (16, 0, 0, 16)) + b"\2"
    yield "no-crop", b"".join(struct.pack("<HB", 0xFFFF, shift) for shift in (16, 0, 0, 16)) + b"\2"


def masks() -> Iterator[tuple[str, bytes]]:
    """Inputs of masks_fuzz.c: a ring with a hole and an island; shares of 255; what is not a number."""
    ring = np.zeros((20, 30), np.uint8)
    ring[3:15, 4:20], ring[6:11, 8:15], ring[16:19, 24:28] = 1, 0, 1
    size = struct.pack("<HH", 19, 29)
    yield "ok-ring", size + b"\0" + np.packbits(ring, bitorder="little").tobytes()
    yield "ok-shares", size + b"\2" + (drawn(8, 8, 20, 30)).tobytes()
    yield "not-a-number", struct.pack("<HH", 0, 1) + b"\3" + struct.pack("<ff", 1.0, float("nan"))


def scenes() -> Iterator[tuple[str, bytes]]:
    """Inputs of anatomy_fuzz.c: two lungs and a heart, placed in three ways."""
    three = np.zeros((3, 24, 32), np.uint8)
    three[0, 4:18, 18:28] = three[1, 4:18, 4:14] = three[2, 12:18, 11:20] = 1
    for fit in range(3):
        head = struct.pack("<HHHHBB", 23, 31, 49, 57, fit, 0)
        yield f"ok-fit-{fit}", head + b"\0" + three.tobytes()
    box = struct.pack("<B4H", 1, 6000, 60000, 3000, 50000)
    yield "ok-boxes", struct.pack("<HHHHB", 23, 31, 49, 57, 3) + box * 3 + b"\1" + (three * 255).tobytes()
    # The image in a part of the plane so narrow that a share of it is no number any more.
    sliver = b"\3" + double(0.0) + double(4e-323) + double(0.0) + double(1.0)
    yield "sliver", struct.pack("<HHHHB", 23, 31, 49, 57, 3) + b"\0" + sliver + b"\0\0" + three.tobytes()


def descriptions() -> Iterator[tuple[str, bytes]]:
    """Inputs of describe_fuzz.c: a good one, and numbers that are finite by themselves only."""

    def described(kind: bytes, bits: tuple[int, int, int, int], numbers: bytes, plane: tuple[int, int]) -> bytes:
        return kind + struct.pack("<BBBH", *bits) + numbers + struct.pack("<HH", *plane) + double(0.5) + double(99.5)

    small, low_and_wide = b"\0" + struct.pack("<HH", 30, 40), b"\1" + struct.pack("<HI", 0, 500_000)
    good = b"".join(map(double, (1.0, 0.0, 2048.0, 4096.0)))
    yield "ok-good", described(small, (16, 12, 11, 0), good, (20, 24))
    yield "ok-one-row", described(low_and_wide, (8, 8, 7, 0), good, (1, 64))
    huge_window = b"".join(map(double, (1.0, 0.0, 1e308, 1.7e308)))
    yield "window-beyond", described(small, (16, 12, 11, 1 << 8), huge_window, (20, 24))
    huge_slope = b"".join(map(double, (1e308, -1e308, 2048.0, 4096.0)))
    yield "slope-beyond", described(small, (16, 16, 15, 1), huge_slope, (20, 24))
    both = b"".join(map(double, (1e308, 0.0, 1e308, 1.7e308)))
    yield "both-beyond", described(small, (16, 16, 15, 1 << 8), both, (20, 24))


def made() -> Iterator[tuple[str, str, bytes]]:
    """All of `seeds/`: target, name and bytes."""
    for name, film in films():
        yield "plane", f"ok-{name}", film.packed()
    for target, rows in (("numbers", places), ("masks", masks), ("anatomy", scenes), ("describe", descriptions)):
        for name, data in rows():
            yield target, name, data


def of_file(path: Path) -> Film | None:
    """What a DICOM file says of its pixels, and every so many of them; None where pydicom cannot read it."""
    import pydicom

    try:
        dataset = pydicom.dcmread(path)
        pixels = dataset.pixel_array
        stored, high, signed = int(dataset.BitsStored), int(dataset.HighBit), bool(dataset.PixelRepresentation)
    except Exception:  # whatever a broken file does to it
        return None
    if pixels.ndim != 2 or pixels.dtype.itemsize > 4 or not stored <= high + 1 <= pixels.dtype.itemsize * 8:
        return None
    step = max(1, -(-max(pixels.shape) // SIDE))
    small = np.ascontiguousarray(pixels[::step, ::step]).view(f"u{pixels.dtype.itemsize}")
    shift = high + 1 - stored  # pydicom has taken it off
    film = Film((small << shift).astype(small.dtype), stored, high, signed)
    film.inverted = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    film.modality = (float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0)))
    film.voi = _voi(dataset)
    return film


def _voi(dataset: Any) -> tuple[float, float, int] | Lut:
    tables = dataset.get("VOILUTSequence")
    if tables:
        count, first, bits = (int(value) for value in tables[0].LUTDescriptor)
        entries = [int(value) & 0xFFFF for value in tables[0].LUTData][: count or 65536]
        return Lut(first, min(max(bits, 1), 16), entries[:: max(1, len(entries) // 300)][:300])
    center, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None:
        return (2.0 ** (dataset.BitsStored - 1), 2.0**dataset.BitsStored, 0)
    return (center, width, FUNCTIONS.get(dataset.get("VOILUTFunction", "LINEAR"), 0))


def _first(value: Any) -> float | None:
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return None if not values or values[0] is None else float(values[0])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the seeds")
    parser.add_argument("sources", type=Path, nargs="*", help="DICOM files or folders of them")
    args = parser.parse_args()
    files = [file for source in args.sources for file in (sorted(source.rglob("*")) if source.is_dir() else [source])]
    found = ((path, of_file(path)) for path in files if path.is_file())
    real = [("plane", path.name, film.packed()) for path, film in found if film is not None]
    seeds = real if args.sources else list(made())
    for target, name, data in seeds:
        path = args.out / target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    sys.stdout.write(f"{len(seeds)} seeds in {args.out}\n")


if __name__ == "__main__":
    main()
