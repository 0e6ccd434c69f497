"""Curves as points: splines through and led by a few, and paths resampled at equal steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from training.phantoms.shape_model import Points

__all__ = ["Resampled", "across", "along", "bezier", "resampled", "smooth_closed", "tangents"]


def along(path: Points, step: float) -> Points:
    """The path (N, 2) resampled at equal steps of about `step`, ends kept."""
    lengths = np.zeros(len(path))
    run = path[1:] - path[:-1]
    np.cumsum(np.hypot(run[:, 0], run[:, 1]), out=lengths[1:])
    count = max(2, math.ceil(lengths[-1] / step) + 1)
    at = np.arange(count) * (lengths[-1] / (count - 1))
    points = np.empty((count, 2))
    points[:, 0], points[:, 1] = np.interp(at, lengths, path[:, 0]), np.interp(at, lengths, path[:, 1])
    return points


@cache
def _bernstein(degree: int, steps: int) -> Points:
    t = np.linspace(0, 1, steps)[:, None]
    order = np.arange(degree + 1)[None, :]
    return np.array([math.comb(degree, k) for k in range(degree + 1)]) * t**order * (1 - t) ** (degree - order)


def bezier(points: Sequence[tuple[float, float]], steps: int = 64) -> Points:
    """A smooth open curve (steps, 2) led by a few points: the Bezier curve of their degree."""
    curve: Points = _bernstein(len(points) - 1, steps) @ np.asarray(points, np.float64)
    return curve


def tangents(path: Points) -> Points:
    """Central differences along the second-last axis of (..., N, 2 or 3): the step that each point stands for."""
    step = np.empty_like(path)
    step[..., 1:-1, :] = 0.5 * (path[..., 2:, :] - path[..., :-2, :])
    step[..., 0, :] = path[..., 1, :] - path[..., 0, :]
    step[..., -1, :] = path[..., -1, :] - path[..., -2, :]
    return step


def across(run: Points, scale: Points) -> Points:
    """Vectors (N, 2) a quarter turn from those of `run`, times (N,)."""
    turned = run[:, ::-1] * scale[:, None]
    turned[:, 0] *= -1
    return turned


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """Paths at equal steps, one after the other.

    Attributes:
        points: (N, 2), of all paths.
        at: (N,), 0 at the first point of its path, 1 at the last.
        lengths: (P,), of the paths.
        first, last: (P,), where each path begins and ends in `points`.
    """

    points: Points
    at: Points
    lengths: Points
    first: npt.NDArray[np.intp]
    last: npt.NDArray[np.intp]

    def parts(self) -> list[slice]:
        """Where each path lies in `points`."""
        return [slice(a, b + 1) for a, b in zip(self.first.tolist(), self.last.tolist(), strict=True)]

    def each(self, values: npt.ArrayLike) -> Points:
        """One value a path, for each of its points (N,)."""
        return np.repeat(np.asarray(values, np.float64), self.last - self.first + 1)

    def spread(self, values: Sequence[float | Points]) -> Points:
        """For each path one value, or several at even steps along it, read off at all points (N,)."""
        if all(np.ndim(value) == 0 for value in values):
            return self.each(values)
        ends = [np.array([value, value]) if np.ndim(value) == 0 else np.asarray(value) for value in values]
        even = [np.arange(len(value)) / (len(value) - 1) + 2 * k for k, value in enumerate(ends)]
        at = self.at + self.each(2 * np.arange(len(values)))
        return np.interp(at, np.concatenate(even), np.concatenate(ends))

    def tangents(self) -> Points:
        """`tangents` of each path, (N, 2)."""
        step = tangents(self.points)
        if len(self.first) > 1:
            step[self.first] = self.points[self.first + 1] - self.points[self.first]
            step[self.last] = self.points[self.last] - self.points[self.last - 1]
        return step


def resampled(paths: Sequence[Points], step: float) -> Resampled:
    """Each path (n, 2) at equal steps of about `step`, ends kept: `along`, for several at a time."""
    joined = np.concatenate(paths)
    ends = np.cumsum([len(path) for path in paths])
    begins = ends - [len(path) for path in paths]
    run = joined[1:] - joined[:-1]
    lengths = np.zeros(len(joined))
    np.hypot(run[:, 0], run[:, 1], out=lengths[1:])
    lengths[begins[1:]] = 1.0  # from path to path, so that no two places are one
    np.cumsum(lengths, out=lengths)
    begun = lengths[begins]
    total = lengths[ends - 1] - begun
    count = np.maximum(2, np.ceil(total / step).astype(np.intp) + 1)
    last = np.cumsum(count) - 1
    first = last + 1 - count
    index = np.arange(last[-1] + 1) - np.repeat(first, count)
    where = index * np.repeat(total / (count - 1), count) + np.repeat(begun, count)
    points = np.empty((len(where), 2))
    points[:, 0], points[:, 1] = np.interp(where, lengths, joined[:, 0]), np.interp(where, lengths, joined[:, 1])
    return Resampled(points, index / np.repeat(count - 1, count), total, first, last)


def smooth_closed(points: Points, times: int = 3) -> Points:
    """A closed Catmull-Rom spline through the points (N, 2), `times` points for each."""
    around = np.concatenate([points[-1:], points, points[:2]])
    before, after, next_but_one = around[:-3], around[2:-1], around[3:]
    t = (np.arange(times) / times)[:, None, None]
    curve = 0.5 * (
        2 * points
        + t * (after - before)
        + t**2 * (2 * before - 5 * points + 4 * after - next_but_one)
        + t**3 * (3 * points - before - 3 * after + next_but_one)
    )
    return curve.transpose(1, 0, 2).reshape(-1, 2)
