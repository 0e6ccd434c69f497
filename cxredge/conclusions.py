"""From the graph's outputs to what is said of the image: findings, anatomy, and whether anything may be said at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxredge.bundle import Manifest
from cxredge.errors import Abstention, Code
from cxredge.pixels import Placement
from cxredge.postprocess import CleanMasks, Measures, clean_masks, decide, measure
from cxredge.result import Anatomy, Finding, Gate, Notice, notice

__all__ = ["Conclusion", "LungBounds", "Outputs", "conclude", "implausible_lungs"]

Outputs = dict[str, npt.NDArray[np.float32]]
"""One image's outputs of the graph, by name, without the batch axis."""


@dataclass(frozen=True, slots=True)
class LungBounds:
    """Shares of the image's area.

    Wide on purpose: a lung behind an effusion or a resected one must pass, a hand or an abdomen must not.
    """

    smallest_lung: float = 0.01
    smallest_pair: float = 0.06
    largest_pair: float = 0.80


@dataclass(frozen=True, slots=True, eq=False)
class Conclusion:
    """What follows from one image's outputs; where there is a `refusal`, nothing else may be shown as a finding."""

    findings: tuple[Finding, ...]
    anatomy: Anatomy
    masks: CleanMasks
    gate: Gate | None
    warnings: tuple[Notice, ...]
    refusal: Abstention | None


def conclude(
    manifest: Manifest,
    outputs: Outputs,
    operating_point: str,
    placement: Placement,
    shape: tuple[int, int],
    spacing: tuple[float, float] | None,
    *,
    precision: str,
) -> Conclusion:
    """Decide, measure, and look whether the picture can be what the network was made for.

    Args:
        manifest: of the bundle that the outputs come from.
        outputs: one image's.
        operating_point: a name that the bundle has.
        placement: of the image in the graph's plane.
        shape: rows and columns of the image.
        spacing: millimetres between its rows and columns, if known.
        precision: that really ran: it may have a calibration and thresholds of its own.
    """
    masks = clean_masks(outputs["masks"])
    measures = measure(masks, placement, *shape)
    gate = _gate(outputs.get("gate"))
    no_heart = measures.cardiothoracic_ratio is None
    return Conclusion(
        findings=_findings(manifest, outputs["logits"], operating_point, precision),
        anatomy=_anatomy(measures, spacing),
        masks=masks,
        gate=gate,
        warnings=(notice(Code.HEART_NOT_FOUND),) if no_heart else (),
        refusal=_refusal(manifest, gate, masks, measures),
    )


def implausible_lungs(masks: CleanMasks, measures: Measures, bounds: LungBounds = LungBounds()) -> str | None:
    """Why these cannot be the lungs of a frontal chest radiograph, in words for the message; None if they can."""
    left, right = measures.lung_fraction
    if min(left, right) < bounds.smallest_lung:
        return "a lung is missing" if max(left, right) >= bounds.smallest_lung else "no lungs were found"
    if left + right < bounds.smallest_pair:
        return f"both lungs cover only {left + right:.0%} of the image"
    if left + right > bounds.largest_pair:
        return f"both lungs cover {left + right:.0%} of the image"
    columns = np.arange(masks.binary.shape[2])
    centres = [float((mask * columns).sum() / mask.sum()) for mask in masks.binary[:2]]
    if centres[0] <= centres[1]:
        return "left and right lung lie on the wrong sides"
    return None


def _refusal(manifest: Manifest, gate: Gate | None, masks: CleanMasks, measures: Measures) -> Abstention | None:
    """The first reason not to trust the findings, from the pixels themselves."""
    limits = manifest.gate
    if gate is not None and limits is not None:
        for code, value, limit in (
            (Code.NOT_CHEST_BY_PIXELS, gate.not_chest, limits.not_chest),
            (Code.INVERTED_BY_PIXELS, gate.inverted, limits.inverted),
            (Code.TURNED_BY_PIXELS, gate.turned, limits.turned),
        ):
            if value >= limit:
                return Abstention(code, f"probability {value:.2f}, limit {limit:.2f}")
    problem = implausible_lungs(masks, measures)
    return Abstention(Code.IMPLAUSIBLE_LUNGS, problem) if problem else None


def _findings(manifest: Manifest, logits: npt.NDArray[np.float32], point: str, precision: str) -> tuple[Finding, ...]:
    thresholds = np.array(manifest.thresholds(point, precision))
    calibrations = [entry.calibration for entry in manifest.findings_for(precision)]
    scale = np.array([calibration.scale for calibration in calibrations])
    offset = np.array([calibration.offset for calibration in calibrations])
    probabilities, positive = decide(logits, scale, offset, thresholds)
    return tuple(
        Finding(label=label, probability=p, threshold=t, operating_point=point, positive=decision)
        for label, p, t, decision in zip(
            manifest.labels, probabilities.tolist(), thresholds.tolist(), positive.tolist(), strict=True
        )
    )


def _gate(logits: npt.NDArray[np.float32] | None) -> Gate | None:
    if logits is None:
        return None
    ones, zeros = np.ones(3), np.zeros(3)
    not_chest, inverted, turned = decide(logits, ones, zeros, zeros)[0].tolist()
    return Gate(not_chest=not_chest, inverted=inverted, turned=turned)


def _anatomy(measures: Measures, spacing: tuple[float, float] | None) -> Anatomy:
    areas = (measures.left_lung_px, measures.right_lung_px, measures.heart_px)
    left, right, heart = (area * spacing[0] * spacing[1] if spacing else None for area in areas)
    return Anatomy(
        left_lung_px=areas[0],
        right_lung_px=areas[1],
        heart_px=areas[2],
        left_lung_mm2=left,
        right_lung_mm2=right,
        heart_mm2=heart,
        cardiothoracic_ratio=measures.cardiothoracic_ratio,
    )
