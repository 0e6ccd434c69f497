"""The overlay's caption: rows of text, laid out in columns of any width, in Pillow's own scalable font."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from cxredge.errors import Code, CxredgeError
from cxredge.report.style import (
    COLOURS,
    NAMES,
    clean,
    demonstration,
    engine_line,
    heat_palette,
    numbers,
    ranked,
    ratio_text,
    rgb,
)
from cxredge.result import Finding, Record, display_name

__all__ = ["BACKGROUND", "Caption", "scalable_font", "shortened", "wrap"]

Colour = tuple[int, int, int]
BACKGROUND: Colour = (18, 20, 24)
TEXT: Colour = (240, 240, 240)
QUIET: Colour = (168, 172, 180)
POSITIVE: Colour = (255, 196, 92)


@dataclass(frozen=True)
class _Row:
    """Something that takes the column's whole width and a height, and draws itself at (x, y)."""

    height: float
    draw: Callable[[ImageDraw.ImageDraw, float, float], None]


@dataclass(frozen=True)
class Caption:
    """What stands beside the picture.

    `structures` are the outlines that were really drawn, `heatmap` is the label whose heat map was.
    """

    record: Record
    structures: tuple[str, ...] = ()
    heatmap: str | None = None

    def draw(self, width: int, text: float, *, columns: int) -> Image.Image:
        """A panel `width` pixels wide with letters of size `text`, as high as it must be."""
        gap = text * 0.9
        each = (width - gap) / columns - gap
        said = demonstration(self.record)
        head = [_Pen(width - 2 * gap, text).banner(said), _space(gap)] if said else []
        stacks = _stack([block for block in self._blocks(_Pen(each, text)) if block], columns, gap)
        tallest = sum(row.height for row in head) + max(sum(row.height for row in stack) for stack in stacks)
        panel = Image.new("RGB", (width, round(tallest + 2 * gap)), BACKGROUND)
        canvas = ImageDraw.Draw(panel)
        top = gap
        for row in head:
            row.draw(canvas, gap, top)
            top += row.height
        for index, stack in enumerate(stacks):
            x, y = gap + index * (each + gap), top
            for row in stack:
                row.draw(canvas, x, y)
                y += row.height
        return panel

    def _blocks(self, pen: _Pen) -> Iterator[list[_Row]]:
        record = self.record
        yield self._findings(pen) if record.status == "ok" else self._reason(pen)
        if record.anatomy is not None:
            yield [pen.pair("Cardiothoracic ratio", ratio_text(record), TEXT)]
        yield self._key(pen)
        if record.warnings:
            yield pen.text("Warnings", QUIET) + [
                row for w in record.warnings for row in pen.text(clean(w.message), TEXT)
            ]
        yield self._origin(pen)

    def _findings(self, pen: _Pen) -> list[_Row]:
        findings = ranked(self.record.findings)
        points = sorted({clean(finding.operating_point) for finding in findings})
        rows = pen.text(f"Probability / threshold ({', '.join(points)})", QUIET)
        if not any(finding.positive for finding in findings):
            rows += pen.text("No finding reaches its threshold", TEXT)
        return rows + [pen.finding(finding) for finding in findings]

    def _reason(self, pen: _Pen) -> list[_Row]:
        title = "Abstained: no findings" if self.record.status == "abstained" else "Error: no findings"
        reason = self.record.reason
        rows = pen.text(title, POSITIVE, 1.15)
        if reason is not None:
            rows += pen.text(clean(reason.message), TEXT) + pen.text(clean(str(reason.code)), QUIET)
        return rows

    def _key(self, pen: _Pen) -> list[_Row]:
        rows = [pen.swatch(NAMES[name], rgb(COLOURS[name])) for name in self.structures]
        if self.heatmap is not None:
            rows.append(pen.ramp(f"Heat map: {display_name(clean(self.heatmap))}"))
        return rows

    def _origin(self, pen: _Pen) -> list[_Row]:
        bundle = self.record.bundle
        lines = [f"{clean(bundle.name)} {clean(bundle.version)}"] if bundle is not None else []
        lines += [engine_line(self.record)] if self.record.ran is not None else []
        return [row for line in lines for row in pen.text(line, QUIET, 0.85)]


def _space(height: float) -> _Row:
    return _Row(height, lambda *_: None)


def _stack(blocks: list[list[_Row]], columns: int, gap: float) -> list[list[_Row]]:
    """Blocks in reading order over columns of about equal height, with a gap between two."""
    spaced = [[*block, _space(gap)] for block in blocks]
    heights = [sum(row.height for row in block) for block in spaced]
    share = max(sum(heights) / columns, max(heights, default=0.0))
    stacks: list[list[_Row]] = [[]]
    used = 0.0
    for block, height in zip(spaced, heights, strict=True):
        if used and used + height > share * 1.001 and len(stacks) < columns:
            stacks.append([])
            used = 0.0
        stacks[-1] += block
        used += height
    return stacks


