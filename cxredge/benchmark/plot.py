"""A benchmark as a picture: how long each stage takes, and latency against accuracy where that is known.

Drawn with Pillow, which the runtime has anyway; a plotting library would be one more for a hospital to install.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from cxredge.benchmark.machine import disturbed
from cxredge.benchmark.record import STAGES, Report, Result
from cxredge.report.caption import scalable_font, shortened, wrap
from cxredge.report.style import clean, rgb

__all__ = ["draw"]

_WIDTH, _MARGIN, _TEXT = 1400, 40, 22
_PAPER, _INK, _QUIET, _GRID = (255, 255, 255), (28, 30, 34), (104, 108, 116), (222, 224, 228)
# Okabe and Ito's palette, told apart by colour-blind eyes as well.
_COLOURS = dict(zip(STAGES, ("#56B4E9", "#009E73", "#F0E442", "#0072B2", "#E69F00", "#CC79A7"), strict=True))
_LABEL, _ROW, _BAR, _NAME = 430, 46, 28, 26


def draw(report: Report) -> bytes:
    """The PNG file."""
    known = [result for result in report.results if result.accuracy and result.accuracy.mean_auroc is not None]
    head = wrap(clean(_title(report)), scalable_font(_TEXT * 1.15), _WIDTH - 2 * _MARGIN)
    advice = wrap(clean(f"{report.advice} {disturbed(report.machine)}"), scalable_font(_TEXT), _WIDTH - 2 * _MARGIN)
    bars = 110 + _ROW * max(1, len(report.results))
    height = 2 * _MARGIN + 34 * (len(head) + len(advice)) + bars + (440 if known else 40) + 20
    page = Image.new("RGB", (_WIDTH, height), _PAPER)
    canvas = ImageDraw.Draw(page)
    y = _lines(canvas, head, _MARGIN, _INK, 1.15)
    y = _lines(canvas, advice, y, _QUIET, 1.0) + 20
    _bars(canvas, report.results, y)
    _accuracy(canvas, known, y + bars)
    buffer = io.BytesIO()
    page.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _title(report: Report) -> str:
    machine, bundle = report.machine, report.bundle
    one = report.inputs[0]
    gpu = f", {machine.gpus[0]}" if machine.gpus else ""
    return (
        f"{bundle.name} {bundle.version}: a film of {one.columns} x {one.rows} to its result on "
        f"{machine.processor}, {machine.affinity} cores{gpu}, {report.date[:10]}"
    )


def _lines(canvas: ImageDraw.ImageDraw, lines: Sequence[str], y: float, colour: tuple[int, int, int], k: float) -> int:
    for line in lines:
        canvas.text((_MARGIN, y), line, colour, scalable_font(_TEXT * k))
        y += 34
    return round(y)


def _bars(canvas: ImageDraw.ImageDraw, results: Sequence[Result], top: int) -> None:
    """One stacked bar a combination: the medians of its stages; the mark is the 95th percentile of the whole."""
    if not results:
        canvas.text((_MARGIN, top), "Nothing could be measured.", _INK, scalable_font(_TEXT))
        return
    _legend(canvas, top)
    left, right = _MARGIN + _LABEL, _WIDTH - _MARGIN - 90
    most = max(max(sum(result.stages_ms.values()), result.latency_ms.p95 / result.asked.batch) for result in results)
    step = _step(most)
    scale = (right - left) / (math.ceil(most / step) * step)
    begin, end = top + 50, top + 50 + _ROW * len(results)
    for number in range(math.ceil(most / step) + 1):
        x = left + number * step * scale
        canvas.line([(x, begin), (x, end)], _GRID)
        canvas.text((x, end + 6), f"{number * step:g}", _QUIET, scalable_font(_TEXT * 0.8), anchor="ma")
    canvas.text((right, end + 30), "milliseconds an image", _QUIET, scalable_font(_TEXT * 0.8), anchor="ra")
    for index, result in enumerate(results):
        _bar(canvas, result, left, begin + index * _ROW + (_ROW - _BAR) // 2, scale)


def _legend(canvas: ImageDraw.ImageDraw, top: int) -> None:
    x = float(_MARGIN)
    font = scalable_font(_TEXT * 0.9)
    for name in STAGES:
        canvas.rectangle((x, top + 4, x + 20, top + 24), fill=rgb(_COLOURS[name]))
        canvas.text((x + 28, top), name, _INK, font)
        x += 28 + font.getlength(name) + 30
    canvas.line([(x + 10, top + 2), (x + 10, top + 26)], _INK, 3)
    canvas.text((x + 22, top), "95th percentile of the whole", _INK, font)


def _bar(canvas: ImageDraw.ImageDraw, result: Result, left: float, y: float, scale: float) -> None:
    font = scalable_font(_TEXT * 0.85)
    name = shortened(clean(_name(result)), font, _LABEL - 16)
    canvas.text((left - 12, y + _BAR / 2), name, _INK, font, anchor="rm")
    x = float(left)
    for stage in STAGES:
        width = result.stages_ms[stage] * scale
        canvas.rectangle((x, y, x + width, y + _BAR), fill=rgb(_COLOURS[stage]))
        x += width
    mark = left + result.latency_ms.p95 / result.asked.batch * scale
    canvas.line([(mark, y - 3), (mark, y + _BAR + 3)], _INK, 3)
    told = f"{result.latency_ms.p50 / result.asked.batch:.1f}"
    canvas.text((max(x, mark) + 8, y + _BAR / 2), told, _INK, font, anchor="lm")


def _accuracy(canvas: ImageDraw.ImageDraw, known: Sequence[Result], top: int) -> None:
    """A dot a combination: to the left is faster, above is better."""
    if not known:
        words = "Latency against accuracy: the bundle's gate report gives no accuracy of what ran."
        canvas.text((_MARGIN, top), words, _QUIET, scalable_font(_TEXT * 0.9))
        return
    title = "Latency against accuracy: mean AUROC of the bundle's gate report, on its own cases"
    canvas.text((_MARGIN, top), title, _INK, scalable_font(_TEXT * 0.95))
    left, right, upper, lower = _MARGIN + 90, _WIDTH - _MARGIN - 260, top + 50, top + 370
    points = [(r.latency_ms.p50 / r.asked.batch, r.accuracy.mean_auroc or 0.0, r) for r in known if r.accuracy]
    slowest = _step(max(x for x, _, _ in points)) * math.ceil(max(x for x, _, _ in points) / _step(max(points)[0]))
    low, high = min(y for _, y, _ in points) - 0.005, max(y for _, y, _ in points) + 0.005
    canvas.rectangle((left, upper, right, lower), outline=_GRID)
    small = scalable_font(_TEXT * 0.8)
    for share in (0.0, 0.5, 1.0):
        x, y = left + share * (right - left), lower - share * (lower - upper)
        canvas.text((x, lower + 6), f"{share * slowest:g} ms", _QUIET, small, anchor="ma")
        canvas.text((left - 8, y), f"{low + share * (high - low):.3f}", _QUIET, small, anchor="rm")
    dots = [
        (lower - (y - low) / (high - low) * (lower - upper), left + x / slowest * (right - left), clean(_name(result)))
        for x, y, result in points
    ]
    dots.sort(key=lambda dot: dot[:2])
    for (y, x, name), place in zip(dots, _apart([y for y, _, _ in dots], _NAME), strict=True):
        canvas.line((x, y, right + 8, place), fill=_GRID, width=2)
        canvas.text((right + 14, place), shortened(name, small, _WIDTH - right - 24), _INK, small, anchor="lm")
    for y, x, _ in dots:
        canvas.ellipse((x - 8, y - 8, x + 8, y + 8), fill=rgb(_COLOURS["engine"]))


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Places in rising order, moved so that two are never nearer than that; about where they were."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + least) if moved else place)
    shift = (sum(moved) - sum(places)) / max(1, len(places))
    return [place - shift for place in moved]


def _step(most: float) -> float:
    """A round distance of grid lines: four to ten of them up to `most`."""
    power = 10.0 ** math.floor(math.log10(max(most, 1e-3)))
    return next(power * k for k in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if most / (power * k) <= 10)


def _name(result: Result) -> str:
    ran = result.ran
    words = f"{ran.engine} {ran.device} {ran.precision}"
    words += f", batch {ran.batch}" if ran.batch > 1 else ""
    return words + (f", {ran.threads} thread{'s' if ran.threads > 1 else ''}" if ran.threads else "")
