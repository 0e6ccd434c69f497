"""The phantoms: one seed, one chest radiograph with everything that is true of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.result import LABELS, STRUCTURES
from training.errors import bad
from training.phantoms.anatomy import Build, cardiothoracic_ratio, chest_of, draw_build, draw_contours
from training.phantoms.canvas import Canvas
from training.phantoms.detector import Exposed, Exposure, develop, draw_exposure, expose
from training.phantoms.devices import add_devices, add_marker
from training.phantoms.findings import deform, draw_findings, stream
from training.phantoms.sampler import sample_findings
from training.phantoms.scene import Drawn, Scene
from training.phantoms.shape_model import Similarity, load
from training.phantoms.skeleton import add_skeleton
from training.phantoms.soft import add_soft_tissue, empty_scene
from training.phantoms.vessels import add_vessels

__all__ = ["Box", "Phantom", "Undeveloped", "draw", "finished", "generate"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Box:
    """Where one sign of a disease lies, in pixels: left and top inside, right and bottom just outside."""

    label: str
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A synthetic frontal chest radiograph and its truth.

    Attributes:
        image: (H, W) float32, 0..1, bright = dense: `stored` through `window`.
        masks: (3, H, W) in the order of `cxredge.result.STRUCTURES`; the lungs are the two halves of the chest without
            the heart, whatever fills them.
        labels: (14,) uint8, in the order of `cxredge.result.LABELS`: 1 where a sign of it lies in the picture.
        boxes: one for each sign that was drawn; a disease may have several.
        disease_masks: label -> (H, W): all signs of the disease together.
        stored: (H, W) uint16, 12 bits, bright = dense, as a DICOM file holds it.
        window: center and width in stored values, for VOI LUT function LINEAR.
        spacing: millimetres from pixel to pixel, in the patient.
        parameters: everything that was drawn at random, as JSON can hold it.
    """

    image: npt.NDArray[np.float32]
    masks: Mask
    labels: npt.NDArray[np.uint8]
    boxes: tuple[Box, ...]
    disease_masks: dict[str, Mask]
    stored: npt.NDArray[np.uint16]
    window: tuple[float, float]
    spacing: float
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Undeveloped:
    """A phantom whose picture was taken and not yet developed; the rest as in `Phantom`."""

    exposed: Exposed
    masks: Mask
    labels: npt.NDArray[np.uint8]
    boxes: tuple[Box, ...]
    disease_masks: dict[str, Mask]
    spacing: float
    parameters: dict[str, Any]


Findings = Mapping[str, float]


def generate(
    seed: int,
    *,
    size: int = 256,
    findings: Findings | Callable[[int], Findings] | None = None,
    prevalence: Mapping[str, float] | None = None,
    devices: bool = True,
    pose: float = 1.0,
) -> Phantom:
    """Draw the phantom of a seed. The same arguments give the same bytes on the same machine.

    Args:
        seed: 0 or more. Two calls with one seed and other findings show the same patient and exposure.
        size: pixels on a side, 64 or more.
        findings: label -> severity 0..1, or a function of the seed that gives them; {} draws a healthy chest; None
            leaves it to `sample_findings`.
        prevalence: for `sample_findings`.
        devices: False leaves out devices and the letter of the side.
        pose: how much the patient's pose varies; 0 is upright and centred.

    Raises:
        UsageError: BAD_ARGUMENT: a negative seed, a size below 64, an unknown label, or a severity outside 0..1.
    """
    drawn = draw(seed, size=size, findings=findings, prevalence=prevalence, devices=devices, pose=pose)
    with _threads().limit(limits=1):
        return finished(drawn, develop(drawn.exposed))


def draw(
    seed: int,
    *,
    size: int = 256,
    findings: Findings | Callable[[int], Findings] | None = None,
    prevalence: Mapping[str, float] | None = None,
    devices: bool = True,
    pose: float = 1.0,
) -> Undeveloped:
    """All of `generate` that cannot be done on a device; the arguments are the same."""
    if seed < 0 or size < 64:
        raise bad(f"seed {seed}, size {size}: need a seed of 0 or more and a size of 64 or more")
    if findings is None:
        findings = sample_findings(stream(seed, "findings"), prevalence)
    wanted = dict(findings(seed) if callable(findings) else findings)
    if not set(wanted) <= set(LABELS) or not all(0 <= severity <= 1 for severity in wanted.values()):
        raise bad(f"findings: labels must be of {', '.join(LABELS)} and severities within 0..1")
    _keep_memory()
    with _threads().limit(limits=1):
        return _draw(seed, size, wanted, devices, pose)


