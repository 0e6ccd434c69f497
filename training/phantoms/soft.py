"""Soft tissue and air: the body's outline, lungs, heart, great vessels, diaphragm, stomach, breasts, airways."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.phantoms.anatomy import SIDES, Build, Chest
from training.phantoms.canvas import Canvas, Grid, positive, smoothstep
from training.phantoms.curves import smooth_closed
from training.phantoms.scene import AERATED, Scene
from training.phantoms.shape_model import Points

__all__ = ["add_soft_tissue", "empty_scene"]


def empty_scene(canvas: Canvas, chest: Chest, build: Build, rng: np.random.Generator) -> Scene:
    """Body, lungs and heart, without bones, vessels or diseases."""
    heart = canvas.coverage(smooth_closed(chest.heart))
    lung = {side: canvas.coverage(smooth_closed(chest.lung(side))) * (1 - heart) for side in SIDES}
    body = _body(canvas, chest, build, rng)
    depth = _lung_depth(canvas, chest, build, lung, heart)
    zeros = canvas.zeros
    return Scene(
        canvas, chest, build, body, _rim(canvas, chest), lung, heart, depth, _share(canvas, rng), zeros() + 1,
        vessels=zeros(), tissue=zeros(), bone=zeros(), metal=zeros(),
    )  # fmt: skip


def _body(canvas: Canvas, chest: Chest, build: Build, rng: np.random.Generator) -> Grid:
    """Tissue from back to front, lungs not yet taken out: a trunk of elliptical section, a neck, two arms."""
    top, low = chest.top, chest.bottom
    wall = float(max(chest.wall(side, np.array([low]))[0] for side in SIDES)) + 0.045 + 0.05 * build.fat
    neck = 0.085 + 0.02 * build.fat + rng.normal(0, 0.004)
    levels = np.array(
        [top - 0.4, top - 0.13, top - 0.07, top - 0.03, top + 0.03, top + 0.14, top + 0.24, low, low + 0.4]
    )
    halves = np.array([neck, neck, neck + 0.05, 0.24, 0.36, 0.41, wall, wall + 0.005, wall + 0.02 + 0.03 * build.fat])
    depths = np.array([0.56, 0.56, 0.6, 0.66, 0.74, 0.88, 0.95, 1.05, 1.1 + 0.1 * build.fat]) * build.depth
    fine = np.linspace(levels[0], levels[-1], 512)
    rows = _rows(canvas, levels[0], levels[-1])
    half, deep = (_rounded(np.interp(fine, levels, values)).take(rows, mode="clip") for values in (halves, depths))
    u = np.abs(canvas.x - np.float32(chest.middle)) / half
    trunk = np.sqrt(u)
    trunk *= u
    trunk *= u
    np.subtract(1, trunk, out=trunk)
    np.sqrt(positive(trunk), out=trunk)
    trunk *= deep
    for side, sign in SIDES.items():
        _add_arm(trunk, canvas, chest, build, sign, rng.normal(0, 0.02) + 0.02 * (side == "left"))
    return trunk


def _rim(canvas: Canvas, chest: Chest) -> dict[str, Grid]:
    """See `Scene.rim`; read off the wall at 512 heights."""
    low, high = chest.top - 0.02, chest.bottom + 0.1
    rows, heights = _rows(canvas, low, high), np.linspace(low, high, 512)
    x = canvas.x - np.float32(chest.middle)
    walls = {side: chest.wall(side, heights).astype(np.float32).take(rows, mode="clip") for side in SIDES}
    return {side: walls[side] - sign * x for side, sign in SIDES.items()}


def _rows(canvas: Canvas, low: float, high: float) -> npt.NDArray[np.intp]:
    """Which of 512 heights from `low` to `high` a pixel lies at; those beyond are left to `take`."""
    return ((canvas.y - np.float32(low)) / np.float32(high - low) * 511).astype(np.intp)


def _rounded(values: np.ndarray) -> Grid:
    kernel = np.hanning(31)
    padded = np.pad(values, 15, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)


def _add_arm(trunk: Grid, canvas: Canvas, chest: Chest, build: Build, sign: int, swing: float) -> None:
    """The path through an upper arm that hangs from the shoulder, a little away from the trunk, where it is longer."""
    radius, near = 0.072 + 0.025 * build.fat, 0.405 + 0.02 * build.fat
    ends = sorted([chest.middle + sign * (near - radius), sign * np.inf])
    part = canvas.rows(chest.top + 0.05 - 0.09, np.inf), canvas.columns(*ends)
    if not trunk[part].size:
        return
    along = canvas.y[part] - np.float32(chest.top + 0.05)
    across = sign * (canvas.x[part] - np.float32(chest.middle))
    across -= near + (0.20 + swing) * np.clip(along, 0, np.inf)
    across /= np.float32(radius)
    across *= across
    np.subtract(1, across, out=across)
    path = np.sqrt(positive(across), out=across)
    path *= smoothstep(along, -0.09, 0.03)
    path *= np.float32(9.5 + 3 * build.fat)
    np.maximum(trunk[part], path, out=trunk[part])


def _lung_depth(canvas: Canvas, chest: Chest, build: Build, lung: dict[str, Grid], heart: Grid) -> Grid:
    """Path inside the lungs in cm: steep at the borders that the beam grazes, thinner towards apex and outer wall.

    Behind the heart and behind the domes of the diaphragm lung goes on, thinner.
    """
    lungs = lung["right"] + lung["left"]
    shape = _raised(canvas.blur(lungs, 0.022), 2, -0.9)
    np.sqrt(shape, out=shape)
    shape *= 0.58
    shape += 0.42
    wall = float(np.mean([chest.wall(side, np.array([chest.bottom]))[0] for side in SIDES])) + 0.03
    across = canvas.x - np.float32(chest.middle)
    across /= wall
    across *= across
    across *= 0.75
    np.subtract(1, across, out=across)
    np.sqrt(np.clip(across, 0.1, 1, out=across), out=across)
    full = smoothstep(canvas.y, chest.top - 0.02, chest.top + 0.30)
    full *= 0.62
    full += 0.38
    full *= build.depth - 5.5 - 1.5 * build.fat
    full *= across
    shape *= lungs
    crown, dome = float(chest.heart[:, 1].min()), min(chest.dome.values())
    columns, everywhere = _columns(chest.heart, canvas), slice(0, canvas.size)
    around, part = (everywhere, columns), (canvas.rows(crown, chest.bottom), columns)
    behind = 0.24 * heart[part] * _raised(canvas.blur_part(heart, 0.035, around, part), 2, -0.9)
    y = canvas.y[part]
    behind *= smoothstep(y, crown, crown + 0.16) * smoothstep(-y, -chest.bottom, -chest.bottom + 0.13)
    shape[part] += behind
    low = canvas.rows(dome - 0.05, np.inf)
    near = canvas.blur_part(lungs, 0.016, (everywhere, everywhere), (low, everywhere))
    recess = 0.16 * (1 - lungs[low] - heart[low]) * _raised(near, 2.2, -0.15)
    recess *= smoothstep(canvas.y[low], dome - 0.05, dome + 0.03)
    shape[low] += recess
    full *= shape
    return canvas.blur(full, 0.0015)


def _columns(outline: Points, canvas: Canvas) -> slice:
    """The columns of the picture that an outline reaches, and a little more."""
    return canvas.columns(float(outline[:, 0].min()) - 0.02, float(outline[:, 0].max()) + 0.02)


def _raised(blurred: Grid, slope: float, offset: float) -> Grid:
    """What is blurred, times a slope, plus an offset, within 0..1; in place."""
    blurred *= np.float32(slope)
    blurred += np.float32(offset)
    return np.clip(blurred, 0, 1, out=blurred)


def _share(canvas: Canvas, rng: np.random.Generator) -> Grid:
    """Air along a unit of lung: a fine mottle on a base that differs by patient and grows towards the apex."""
    base = AERATED + rng.normal(0, 0.012)
    texture = 0.008 * canvas.noise(rng, 0.007)
    texture += 0.008 * canvas.noise(rng, 0.02)
    texture += 0.012 * canvas.noise(rng, 0.1)
    texture += base
    return texture


def add_soft_tissue(scene: Scene, rng: np.random.Generator) -> None:
    """Aorta, heart's roundness, airways, abdomen with gas, breasts."""
    _great_vessels(scene, rng)
    _airways(scene, rng)
    _abdomen(scene, rng)
    if scene.build.female:
        _breasts(scene, rng)
    _skin_folds(scene, rng)


