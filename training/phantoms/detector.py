"""From attenuation to the stored picture: beam, scatter, quantum noise, log response, grey curve, collimation.

`expose` ends what must be drawn on the processor; `develop` is all that comes after. It is written once, for a picture
of NumPy and for a batch of tensors (training.phantoms.device).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.phantoms.anatomy import Build
from training.phantoms.canvas import Grid
from training.phantoms.filters import blurred, width_step
from training.phantoms.scene import AERATED, TISSUE, Scene

__all__ = ["BITS", "Exposed", "Exposure", "Settings", "develop", "developed", "draw_exposure", "expose", "settings"]

BITS = 12
_TOP = 2**BITS - 1


@dataclass(frozen=True, slots=True)
class Exposure:
    """How the picture was taken.

    Attributes:
        quanta: detected per pixel of 1 mm^2 in the direct beam, in thousands.
        scatter: scattered over primary radiation behind the heart.
        dark, bright: log signals that become 0 and the top of the stored range.
        contrast: steepness of the grey curve; what is below 0.05 counts as that, and is all but straight.
        detail: weight of the detail enhancement.
        blur: of focal spot and detector, in cm.
        center, width: the window that goes with the picture, in stored values.
        border: the collimated field's edges left, top, right, bottom as fractions of the image.
        turn: of the field, radians.
        shutter: value of what lies outside the field: 0 black, 1 white.
    """

    quanta: float
    scatter: float
    dark: float
    bright: float
    contrast: float
    detail: float
    blur: float
    center: float
    width: float
    border: tuple[float, float, float, float]
    turn: float
    shutter: float


def draw_exposure(rng: np.random.Generator, build: Build) -> Exposure:
    """Settings around those that suit a body: lungs dark grey, the heart light grey."""
    scatter = rng.uniform(0.7, 1.4) + 0.6 * build.supine
    width = _TOP * rng.uniform(0.82, 1.08)
    border = rng.choice([0.0, 0.0, 0.0, 1.0], 4) * rng.uniform(0.005, 0.055, 4)
    bright = TISSUE * build.depth * rng.normal(1.0, 0.035) + 0.55 - 0.35 * np.log1p(scatter)
    lung = TISSUE * (build.depth - AERATED * (build.depth - 5.5 - 1.5 * build.fat)) - 0.12 * scatter
    grey = float(np.clip(rng.normal(0.27, 0.05), 0.16, 0.42))
    return Exposure(
        quanta=float(np.exp(rng.normal(np.log(28.0), 0.5))) * (0.55 if build.supine else 1.0),
        scatter=float(scatter),
        dark=float(lung - grey / (1 - grey) * (bright - lung)),
        bright=float(bright),
        contrast=float(rng.uniform(0.2, 1.0)),
        detail=float(rng.uniform(0.0, 0.55)),
        blur=float(rng.uniform(0.02, 0.05) + 0.02 * build.supine),
        center=float(_TOP * rng.normal(0.5, 0.035)),
        width=float(width),
        border=(float(border[0]), float(border[1]), float(1 - border[2]), float(1 - border[3])),
        turn=float(rng.normal(0, 0.012)),
        shutter=float(rng.random() < 0.1),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Exposed:
    """A picture that was taken and not yet developed.

    Attributes:
        attenuation: `Scene.attenuation`, (size, size).
        noise: standard normal numbers, (size, size).
        exposure: how it was taken.
        quanta: detected in a pixel of the direct beam.
        widths: of scatter near and far, of focal spot and detector, and of the detail enhancement: `width_step`s.
    """

    attenuation: Grid
    noise: Grid
    exposure: Exposure
    quanta: float
    widths: tuple[int, int, int, int]


def expose(scene: Scene, exposure: Exposure, rng: np.random.Generator) -> Exposed:
    """Take the picture: what the beam met, and what chance adds to it."""
    pixel, size = scene.canvas.pixel, scene.canvas.size
    near, far, focus, detail = (width_step(s / pixel) for s in (0.045, 0.13, scene.cm(exposure.blur), 0.02))
    return Exposed(
        scene.attenuation(),
        rng.standard_normal((size, size), dtype=np.float32),
        exposure,
        1000 * exposure.quanta * (10 * pixel * scene.build.cm) ** 2,
        (near, far, focus, detail),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """The numbers of `develop`: floats for one picture, arrays (B, 1, 1) for several.

    Attributes:
        edges: for each edge of the collimated field that lies in the picture a row (1, size) and a column (size, 1);
            their sum is 0 and less outside the field and 1 and more inside.
        shutter: value of what lies outside.
    """

    scatter: Any
    quanta: Any
    detail: Any
    dark: Any
    slope: Any
    low: Any
    span: Any
    edges: list[tuple[Any, Any]]
    shutter: Any


def settings(exposed: Exposed) -> Settings:
    """What `develop` is told of one picture."""
    exposure = exposed.exposure
    k = 2.2 * max(exposure.contrast, 0.05)
    low, high = np.tanh(-0.5 * k), np.tanh(0.5 * k)
    return Settings(
        scatter=0.25 * exposure.scatter,
        quanta=exposed.quanta,
        detail=exposure.detail,
        # The grey at which the curve is steepest, and its slope there.
        dark=0.5 * (exposure.dark + exposure.bright),
        slope=k / (exposure.bright - exposure.dark),
        low=float(low),
        span=float(high - low),
        edges=_edges(exposure, len(exposed.noise)),
        shutter=exposure.shutter,
    )


def _edges(exposure: Exposure, size: int) -> list[tuple[Grid, Grid]]:
    """About a pixel soft. An edge of 0 or 1 is the picture's own."""
    at = (np.arange(size) + 0.5) / size
    left, top, right, bottom = exposure.border
    tilt = exposure.turn * (at - 0.5)
    edges = []
    for edge, inward, upright in ((left, 1, True), (top, 1, False), (right, -1, True), (bottom, -1, False)):
        if 0 < edge < 1:
            run, rest = inward * size * at + 0.5, inward * size * ((tilt if upright else -tilt) - edge)
            row, column = (run, rest) if upright else (rest, run)
            edges.append((row[None, :].astype(np.float32), column[:, None].astype(np.float32)))
    return edges