@cache
def _keep_memory() -> None:
    """Let the C library keep freed pictures: asking the kernel anew for each costs a tenth of the time.

    glibc returns memory only beyond twice the largest block that it has seen freed; elsewhere this does nothing.
    """
    np.empty(16 * 2**20, np.uint8)


@cache
def _threads() -> Any:
    """Small matrices gain nothing from threads, lose much on busy cores, and may be rounded otherwise."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _draw(seed: int, size: int, wanted: dict[str, float], devices: bool, pose: float) -> Undeveloped:
    scene = _scene(seed, size, wanted, _pose(stream(seed, "pose"), pose))
    draw_findings(scene, seed, wanted)
    carried = add_devices(scene, stream(seed, "devices"), set(wanted)) if devices else []
    letter = add_marker(scene, stream(seed, "marker")) if devices else None
    exposed = expose(scene, draw_exposure(stream(seed, "exposure"), scene.build), stream(seed, "noise"))
    facts = {"seed": seed, "size": size, "findings": wanted, "devices": carried, "marker": letter}
    return _undeveloped(scene, exposed, facts)


def _scene(seed: int, size: int, findings: Mapping[str, float], pose: Similarity) -> Scene:
    build = draw_build(stream(seed, "build"))
    healthy = draw_contours(stream(seed, "contours"))
    chest = chest_of(healthy, deform(healthy, seed, findings))
    canvas = Canvas(size, pose)
    scene = empty_scene(canvas, chest, build, stream(seed, "body"))
    add_soft_tissue(scene, stream(seed, "soft"))
    add_skeleton(scene, stream(seed, "bones"))
    add_vessels(scene, stream(seed, "vessels"))
    return scene


def _pose(rng: np.random.Generator, amount: float) -> Similarity:
    """From the chest's frame into fractions of the image: as the real contours vary, but for the extremes."""
    grow, angle, right, down = 0.65 * amount * load().pose_spread * rng.standard_normal(4)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return Similarity(1.10 * float(np.exp(grow)), turn, np.array([0.5 + right, 0.475 + down]))


def _undeveloped(scene: Scene, exposed: Exposed, facts: dict[str, Any]) -> Undeveloped:
    organs = {"left_lung": scene.lung["left"], "right_lung": scene.lung["right"], "heart": scene.heart}
    rotation = scene.canvas.pose.rotation
    parameters = facts | {
        "build": _told(scene.build),
        "exposure": _told(exposed.exposure),
        "cardiothoracic_ratio": cardiothoracic_ratio(scene.chest.contours),
        "turned_degrees": float(np.degrees(np.arctan2(rotation[0, 1], rotation[0, 0]))),
        "view": "AP" if scene.build.supine else "PA",
        "signs": [{"label": drawn.label, **drawn.facts} for drawn in scene.drawn],
    }
    together = {
        label: np.logical_or.reduce([d.mask for d in scene.drawn if d.label == label]) for label in _labels(scene)
    }
    return Undeveloped(
        exposed=exposed,
        masks=np.stack([organs[name] > 0.5 for name in STRUCTURES]),
        labels=np.array([label in together for label in LABELS], np.uint8),
        boxes=tuple(_box(drawn) for drawn in scene.drawn),
        disease_masks=together,
        spacing=float(10 * scene.canvas.pixel * scene.build.cm),
        parameters=parameters,
    )


def _told(facts: Build | Exposure) -> dict[str, Any]:
    """As `asdict`, which is slow, of numbers and tuples of them."""
    return {field.name: getattr(facts, field.name) for field in fields(facts)}


def finished(drawn: Undeveloped, stored: npt.NDArray[np.uint16]) -> Phantom:
    """The phantom with its developed picture."""
    exposure = drawn.exposed.exposure
    return Phantom(
        image=_windowed(stored, exposure.center, exposure.width),
        masks=drawn.masks,
        labels=drawn.labels,
        boxes=drawn.boxes,
        disease_masks=drawn.disease_masks,
        stored=stored,
        window=(exposure.center, exposure.width),
        spacing=drawn.spacing,
        parameters=drawn.parameters,
    )


def _labels(scene: Scene) -> list[str]:
    return [label for label in LABELS if any(drawn.label == label for drawn in scene.drawn)]


def _windowed(stored: npt.NDArray[np.uint16], center: float, width: float) -> npt.NDArray[np.float32]:
    """PS3.3 C.11.2.1.2.1, scaled to 0..1."""
    value = stored.astype(np.float32)
    value -= np.float32(center - 0.5)
    value /= np.float32(width - 1)
    value += np.float32(0.5)
    return np.clip(value, 0, 1, out=value)


def _box(drawn: Drawn) -> Box:
    rows, columns = np.flatnonzero(drawn.mask.any(1)), np.flatnonzero(drawn.mask.any(0))
    return Box(drawn.label, int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