def _great_vessels(scene: Scene, rng: np.random.Generator) -> None:
    """The arch's knob, the descending aorta beside the spine, the right paratracheal stripe; chalk in old walls."""
    canvas, chest, build = scene.canvas, scene.chest, scene.build
    inner = chest.inner("left")
    knob = inner[np.argmin(np.abs(inner[:, 1] - (chest.top + 0.155)))]
    centre = (float(knob[0]) - 0.02, float(knob[1]))
    where, arch = canvas.sphere_part(centre, (0.036, 0.034))
    scene.tissue[where] += 1.6 * arch
    path = np.array([centre, (chest.middle + 0.035, centre[1] + 0.12), (chest.middle + 0.02, chest.bottom + 0.05)])
    where, aorta = canvas.splat_part(canvas.tube(path, scene.cm(1.1)))
    aorta *= np.float32(build.cm)
    scene.depth[where] *= 1 - 0.5 * np.clip(aorta / 2, 0, 1) * scene.heart[where]
    scene.tissue[where] += 0.25 * aorta
    if build.age > 62 and rng.random() < 0.5:
        turn = np.linspace(-1.9, 0.6, 24)
        arc = np.stack([centre[0] + 0.033 * np.cos(turn), centre[1] + 0.031 * np.sin(turn)], axis=1)
        chalk = rng.uniform(1, 3)
        where, wall = canvas.splat_part(canvas.tube(arc, scene.cm(0.09)))
        scene.bone[where] += np.float32(chalk * build.cm) * wall
    ball = (chest.heart[:, 0].mean() + 0.02, chest.heart[:, 1].mean())
    half = 0.5 * np.ptp(chest.heart, axis=0)
    where, round_ = canvas.sphere_part((float(ball[0]), float(ball[1])), (float(half[0]), float(half[1])))
    scene.tissue[where] += 1.5 * round_ * scene.heart[where]


