"""A prediction: the record that becomes JSON, and the evidence that becomes pictures.

The pictures are made when they are asked for: a host that wants numbers alone pays for numbers alone.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from cxredge.errors import Code, UsageError
from cxredge.pixels import Placement
from cxredge.postprocess import CleanMasks, native_map, native_masks
from cxredge.result import (
    LABELS,
    STRUCTURES,
    Anatomy,
    BundleFacts,
    Finding,
    Gate,
    InputFacts,
    Notice,
    Ran,
    Record,
    Timing,
)

if TYPE_CHECKING:
    from PIL import Image

    from cxredge.report.html import Case

__all__ = ["Evidence", "Prediction"]

Shape = tuple[int, int]
Renderer = Callable[[Shape], npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the pictures are drawn from: small arrays, and the way back to the image's own pixels."""

    shape: Shape
    placement: Placement
    render: Renderer
    masks: CleanMasks | None = None
    heatmaps: npt.NDArray[np.float32] | None = None
    heatmap_box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Prediction:
    """One input's answer.

    The JSON fields are attributes (`status`, `findings`, `anatomy`, ...), `to_json()` gives the whole object.
    `status` is "ok", "abstained" (the file is readable, but no result on it could be trusted; `reason` says why) or
    "error" (only from `predict_many`; `predict` raises). Pictures exist for "ok" only, but for `image`.
    """

    record: Record
    evidence: Evidence | None = field(default=None, repr=False, compare=False)

    @property
    def status(self) -> Literal["ok", "abstained", "error"]:
        """What became of the input, in one word."""
        return self.record.status

    @property
    def reason(self) -> Notice | None:
        """Why there are no findings; None where there are."""
        return self.record.reason

    @property
    def input(self) -> InputFacts:
        """What is known of the input."""
        return self.record.input

    @property
    def bundle(self) -> BundleFacts | None:
        """Which bundle spoke."""
        return self.record.bundle

    @property
    def ran(self) -> Ran | None:
        """Which engine, device and precision really ran; None where none had to."""
        return self.record.ran

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Fourteen findings in the order of `cxredge.LABELS`; none unless the status is "ok"."""
        return self.record.findings

    @property
    def positives(self) -> tuple[Finding, ...]:
        """The findings at or over their threshold, the most probable first."""
        return tuple(sorted((f for f in self.findings if f.positive), key=lambda f: -f.probability))

    @property
    def anatomy(self) -> Anatomy | None:
        """Areas and cardiothoracic ratio."""
        return self.record.anatomy

    @property
    def gate(self) -> Gate | None:
        """What the graph's own gate says of the picture; None where the graph has none."""
        return self.record.gate

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What to keep in mind while reading the result."""
        return self.record.warnings

    @property
    def timing_ms(self) -> Timing:
        """Milliseconds by stage."""
        return self.record.timing_ms

    def to_json(self) -> str:
        """The `cxredge.prediction/1` object, on one line."""
        return self.record.to_json()

    @cached_property
    def masks(self) -> Mapping[str, npt.NDArray[np.bool_]]:
        """`left_lung`, `right_lung` and `heart` as boolean arrays of the image's own rows and columns."""
        evidence = self.evidence
        if evidence is None or evidence.masks is None:
            return types.MappingProxyType({})
        full = native_masks(evidence.masks, evidence.placement, *evidence.shape)
        full.flags.writeable = False
        return types.MappingProxyType(dict(zip(STRUCTURES, full, strict=True)))

    @cached_property
    def heatmaps(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """By label, each disease's evidence as the graph gives it: a coarse map; see `heatmap` for the image's size."""
        evidence = self.evidence
        if evidence is None or evidence.heatmaps is None:
            return types.MappingProxyType({})
        maps = evidence.heatmaps.view()
        maps.flags.writeable = False
        return types.MappingProxyType(dict(zip(LABELS, maps, strict=True)))

    def heatmap(self, label: str, shape: Shape | None = None) -> npt.NDArray[np.float32]:
        """One disease's evidence over the whole image, resampled to `shape` (rows, columns; the image's own if None).

        Zero where the network did not look. Raises KeyError for a label without a map.
        """
        small, evidence = self.heatmaps[label], self.evidence
        assert evidence is not None  # noqa: S101 - a label was found, so there is evidence
        return native_map(small, evidence.heatmap_box, evidence.placement, *(shape or evidence.shape))

    def image(self, max_side: int | None = None) -> npt.NDArray[np.uint8]:
        """The image as it was read (windowed, bright = dense), at most `max_side` pixels on its longer side.

        The pixels are read from the source again, so the file must still be there and unchanged
        (InputError with code `file_changed` otherwise).
        """
        if self.evidence is None:
            raise UsageError(Code.BAD_ARGUMENT, "there is no picture of an input that could not be read")
        return self.evidence.render(self._shape(max_side))

    def overlay(self, max_side: int = 1600) -> Image.Image:
        """The image with the outlines of lungs and heart, the strongest heat map and a caption, as a Pillow image."""
        from cxredge.report.overlay import draw_overlay

        image = self.image(max_side)
        label = self._strongest()
        heatmap = (label, _for_display(self.heatmap(label, (image.shape[0], image.shape[1])))) if label else None
        return draw_overlay(image, self.record, self._masks_at(image.shape), heatmap)

    def case(self, max_side: int = 1024) -> Case:
        """What `cxredge.report.html.render_report` needs to show this prediction on a page."""
        from cxredge.report.html import Case

        if self.evidence is None:
            return Case(record=self.record)
        image = self.image(max_side)
        shape = (image.shape[0], image.shape[1])
        maps = {label: _for_display(self.heatmap(label, _coarse(shape))) for label in self.heatmaps}
        return Case(record=self.record, image=image, masks=self._masks_at(shape), heatmaps=maps)

    def _strongest(self) -> str | None:
        """The label whose heat map is worth showing: the most probable positive, else the most probable."""
        if not self.heatmaps or not self.findings:
            return None
        ranked = sorted(self.findings, key=lambda f: (f.positive, f.probability), reverse=True)
        return ranked[0].label

    def _masks_at(self, shape: tuple[int, ...]) -> Mapping[str, npt.NDArray[np.bool_]]:
        evidence = self.evidence
        if evidence is None or evidence.masks is None:
            return {}
        return dict(zip(STRUCTURES, native_masks(evidence.masks, evidence.placement, shape[0], shape[1]), strict=True))

    def _shape(self, max_side: int | None) -> Shape:
        assert self.evidence is not None  # noqa: S101 - the callers looked
        if max_side is not None and max_side < 1:
            raise UsageError(Code.BAD_ARGUMENT, f"max_side must be at least 1, not {max_side}")
        rows, columns = self.evidence.shape
        scale = min(1.0, (max_side or max(rows, columns)) / max(rows, columns))
        return max(1, round(rows * scale)), max(1, round(columns * scale))


def _for_display(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Stretched to 0..1 for the eye: where one disease's evidence lies, not how strong it is beside another's."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _coarse(shape: Shape, side: int = 128) -> Shape:
    """A heat map has few cells: a page that carries fourteen of them needs no more pixels than this."""
    scale = min(1.0, side / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
