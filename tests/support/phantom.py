"""A drawn frontal chest: what tests and benchmarks look at where no real image may go.

Nothing of it comes from a patient. It is no anatomy lesson either: dark lungs, a heart that leans to the patient's
left, a bright mediastinum with a spine, ribs, shoulders, dark air beside the body, and noise, all from one seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Anatomy:
    """Where things are, as fractions of the image: (centre x, centre y, half-width, half-height)."""

    right_lung: tuple[float, float, float, float]  # the patient's right lies on the image's left
    left_lung: tuple[float, float, float, float]
    heart: tuple[float, float, float, float]

    @staticmethod
    def of(seed: int) -> Anatomy:
        """A chest that differs a little from seed to seed."""
        shift = np.random.default_rng(seed).uniform(-0.015, 0.015, size=12)
        base = np.array([0.30, 0.47, 0.145, 0.30, 0.70, 0.47, 0.14, 0.30, 0.545, 0.60, 0.15, 0.14]) + shift
        right, left, heart = (tuple(float(v) for v in base[i : i + 4]) for i in (0, 4, 8))
        return Anatomy(right, left, heart)  # type: ignore[arg-type]


def draw_phantom(
    rows: int, columns: int, *, seed: int = 0, bits: int = 12, noise: float = 0.004
) -> npt.NDArray[np.uint16]:
    """A frontal chest of that size.

    Args:
        rows: height in pixels.
        columns: width in pixels.
        seed: another number is another patient.
        bits: values span most of 0 .. 2**bits - 1.
        noise: standard deviation of the noise, as a share of the range.

    Returns:
        Grey values with bright = dense (MONOCHROME2).
    """
    y = ((np.arange(rows, dtype=np.float32) + 0.5) / rows)[:, None]
    x = ((np.arange(columns, dtype=np.float32) + 0.5) / columns)[None, :]
    anatomy = Anatomy.of(seed)
    image = 0.05 + 0.62 * _body(x, y)
    lungs = np.maximum(_blob(x, y, anatomy.right_lung), _blob(x, y, anatomy.left_lung))
    image -= 0.42 * lungs
    image += 0.10 * _ribs(x, y) * lungs
    image = np.maximum(image, 0.60 * _blob(x, y, anatomy.heart, hardness=14))
    image = np.maximum(image, 0.66 * _mediastinum(x, y))
    rng = np.random.default_rng(seed + 1)
    image += rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(noise)
    top = 2**bits - 1
    return np.clip(np.rint(image * top), 0, top).astype(np.uint16)


def draw_masks(rows: int, columns: int, *, seed: int = 0) -> npt.NDArray[np.bool_]:
    """Where `draw_phantom` put left lung, right lung and heart (3, rows, columns)."""
    y = ((np.arange(rows, dtype=np.float32) + 0.5) / rows)[:, None]
    x = ((np.arange(columns, dtype=np.float32) + 0.5) / columns)[None, :]
    anatomy = Anatomy.of(seed)
    heart = _blob(x, y, anatomy.heart, hardness=14) > 0.5
    lungs = [(_blob(x, y, box) > 0.5) & ~heart for box in (anatomy.left_lung, anatomy.right_lung)]
    return np.stack([*lungs, heart])


def _sigmoid(value: Floats) -> Floats:
    return (0.5 * (1.0 + np.tanh(0.5 * value))).astype(np.float32)


def _blob(x: Floats, y: Floats, box: tuple[float, float, float, float], *, hardness: float = 10) -> Floats:
    """About 1 inside the superellipse, 0 outside, with a soft edge."""
    centre_x, centre_y, half_x, half_y = box
    u, v = ((x - centre_x) / half_x) ** 2, ((y - centre_y) / half_y) ** 2
    radius = np.sqrt(np.sqrt(u**2 + v**2 + 0.9 * u * v))
    return _sigmoid(hardness * 2 * (1 - radius))


def _body(x: Floats, y: Floats) -> Floats:
    half = 0.46 - 0.20 * np.clip(0.16 - y, 0, 1) / 0.16  # the neck is narrower than the shoulders
    return _sigmoid(60 * (half - np.abs(x - 0.5)))


def _mediastinum(x: Floats, y: Floats) -> Floats:
    column = np.exp(-(((x - 0.5) / 0.055) ** 4))
    vertebrae = 0.94 + 0.06 * np.cos(2 * np.pi * y * 18)
    return (column * vertebrae).astype(np.float32)


def _ribs(x: Floats, y: Floats) -> Floats:
    arch = y + 1.1 * (np.abs(x - 0.5) - 0.22) ** 2 * 2.0
    return (0.5 + 0.5 * np.cos(2 * np.pi * arch * 10)).astype(np.float32) ** 2


def example_film(rows: int, columns: int, *, seed: int = 0) -> npt.NDArray[np.uint16]:
    """The healthy film of `examples/`, of 12 bits and of that size, with noise of its own from each seed.

    For what runs the embedded bundle: its gate takes `draw_phantom` for no chest, and is right.
    """
    from PIL import Image
    from pydicom import dcmread

    film = dcmread(Path(__file__).parents[2] / "examples" / "healthy.dcm")
    low, width = float(film.WindowCenter) - float(film.WindowWidth) / 2, float(film.WindowWidth)
    shown = np.clip((film.pixel_array.astype(np.float32) - low) / width, 0, 1)
    large = np.asarray(Image.fromarray(shown).resize((columns, rows), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(seed).normal(0, 0.004, large.shape).astype(np.float32)
    return np.rint(np.clip(large + noise, 0, 1) * 4095).astype(np.uint16)
