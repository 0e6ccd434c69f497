"""The page's figure: the radiograph, every outline and every heat map as layers of one SVG, all inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxredge.report.contours import outlines, svg_path
from cxredge.report.style import NAMES, heat_palette
from cxredge.result import STRUCTURES

__all__ = ["HEAT_OPACITY", "figure", "jpeg_uri", "map_uri"]

HEAT_OPACITY = 50
"""Percent of the heat maps' own alpha at which the page opens."""

_JPEG_QUALITY = 92


def jpeg_uri(image: npt.NDArray[np.uint8]) -> str:
    """A grey image as a JPEG in a data: URI; a page of many radiographs must stay small enough to open."""
    return _uri(Image.fromarray(image), "JPEG", quality=_JPEG_QUALITY)


def map_uri(values: npt.NDArray[np.float32]) -> str:
    """A map of 0..1 as a PNG whose palette is the heat palette with its alpha, in a data: URI."""
    palette = heat_palette(0.9)
    levels = np.rint(np.clip(values, 0.0, 1.0) * np.float32(255)).astype(np.uint8)
    picture = Image.fromarray(levels)
    picture.putpalette(palette[:, :3].tobytes())  # grey becomes indices into the palette
    return _uri(picture, "PNG", transparency=palette[:, 3].tobytes(), optimize=True)


def _uri(picture: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def figure(
    image: npt.NDArray[np.uint8],
    masks: Mapping[str, npt.NDArray[np.bool_]],
    maps: Sequence[tuple[str, npt.NDArray[np.float32]]],
    *,
    prefix: str,
    description: str,
) -> str:
    """One inline SVG.

    Args:
        image: (rows, columns), bright = dense.
        masks: by structure, of the image's shape.
        maps: (label, map of 0..1 over the whole image, of any shape); the first one is shown when the page opens.
        prefix: begins the id of each layer: `{prefix}-heart`, `{prefix}-heat-3` (by place in `maps`), `{prefix}-heat`.
        description: what somebody who cannot see the figure must know.
    """
    rows, columns = image.shape
    frame = f'width="{columns}" height="{rows}" preserveAspectRatio="none"'
    parts = [
        f'<svg viewBox="0 0 {columns} {rows}" role="img" aria-label="{escape(description)}">',
        f'<image {frame} href="{jpeg_uri(image)}"/>',
        f'<g id="{prefix}-heat" opacity="{HEAT_OPACITY / 100}">',
    ]
    for place, (_, values) in enumerate(maps):
        shown = "heat" if place == 0 else "heat off"
        parts.append(f'<image id="{prefix}-heat-{place}" class="{shown}" {frame} href="{map_uri(values)}"/>')
    parts.append("</g>")
    for structure in STRUCTURES:
        if structure in masks:
            path = svg_path(outlines(masks[structure]))
            lines = f'<path class="halo" d="{path}"/><path class="line" d="{path}"/>'
            parts.append(
                f'<g id="{prefix}-{structure}" class="{structure}"><title>{NAMES[structure]}</title>{lines}</g>'
            )
    return "\n".join([*parts, "</svg>"])