class _Pen:
    """Makes rows for one column width and one size of letters."""

    def __init__(self, width: float, size: float) -> None:
        self._width = width
        self._size = size

    def text(self, text: str, colour: Colour, scale: float = 1.0) -> list[_Row]:
        """One row for each line that the text needs."""
        font = scalable_font(self._size * scale)
        return [self._line(line, font, colour, scale) for line in wrap(text, font, self._width)]

    def _line(self, line: str, font: ImageFont.FreeTypeFont, colour: Colour, scale: float) -> _Row:
        return _Row(self._size * scale * 1.35, lambda canvas, x, y: canvas.text((x, y), line, colour, font))

    def pair(self, left: str, right: str, colour: Colour, indent: float = 0.0) -> _Row:
        """Words at the left border, figures at the right one."""
        font = scalable_font(self._size)
        room = self._width - indent - font.getlength(right) - self._size * 0.5
        words = shortened(left, font, room)

        def draw(canvas: ImageDraw.ImageDraw, x: float, y: float) -> None:
            canvas.text((x + indent, y), words, colour, font)
            canvas.text((x + self._width, y), right, colour, font, anchor="ra")

        return _Row(self._size * 1.4, draw)

    def finding(self, finding: Finding) -> _Row:
        """A finding with both its numbers; a dot and a colour of its own where it is positive."""
        size = self._size
        probability, threshold = numbers(finding)
        colour = POSITIVE if finding.positive else QUIET
        words = self.pair(display_name(clean(finding.label)), f"{probability} / {threshold}", colour, indent=size)

        def draw(canvas: ImageDraw.ImageDraw, x: float, y: float) -> None:
            words.draw(canvas, x, y)
            if finding.positive:
                _dot(canvas, x + size * 0.35, y + size * 0.62, size * 0.26, colour)

        return _Row(words.height, draw)

    def swatch(self, name: str, colour: Colour) -> _Row:
        """A piece of outline, and what it goes around."""
        size, font = self._size, scalable_font(self._size)

        def draw(canvas: ImageDraw.ImageDraw, x: float, y: float) -> None:
            middle = y + size * 0.62
            canvas.line([(x, middle), (x + size * 1.5, middle)], fill=colour, width=max(2, round(size / 7)))
            canvas.text((x + size * 2, y), name, TEXT, font)

        return _Row(size * 1.35, draw)

    def ramp(self, title: str) -> _Row:
        """The heat map's colours on grey, from weak to strong."""
        size, font = self._size, scalable_font(self._size)
        words = shortened(title, font, self._width)
        steps = heat_palette(1.0).astype(float)

        def draw(canvas: ImageDraw.ImageDraw, x: float, y: float) -> None:
            canvas.text((x, y), words, TEXT, font)
            small, top, height = scalable_font(size * 0.8), y + size * 1.45, size * 0.55
            start, end = x + size * 2.9, x + self._width - size * 3.4
            canvas.text((x, top + height / 2), "weak", QUIET, small, anchor="lm")
            canvas.text((x + self._width, top + height / 2), "strong", QUIET, small, anchor="rm")
            for column in range(round(start), round(end)):
                red, green, blue, alpha = steps[min(255, max(0, round(255 * (column - start) / (end - start))))]
                mix = [round(70 + (value - 70) * alpha / 255) for value in (red, green, blue)]
                canvas.line([(column, top), (column, top + height)], fill=(mix[0], mix[1], mix[2]))

        return _Row(size * 2.3, draw)

    def banner(self, text: str) -> _Row:
        """Words that must not be missed."""
        size = self._size
        font = scalable_font(size)
        lines = wrap(text, font, self._width - size)
        height = size * (0.8 + 1.3 * len(lines))

        def draw(canvas: ImageDraw.ImageDraw, x: float, y: float) -> None:
            canvas.rounded_rectangle((x, y, x + self._width, y + height), size * 0.3, fill=POSITIVE)
            for index, line in enumerate(lines):
                canvas.text((x + size * 0.5, y + size * (0.4 + 1.3 * index)), line, BACKGROUND, font)

        return _Row(height, draw)


def _dot(canvas: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def scalable_font(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own font at any size, so that no font has to be found on the machine."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):  # Pillow built without FreeType has no scalable font
        raise CxredgeError(Code.INTERNAL, "this build of Pillow has no FreeType")
    return font


def wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Lines no wider than `width` pixels; a word that is wider by itself is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if lines[-1] and font.getlength(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    return lines


def shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, or as much of it as fits with an ellipsis behind."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "\u2026") > width:
        text = text[:-1]
    return text + "\u2026"
