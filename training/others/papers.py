"""What is no body at all: documents, screens, charts, test patterns, codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.others.plate import Plane

__all__ = ["KINDS"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;/-()"


class _Sheet:
    """A picture of 8 bits to draw on."""

    def __init__(self, rng: np.random.Generator, size: int, paper: int) -> None:
        self.rng, self.size = rng, size
        self.picture = Image.new("L", (size, size), paper)
        self.draw = ImageDraw.Draw(self.picture)

    def words(self, left: float, top: float, height: float, ink: int, longest: int) -> None:
        """A line of letters, its place in 0..1."""
        count = int(self.rng.integers(1, max(longest, 1) + 1))
        text = "".join(self.rng.choice(list(LETTERS + "      "), count))
        font = ImageFont.load_default(max(4.0, height * self.size))
        self.draw.text((left * self.size, top * self.size), text, fill=ink, font=font)

    def box(self, left: float, top: float, right: float, bottom: float, ink: int) -> None:
        """A filled box, in 0..1."""
        edges = [round(edge * self.size) for edge in (left, top, right, bottom)]
        self.draw.rectangle((edges[0], edges[1], max(edges[0], edges[2]), max(edges[1], edges[3])), fill=ink)

    def plane(self) -> Plane:
        return np.asarray(self.picture, np.float32) / np.float32(255)


def _inks(rng: np.random.Generator) -> tuple[int, int]:
    """Paper and ink: dark on light, or light on dark."""
    dark, light = int(rng.integers(0, 60)), int(rng.integers(170, 256))
    return (light, dark) if rng.random() < 0.5 else (dark, light)


def _document(rng: np.random.Generator, size: int) -> Plane:
    """A scanned letter or a report: lines of letters, a heading, perhaps a frame."""
    paper, ink = _inks(rng)
    sheet = _Sheet(rng, size, paper)
    step, left = rng.uniform(0.035, 0.11), rng.uniform(0.03, 0.2)
    top = rng.uniform(0.03, 0.3)
    while top < rng.uniform(0.6, 1.0):
        if rng.random() < 0.85:
            sheet.words(left, top, step * 0.8, ink, int((1 - left) / step * 1.9))
        top += step
    if rng.random() < 0.4:
        sheet.draw.rectangle((size * 0.04, size * 0.03, size * 0.96, size * 0.97), outline=ink, width=2)
    return sheet.plane()


def _screen(rng: np.random.Generator, size: int) -> Plane:
    """A screen: panels, buttons, a few words, perhaps a chart."""
    paper, ink = _inks(rng)
    sheet = _Sheet(rng, size, paper)
    for _ in range(int(rng.integers(3, 15))):
        left, top = rng.uniform(0, 0.8, 2)
        right, bottom = left + rng.uniform(0.05, 0.6), top + rng.uniform(0.03, 0.4)
        sheet.box(left, top, right, bottom, int(rng.integers(0, 256)))
        if rng.random() < 0.6:
            sheet.words(left + 0.02, top + 0.01, rng.uniform(0.03, 0.08), ink, 14)
    return sheet.plane()


def _chart(rng: np.random.Generator, size: int) -> Plane:
    """Curves on axes: an ECG, a report's graph."""
    paper, ink = _inks(rng)
    sheet = _Sheet(rng, size, paper)
    for at in np.linspace(0, size, int(rng.integers(4, 20))):
        sheet.draw.line((at, 0, at, size), fill=(paper + ink) // 2)
        sheet.draw.line((0, at, size, at), fill=(paper + ink) // 2)
    x = np.linspace(0, 1, 200)
    for row in range(int(rng.integers(1, 6))):
        wave = np.sin(x * rng.uniform(5, 80) + rng.uniform(0, 6)) ** int(rng.choice([1, 9]))
        y = (row + 0.5) / 5 + rng.uniform(0.02, 0.1) * wave + 0.01 * np.cumsum(rng.normal(0, 0.3, 200))
        sheet.draw.line([(float(a * size), float(b * size)) for a, b in zip(x, y, strict=True)], fill=ink, width=2)
    return sheet.plane()


def _test_pattern(rng: np.random.Generator, size: int) -> Plane:
    """What displays are tested with: steps of grey, gratings, a grid, corners, a circle (as TG18 and SMPTE)."""
    sheet = _Sheet(rng, size, int(rng.integers(0, 180)))
    for at in np.linspace(0, size - 1, int(rng.integers(3, 12))):
        sheet.draw.line((at, 0, at, size), fill=200)
        sheet.draw.line((0, at, size, at), fill=200)
    steps = int(rng.integers(6, 19))
    around = rng.random() < 0.5
    for index in range(steps):
        grey = round(255 * index / (steps - 1))
        if around:
            angle = 2 * np.pi * index / steps
            x, y = 0.5 + 0.3 * np.sin(angle), 0.5 - 0.3 * np.cos(angle)
            sheet.box(x - 0.05, y - 0.05, x + 0.05, y + 0.05, grey)
        else:
            sheet.box(0.1 + 0.8 * index / steps, 0.35, 0.1 + 0.8 * (index + 1) / steps, 0.65, grey)
    for corner in ((0.03, 0.03), (0.85, 0.03), (0.03, 0.85), (0.85, 0.85)):
        pitch = int(rng.integers(1, 5))
        for line in range(0, round(0.12 * size), 2 * pitch):
            sheet.box(corner[0] + line / size, corner[1], corner[0] + (line + pitch - 1) / size, corner[1] + 0.12, 255)
    sheet.draw.ellipse((size * 0.03, size * 0.03, size * 0.97, size * 0.97), outline=220, width=1)
    sheet.words(0.35, 0.75, 0.06, 255, 10)
    return sheet.plane()


def _code(rng: np.random.Generator, size: int) -> Plane:
    """Chequers, a QR code, bars; even or at random, in one part of the picture or all over it."""
    cells = int(rng.integers(2, 48))
    kind = rng.integers(3)
    if kind == 0:
        grid = np.indices((cells, cells)).sum(0) % 2
    elif kind == 1:
        grid = rng.integers(0, 2, (cells, cells))
    else:
        grid = np.tile(rng.integers(0, 2, cells), (cells, 1))
    paper, ink = _inks(rng)
    code = Image.fromarray(np.where(grid == 1, ink, paper).astype(np.uint8))
    side = size if rng.random() < 0.6 else int(size * rng.uniform(0.25, 0.9))
    sheet = _Sheet(rng, size, paper)
    place = tuple(int(value) for value in rng.integers(0, size - side + 1, 2))
    sheet.picture.paste(code.resize((side, side), Image.Resampling.NEAREST), (place[0], place[1]))
    return sheet.plane()


KINDS: dict[str, Callable[[np.random.Generator, int], Plane]] = {
    "document": _document,
    "screen": _screen,
    "chart": _chart,
    "test_pattern": _test_pattern,
    "code": _code,
}
