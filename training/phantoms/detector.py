"""From attenuation to the stored picture: beam, scatter, quantum noise, log response, grey curve, collimation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.phantoms.anatomy import Build
from training.phantoms.canvas import Canvas, Grid
from training.phantoms.scene import AERATED, TISSUE, Scene

__all__ = ["BITS", "Exposure", "draw_exposure", "expose"]

BITS = 12
_TOP = 2**BITS - 1


@dataclass(frozen=True, slots=True)
class Exposure:
    """How the picture was taken.

    Attributes:
        quanta: detected per pixel of 1 mm^2 in the direct beam, in thousands.
        scatter: scattered over primary radiation behind the heart.
        dark, bright: log signals that become 0 and the top of the stored range.
        contrast: steepness of the grey curve; 0 is straight.
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


def expose(scene: Scene, exposure: Exposure, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Stored values of 12 bits, bright = dense."""
    canvas = scene.canvas
    attenuation = scene.attenuation()
    primary = np.exp(-attenuation)
    # Scatter is born in tissue: none comes from the direct beam beside the body.
    source = primary * np.minimum(attenuation / 2.5, 1)
    near, far = canvas.blur(source, 0.045), canvas.blur(source, 0.13)
    near += far
    near *= np.float32(0.25 * exposure.scatter)
    total = canvas.blur(primary + near, scene.cm(exposure.blur))
    quanta = np.float32(1000 * exposure.quanta * (10 * canvas.pixel * scene.build.cm) ** 2)
    total += np.sqrt(total / quanta) * rng.standard_normal(total.shape, dtype=np.float32)
    np.maximum(total, 1e-4, out=total)
    signal = np.log(total, out=total)
    np.negative(signal, out=signal)
    signal += np.float32(exposure.detail) * (signal - canvas.blur(signal, 0.02))
    return _stored(canvas, signal, exposure)


def _stored(canvas: Canvas, signal: Grid, exposure: Exposure) -> npt.NDArray[np.uint16]:
    grey = signal - np.float32(exposure.dark)
    grey /= np.float32(exposure.bright - exposure.dark)
    if exposure.contrast > 0.05:
        k = np.float32(2.2 * exposure.contrast)
        low, high = np.tanh(-0.5 * k), np.tanh(0.5 * k)
        grey -= 0.5
        grey *= k
        np.tanh(grey, out=grey)
        grey -= low
        grey /= high - low
    np.clip(grey, 0, 1, out=grey)
    if exposure.border != (0, 0, 1, 1):
        field = _field(canvas.size, exposure)
        grey = grey * field + np.float32(exposure.shutter) * (1 - field)
    return np.rint(grey * _TOP).astype(np.uint16)


def _field(size: int, exposure: Exposure) -> Grid:
    """1 inside the collimated field, 0 outside, about a pixel soft."""
    at = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = at[None, :], at[:, None]
    tilt = np.float32(exposure.turn)
    left, top, right, bottom = (np.float32(edge) for edge in exposure.border)
    field = np.ones((size, size), np.float32)
    across, down = x + tilt * (y - 0.5), y - tilt * (x - 0.5)
    for edge, value in ((left, across), (top, down)):
        if edge > 0:
            field *= np.clip((value - edge) * size + 0.5, 0, 1)
    for edge, value in ((right, across), (bottom, down)):
        if edge < 1:
            field *= np.clip((edge - value) * size + 0.5, 0, 1)
    return field
