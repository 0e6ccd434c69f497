"""What is not the patient: lines, tubes, electrodes, pacemakers, wires, and the letter of the side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.phantoms.canvas import smoothstep
from training.phantoms.curves import bezier
from training.phantoms.scene import Scene, side_of
from training.phantoms.shape_model import Points

__all__ = ["add_devices", "add_marker"]

Device = Callable[[Scene, np.random.Generator], None]


def add_devices(scene: Scene, rng: np.random.Generator, findings: set[str]) -> list[str]:
    """Draw what such a patient may carry; returns the names of what was drawn.

    A drain is likelier with air or fluid in the pleural space, a pacemaker in the old, the rest at the bedside.
    """
    bedside = scene.build.supine
    chances = {
        "electrodes": 0.5 if bedside else 0.04,
        "central line": 0.35 if bedside else 0.05,
        "endotracheal tube": 0.25 if bedside else 0.0,
        "gastric tube": 0.25 if bedside else 0.0,
        "pacemaker": 0.12 if scene.build.age > 60 else 0.01,
        "port": 0.05,
        "chest drain": 0.35 if findings & {"Pneumothorax", "Effusion"} else 0.01,
        "sternal wires": 0.15 if scene.build.age > 55 else 0.0,
    }
    drawn = []
    for name, chance in chances.items():
        wanted, own = rng.random() < chance, rng.integers(2**63)
        if wanted:
            _DEVICES[name](scene, np.random.default_rng(own))
            drawn.append(name)
    return drawn


def _wire(scene: Scene, points: list[tuple[float, float]], radius: float, weight: float) -> None:
    """A smooth wire or hose, radius in cm; `weight` is its share of solid metal."""
    dust = scene.canvas.tube(bezier(points, 64), scene.cm(radius))
    where, part = scene.canvas.splat_part(dust)
    scene.metal[where] += part * np.float32(weight * scene.build.cm)


def _electrodes(scene: Scene, rng: np.random.Generator) -> None:
    chest = scene.chest
    exit_x = chest.middle + rng.uniform(-0.35, 0.35)
    for dx, dy in ((-0.24, 0.06), (0.25, 0.05), (0.27, 0.40), (-0.22, 0.42))[: int(rng.integers(2, 5))]:
        x, y = chest.middle + dx + rng.normal(0, 0.03), chest.top + dy + rng.normal(0, 0.03)
        where, disc = scene.canvas.disc_part((x, y), (scene.cm(0.55),) * 2, reach=1.1)
        scene.metal[where] += 0.12 * smoothstep(-disc, -1.1, -0.9)
        bow = (x + rng.normal(0, 0.12), y + rng.uniform(0.05, 0.2))
        _wire(
            scene,
            [(x, y), bow, (exit_x, chest.bottom - 0.05), (exit_x + rng.normal(0, 0.05), chest.bottom + 0.3)],
            0.07,
            0.6,
        )


def _central_line(scene: Scene, rng: np.random.Generator) -> None:
    chest, sign = scene.chest, float(rng.choice([-1, 1]))
    cava = (chest.middle - 0.035, chest.top + rng.uniform(0.2, 0.28))
    start = (
        (chest.middle + sign * 0.08, chest.top - 0.2)
        if rng.random() < 0.5
        else (chest.middle + sign * 0.33, chest.top - 0.02)
    )
    _wire(scene, [start, (chest.middle + sign * 0.10, chest.top), (cava[0], chest.top + 0.05), cava], 0.11, 0.22)


def _endotracheal(scene: Scene, rng: np.random.Generator) -> None:
    x, y = scene.chest.middle, scene.chest.top
    end = y + rng.uniform(0.05, 0.14)
    for offset in (-0.011, 0.011):
        _wire(scene, [(x + offset, y - 0.35), (x + offset, end)], 0.07, 0.12)
    _wire(scene, [(x + 0.011, y - 0.35), (x + 0.011, end)], 0.05, 0.5)


def _gastric(scene: Scene, rng: np.random.Generator) -> None:
    x, y, low = scene.chest.middle, scene.chest.top, scene.chest.bottom
    end = (x + rng.uniform(0.1, 0.2), low + rng.uniform(0.0, 0.08))
    _wire(scene, [(x, y - 0.35), (x + 0.01, y), (x + 0.025, y + 0.3), (x + 0.01, low - 0.02), end], 0.14, 0.16)


def _pacemaker(scene: Scene, rng: np.random.Generator) -> None:
    chest, canvas = scene.chest, scene.canvas
    sign = 1 if rng.random() < 0.85 else -1
    x, y = chest.middle + sign * rng.uniform(0.20, 0.25), chest.top + rng.uniform(0.07, 0.13)
    where, box = canvas.disc_part((x, y), (scene.cm(2.3), scene.cm(2.0)), rng.normal(0, 0.2), reach=1.1)
    scene.metal[where] += 0.16 * smoothstep(-(box**1.6), -1.06, -0.94)
    where, battery = canvas.disc_part((x, y + 0.008), (scene.cm(1.4), scene.cm(1.0)), reach=1.1)
    scene.metal[where] += 0.18 * smoothstep(-battery, -1.1, -0.9)
    heart = chest.heart
    cava = (chest.middle - 0.03, chest.top + 0.2)
    for end in (
        (heart[:, 0].mean() + 0.06, heart[:, 1].max() - 0.05),
        (heart[:, 0].min() + 0.05, heart[:, 1].mean() - 0.02),
    ):
        path = [
            (x, y - 0.02),
            (x - sign * 0.1, chest.top - 0.02),
            (chest.middle, chest.top + 0.03),
            cava,
            (cava[0], float(end[1])),
            (float(end[0]), float(end[1])),
        ]
        _wire(scene, path, 0.09, 0.75)


def _port(scene: Scene, rng: np.random.Generator) -> None:
    chest = scene.chest
    x, y = chest.middle - rng.uniform(0.16, 0.24), chest.top + rng.uniform(0.10, 0.2)
    where, disc = scene.canvas.disc_part((x, y), (scene.cm(1.1),) * 2, reach=2)  # beyond there is less than a millionth
    scene.metal[where] += 0.14 * np.exp(-(((np.sqrt(disc) - 0.8) / 0.25) ** 2))
    _wire(
        scene,
        [
            (x, y),
            (x + 0.02, chest.top - 0.05),
            (chest.middle - 0.03, chest.top + 0.02),
            (chest.middle - 0.035, chest.top + 0.25),
        ],
        0.11,
        0.2,
    )


def _drain(scene: Scene, rng: np.random.Generator) -> None:
    side = next(
        (str(drawn.facts["side"]) for drawn in scene.drawn if drawn.label in {"Pneumothorax", "Effusion"}), side_of(rng)
    )
    chest, sign = scene.chest, 1 if side == "left" else -1
    y = chest.top + rng.uniform(0.3, 0.42)
    start = (chest.middle + sign * 0.47, y + 0.06)
    end = (chest.middle + sign * rng.uniform(0.08, 0.14), chest.top + rng.uniform(0.03, 0.14))
    _wire(scene, [start, (chest.middle + sign * 0.25, y - 0.02), end], 0.32, 0.045)
    _wire(scene, [start, (chest.middle + sign * 0.25, y - 0.02), end], 0.06, 0.5)


def _sternal_wires(scene: Scene, rng: np.random.Generator) -> None:
    x, y = scene.chest.middle + rng.normal(0, 0.008), scene.chest.top
    turn = np.linspace(0, 2 * np.pi, 24)
    loops: list[Points] = []
    for level in np.arange(int(rng.integers(4, 7))) * 0.055 + 0.12:
        across = x + 0.013 * np.cos(turn) + rng.normal(0, 0.003)
        loops.append(np.stack([across, y + level + 0.008 * np.sin(turn)], 1))
    where, part = scene.canvas.splat_part(*scene.canvas.tubes(loops, [scene.cm(0.06)] * len(loops)))
    scene.metal[where] += part * np.float32(scene.build.cm)


_DEVICES: dict[str, Device] = {
    "electrodes": _electrodes,
    "central line": _central_line,
    "endotracheal tube": _endotracheal,
    "gastric tube": _gastric,
    "pacemaker": _pacemaker,
    "port": _port,
    "chest drain": _drain,
    "sternal wires": _sternal_wires,
}

_LETTERS: dict[str, list[list[tuple[float, float]]]] = {
    "L": [[(0, 0), (0, 1), (0.6, 1)]],
    "R": [[(0, 1), (0, 0), (0.45, 0), (0.6, 0.12), (0.6, 0.4), (0.45, 0.5), (0, 0.5)], [(0.25, 0.5), (0.62, 1)]],
}


def add_marker(scene: Scene, rng: np.random.Generator) -> str | None:
    """A lead letter on its side of the patient, in a corner of the picture; returns the letter, or None without one."""
    letter = str(rng.choice(["L", "R", ""], p=[0.6, 0.25, 0.15]))
    corner = np.array([rng.uniform(0.05, 0.12), rng.uniform(0.05, 0.2)])
    if not letter:
        return None
    if letter == "L":  # the patient's left is on the image's right
        corner[0] = 1 - corner[0] - 0.03
    height = rng.uniform(0.03, 0.05)
    strokes = [scene.canvas.pose.undo(corner + height * np.array(stroke)) for stroke in _LETTERS[letter]]
    dust = scene.canvas.tubes(strokes, [0.09 * height / scene.canvas.pose.scale] * len(strokes))
    where, part = scene.canvas.splat_part(*dust)
    scene.metal[where] += np.minimum(part * np.float32(scene.build.cm), 0.2) * np.float32(rng.uniform(2.5, 6.0))
    return letter
