"""One picture of one prediction: the radiograph, thin outlines, one heat map, and a caption beside or below it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from cxredge.errors import Code, UsageError
from cxredge.report.caption import BACKGROUND, Caption
from cxredge.report.contours import outlines
from cxredge.report.style import COLOURS, heat_palette, rgb
from cxredge.result import STRUCTURES, Record

__all__ = ["draw_overlay"]

SMALLEST = 600
"""A picture whose longer side is shorter than this is enlarged by a whole factor: text and lines need the room."""

HEAT_ALPHA = 0.42


def draw_overlay(
    image: npt.NDArray[np.uint8],
    record: Record,
    masks: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    heatmap: tuple[str, npt.NDArray[np.float32]] | None = None,
) -> Image.Image:
    """The image with outlines of lungs and heart, a translucent heat map and a caption that covers none of it.

    Outlines and heat map are drawn only where the record's status is "ok"; otherwise the caption gives the reason.
    Neither the path nor the UID is written into the picture, because pictures are passed on.

    Args:
        image: the display image, (rows, columns), bright = dense.
        record: what is said of it.
        masks: `left_lung`, `right_lung`, `heart` (any of them), each of the image's shape.
        heatmap: the label and its evidence, 0..1, of the image's shape: which finding to show is the caller's choice.

    Returns:
        An RGB image. Its top left corner is the image itself, enlarged by a whole factor where its longer side is
        under 600 pixels.

    Raises:
        UsageError: BAD_ARGUMENT, where a shape or a type does not fit.
    """
    _check(image, masks or {}, heatmap)
    zoom = max(1, math.ceil(SMALLEST / max(image.shape)))
    size = (image.shape[1] * zoom, image.shape[0] * zoom)
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    shown = None
    if record.status == "ok":
        if heatmap is not None:
            shown = heatmap[0]
            picture = _tint(picture, heatmap[1])
        for structure in STRUCTURES:
            if masks and structure in masks:
                _stroke(picture, masks[structure], zoom, rgb(COLOURS[structure]))
    drawn = tuple(
        name for name in STRUCTURES if record.status == "ok" and masks and name in masks and masks[name].any()
    )
    return _mount(picture, Caption(record, drawn, shown))


def _check(
    image: npt.NDArray[np.uint8],
    masks: Mapping[str, npt.NDArray[np.bool_]],
    heatmap: tuple[str, npt.NDArray[np.float32]] | None,
) -> None:
    if image.ndim != 2 or image.dtype != np.uint8 or not image.size:
        raise UsageError(
            Code.BAD_ARGUMENT, f"the image must be (rows, columns) of uint8, not {image.shape} {image.dtype}"
        )
    for name, mask in masks.items():
        if mask.shape != image.shape or mask.dtype != np.bool_:
            raise UsageError(
                Code.BAD_ARGUMENT, f"mask {name} must be bool of {image.shape}, not {mask.dtype} {mask.shape}"
            )
    if heatmap is not None and (heatmap[1].shape != image.shape or not np.isfinite(heatmap[1]).all()):
        raise UsageError(Code.BAD_ARGUMENT, f"the heat map must be finite and of {image.shape}, not {heatmap[1].shape}")


def _tint(picture: Image.Image, evidence: npt.NDArray[np.float32]) -> Image.Image:
    """Evidence as colour over the picture; at most `HEAT_ALPHA` of a pixel is colour."""
    levels = np.rint(np.clip(evidence, 0.0, 1.0) * np.float32(255)).astype(np.uint8)
    index = Image.fromarray(levels).resize(picture.size, Image.Resampling.BILINEAR)
    red, green, blue, alpha = (index.point(channel.tolist()) for channel in heat_palette(HEAT_ALPHA).T)
    return Image.composite(Image.merge("RGB", (red, green, blue)), picture, alpha)


def _stroke(picture: Image.Image, mask: npt.NDArray[np.bool_], zoom: int, colour: tuple[int, int, int]) -> None:
    """An antialiased line along the mask's border, with a thin dark rim so that it shows on bone and on air."""
    width = max(1.4, max(picture.size) / 700)
    fine = 4 if max(picture.size) <= 1600 else 2  # subpixels a pixel; a wide line needs fewer
    for loop in outlines(mask):
        points = loop * zoom
        margin = math.ceil(width * 2) + 1
        left, top = (max(0, math.floor(v) - margin) for v in points.min(axis=0))
        right = min(picture.width, math.ceil(points[:, 0].max()) + margin)
        bottom = min(picture.height, math.ceil(points[:, 1].max()) + margin)
        local = (points - (left, top)) * fine
        path = [(float(x), float(y)) for x, y in np.vstack([local, local[:2]])]
        size = ((right - left) * fine, (bottom - top) * fine)
        for ink, thickness, opacity in (((0, 0, 0), width * 2.2, 0.5), (colour, width, 1.0)):
            stencil = Image.new("L", size)
            level = round(255 * opacity)
            ImageDraw.Draw(stencil).line(path, fill=level, width=max(1, round(thickness * fine)), joint="curve")
            picture.paste(ink, (left, top, right, bottom), stencil.reduce(fine))


def _mount(picture: Image.Image, caption: Caption) -> Image.Image:
    """Picture and caption on one sheet: beside a picture that is about as tall as wide or taller, else below it."""
    text = max(14.0, math.sqrt(picture.width * picture.height) / 44)
    if picture.height >= 0.8 * picture.width:
        panel = caption.draw(round(text * 19), text, columns=1)
        sheet = Image.new("RGB", (picture.width + panel.width, max(picture.height, panel.height)), BACKGROUND)
        sheet.paste(panel, (picture.width, 0))
    else:
        columns = max(1, int(picture.width / (text * 16)))
        panel = caption.draw(max(picture.width, round(text * 16)), text, columns=columns)
        sheet = Image.new("RGB", (max(picture.width, panel.width), picture.height + panel.height), BACKGROUND)
        sheet.paste(panel, (0, picture.height))
    sheet.paste(picture, (0, 0))
    return sheet