def _airways(scene: Scene, rng: np.random.Generator) -> None:
    """Trachea and main bronchi are gas in the mediastinum."""
    canvas, chest = scene.canvas, scene.chest
    carina = chest.top + 0.20 + rng.normal(0, 0.008)
    bend = chest.middle + rng.normal(-0.004, 0.003)
    trachea = np.array([(chest.middle, chest.top - 0.25), (bend, chest.top), (bend - 0.003, carina)])
    paths = [trachea]
    for side, sign in SIDES.items():
        hilum = chest.hilum(side)
        end = (hilum[0] * 0.75 + bend * 0.25, min(hilum[1], carina + 0.05 + 0.015 * (sign > 0)))
        paths.append(np.array([(bend, carina - 0.004), end]))
    gas = canvas.tubes(paths, [scene.cm(radius) for radius in (0.85, 0.55, 0.55)])
    where, path = canvas.softened(*canvas.splat_part(*gas))
    path *= np.float32(scene.build.cm)
    path *= 1 - 0.8 * (scene.lung["right"][where] + scene.lung["left"][where])
    scene.tissue[where] -= path


def _abdomen(scene: Scene, rng: np.random.Generator) -> None:
    """A denser belly, the stomach's bubble under the left dome, loops of bowel with gas."""
    canvas, chest, build = scene.canvas, scene.chest, scene.build
    low, thicker = scene.belly()
    outside = 1 - (scene.lung["right"][low] + scene.lung["left"][low])
    scene.tissue[low] += thicker * outside
    below = scene.canvas.zeros()
    below[low] = scene.below(low) * outside
    if rng.random() < 0.75:
        line = chest.diaphragm("left")
        place = line[np.argmin(line[:, 1])] if rng.random() < 0.8 else line[len(line) // 2]
        radii = (rng.uniform(0.035, 0.075), rng.uniform(0.018, 0.04))
        centre = (float(place[0]) - 0.01, float(place[1]) + 0.022 + radii[1])
        where, bubble = canvas.sphere_part(centre, radii, rng.normal(0, 0.15))
        if not build.supine:  # standing, the gas lies on a level of fluid
            bubble *= smoothstep(-(canvas.y[where] - np.float32(centre[1] + 0.4 * radii[1])), -0.004, 0.004)
        scene.tissue[where] -= bubble * np.float32(rng.uniform(2.5, 5.0))
    for _ in range(int(rng.integers(0, 5))):
        at = (chest.middle + rng.uniform(-0.3, 0.32), chest.bottom + rng.uniform(0.03, 0.2))
        size = (rng.uniform(0.02, 0.06), rng.uniform(0.015, 0.03))
        where, loop = canvas.sphere_part(at, size, rng.uniform(-1, 1))
        scene.tissue[where] -= loop * np.float32(rng.uniform(0.8, 2.5)) * below[where]


def _breasts(scene: Scene, rng: np.random.Generator) -> None:
    """Shadows over the lower lungs whose lower border is the sharp one."""
    canvas, chest, build = scene.canvas, scene.chest, scene.build
    size = rng.uniform(0.085, 0.12) + 0.03 * build.fat
    drop = chest.top + rng.uniform(0.30, 0.40) + 0.03 * build.fat
    for side, sign in SIDES.items():
        wall = float(chest.wall(side, np.array([drop]))[0])
        centre = (chest.middle + sign * (wall - 0.55 * size + rng.normal(0, 0.006)), drop + rng.normal(0, 0.012))
        where, radius = canvas.disc_part(centre, (size, size * 1.15), sign * 0.15)
        slope = smoothstep(canvas.y[where], centre[1] - size, centre[1] + 0.8 * size)
        edge = smoothstep(1 - radius, 0.0, 0.28)
        scene.tissue[where] += edge * (0.15 + 0.85 * slope) * np.float32(1.6 + 2.2 * build.fat + rng.normal(0, 0.15))


def _skin_folds(scene: Scene, rng: np.random.Generator) -> None:
    """At the bedside skin folds may cross the chest: an edge that fades to one side, which mimics a pleural line."""
    if not scene.build.supine or rng.random() > 0.25:
        return
    canvas, chest = scene.canvas, scene.chest
    sign = rng.choice([-1, 1])
    away = sign * (canvas.x - np.float32(chest.middle)) - (0.24 + 0.25 * (canvas.y - np.float32(chest.top)))
    fold = smoothstep(away, -0.10, 0.0) * (away < 0) * smoothstep(canvas.y, chest.top + 0.05, chest.top + 0.2)
    scene.tissue += canvas.blur(fold.astype(np.float32), 0.0015) * np.float32(rng.uniform(0.4, 0.9))
