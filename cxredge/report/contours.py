"""From a mask to its outline: traced exactly along the pixels' edges, then smoothed and thinned for drawing.

Coordinates are (x, y) with pixel (row 0, column 0) covering 0..1 in both, y downwards, as in SVG. The inside lies to
the right of the direction of travel, so outer loops have a positive and holes a negative area.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["area", "outlines", "simplify", "smooth", "svg_path", "trace"]

Loop = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STEP = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)], dtype=np.int64)  # east, south, west, north


def trace(mask: npt.NDArray[np.bool_]) -> list[Loop]:
    """Every border of a mask as a closed loop of unit steps, (n, 2), the first point not repeated.

    Foreground that touches only at a corner is apart (4-connected), so there is one outer loop for each 4-connected
    component and one inner loop for each hole; the signed areas add up to the number of pixels exactly.
    """
    x, y, direction, stride = _edges(mask)
    if not x.size:
        return []
    following = _following(x, y, direction, stride)
    points = np.column_stack([x, y]).astype(np.float64)
    return [points[cycle] for cycle in _cycles(following)]


def _edges(mask: npt.NDArray[np.bool_]) -> tuple[Ints, Ints, Ints, int]:
    """Starts and directions of all unit steps that have foreground on their right, sorted by start and direction."""
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    inside = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    offsets = ((0, 0), (1, 0), (1, 1), (0, 1))  # where the step along the top, right, bottom and left side starts
    parts = []
    for direction, (neighbour, (dx, dy)) in enumerate(zip(neighbours, offsets, strict=True)):
        rows, columns = np.nonzero(inside & ~neighbour)
        parts.append(np.stack([columns + dx, rows + dy, np.full_like(rows, direction)]))
    x, y, directions = np.concatenate(parts, axis=1).astype(np.int64)
    stride = inside.shape[1] + 1
    order = np.argsort((y * stride + x) * 4 + directions)
    return x[order], y[order], directions[order], stride


def _following(x: Ints, y: Ints, direction: Ints, stride: int) -> list[int]:
    """For each step the one after it: right if there is one, else straight on, else left."""
    keys = (y * stride + x) * 4 + direction
    step = _STEP[direction]
    end = (y + step[:, 1]) * stride + x + step[:, 0]
    chosen = np.full(x.shape, -1, dtype=np.int64)
    for turn in (3, 0, 1):  # the last one found wins: the right turn keeps corner neighbours apart
        wanted = end * 4 + (direction + turn) % 4
        at = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
        chosen = np.where(keys[at] == wanted, at, chosen)
    return [int(index) for index in chosen]


def _cycles(following: list[int]) -> list[list[int]]:
    seen = bytearray(len(following))
    cycles = []
    for start in range(len(following)):
        if seen[start]:
            continue
        cycle: list[int] = []
        here = start
        while not seen[here]:
            seen[here] = 1
            cycle.append(here)
            here = following[here]
        cycles.append(cycle)
    return cycles


def area(loop: Loop) -> float:
    """Signed area: positive for an outer loop, negative for a hole."""
    x, y = loop[:, 0], loop[:, 1]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def smooth(loop: Loop, sigma: float) -> Loop:
    """A traced loop without its stairs: a Gaussian of `sigma` pixels runs along it. Small loops get a smaller one."""
    middles = (loop + np.roll(loop, -1, axis=0)) / 2
    count = len(middles)
    width = min(sigma, count / 16)  # an island of few pixels must not shrink to a point
    damping = np.exp(-2 * (np.pi * width * np.fft.rfftfreq(count)) ** 2)
    spectrum = np.fft.rfft(middles, axis=0) * damping[:, None]
    return np.asarray(np.fft.irfft(spectrum, n=count, axis=0), dtype=np.float64)


def simplify(loop: Loop, tolerance: float) -> Loop:
    """The fewest points of a closed loop that Douglas and Peucker's rule needs to stay within `tolerance` pixels."""
    if len(loop) <= 4:
        return loop
    far = int(np.argmax(np.hypot(*(loop - loop[0]).T)))
    closed = np.vstack([loop, loop[:1]])
    keep = np.zeros(len(closed), dtype=bool)
    keep[[0, far, len(loop)]] = True
    spans = [(0, far), (far, len(loop))]
    while spans:
        start, stop = spans.pop()
        if stop - start < 2:
            continue
        distances = _distances(closed[start + 1 : stop], closed[start], closed[stop])
        worst = int(np.argmax(distances))
        if distances[worst] > tolerance:
            middle = start + 1 + worst
            keep[middle] = True
            spans += [(start, middle), (middle, stop)]
    kept = closed[:-1][keep[:-1]]
    return kept if len(kept) >= 3 else loop


def _distances(points: Loop, start: Loop, stop: Loop) -> Loop:
    """From each point to the straight line between two others, which is a point where the two are one."""
    line, offset = stop - start, points - start
    length = float(np.hypot(*line))
    if length == 0.0:
        return np.asarray(np.hypot(*offset.T), dtype=np.float64)
    return np.asarray(np.abs(line[0] * offset[:, 1] - line[1] * offset[:, 0]) / length, dtype=np.float64)


def outlines(mask: npt.NDArray[np.bool_]) -> list[Loop]:
    """All borders of a mask, smooth enough to look drawn when enlarged.

    They stay within two pixels of the mask's own, or 1/200 of its longer side: the masks come from a coarser grid, and
    its steps would be drawn otherwise. What is measured is measured on the mask, never on these.
    """
    sigma = max(2.5, max(mask.shape, default=0) / 300)
    return [simplify(smooth(loop, sigma), 0.15) for loop in trace(mask)]


def svg_path(loops: Iterable[Loop]) -> str:
    """The `d` of an SVG path through closed loops, to a tenth of a pixel; empty for none."""
    return "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in loop) + "Z" for loop in loops)