def develop(exposed: Exposed) -> npt.NDArray[np.uint16]:
    """Stored values of 12 bits, bright = dense, (size, size)."""
    blurs = [lambda grid, step=step: blurred(grid, step) for step in exposed.widths]
    return developed(np, exposed.attenuation, exposed.noise, settings(exposed), blurs).astype(np.uint16)


def developed(xp: Any, attenuation: Any, noise: Any, s: Settings, blurs: list[Callable[[Any], Any]]) -> Any:
    """Stored values, still as float32.

    Args:
        xp: numpy or torch: only what both call alike is used.
        attenuation: (..., size, size).
        noise: of the same shape.
        s: the settings.
        blurs: the four blurs of `Exposed.widths`; what they give may be what they were given.
    """
    near, far, focus, detail = blurs
    primary = xp.exp(-attenuation)
    # Scatter is born in tissue: none comes from the direct beam beside the body.
    source = attenuation * (1 / 2.5)
    xp.clip(source, 0, 1, out=source)
    source *= primary
    total = near(source) + far(source)
    total *= s.scatter
    total += primary
    total = focus(total)
    grain = total / s.quanta
    xp.sqrt(grain, out=grain)
    grain *= noise
    grain += total
    signal = xp.log(xp.clip(grain, 1e-4, np.inf, out=grain), out=grain)
    xp.negative(signal, out=signal)
    fine = signal - detail(signal)
    fine *= s.detail
    signal += fine
    return _stored(xp, signal, s)


def _stored(xp: Any, grey: Any, s: Settings) -> Any:
    grey -= s.dark
    grey *= s.slope
    xp.tanh(grey, out=grey)
    grey -= s.low
    grey *= _TOP / s.span
    xp.clip(grey, 0, _TOP, out=grey)
    if s.edges:
        grey -= s.shutter * _TOP
        for row, column in s.edges:
            field = row + column
            grey *= xp.clip(field, 0, 1, out=field)
        grey += s.shutter * _TOP
    return xp.round(grey, out=grey)
