"""One self-contained HTML page of one or many predictions: nothing is fetched, everything foreign is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html import escape
from importlib import resources
from string import Template

import numpy as np
import numpy.typing as npt

from cxredge.errors import Code, UsageError
from cxredge.report import sections
from cxredge.report.style import demonstration
from cxredge.result import Record

__all__ = ["Case", "render_report"]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One input on the page.

    Attributes:
        record: what is said of it.
        image: the display image, uint8 (rows, columns), bright = dense; None where there is none.
        masks: `left_lung`, `right_lung`, `heart` (any of them), bool and of the image's shape.
        heatmaps: by label, a small map of 0..1 that covers the whole image, of any shape.
    """

    record: Record
    image: npt.NDArray[np.uint8] | None = None
    masks: Mapping[str, npt.NDArray[np.bool_]] | None = None
    heatmaps: Mapping[str, npt.NDArray[np.float32]] | None = None

    def __post_init__(self) -> None:
        image = self.image
        if image is not None and (image.ndim != 2 or image.dtype != np.uint8 or not image.size):
            raise UsageError(Code.BAD_ARGUMENT, f"an image must be (rows, columns) of uint8, not {image.shape}")
        for name, mask in (self.masks or {}).items():
            if image is None or mask.shape != image.shape:
                raise UsageError(Code.BAD_ARGUMENT, f"mask {name} must have the image's shape, not {mask.shape}")
        for label, values in (self.heatmaps or {}).items():
            if values.ndim != 2 or not values.size or not np.isfinite(values).all():
                raise UsageError(Code.BAD_ARGUMENT, f"the heat map of {label} must be finite and (rows, columns)")


def render_report(cases: Sequence[Case], *, generated: datetime) -> str:
    """The page as text, to be written as UTF-8.

    With several cases an index comes first. The page needs no other file and no network, and can be read and printed
    without JavaScript, which only switches outlines and heat maps. It holds the fields of the records and nothing
    else of the inputs; a path or a UID in a record is on the page.

    Args:
        cases: in the order of the page; each becomes one section, and starts a new sheet in print.
        generated: when; printed with its time zone if it has one.

    Raises:
        UsageError: BAD_ARGUMENT, for no case at all.
    """
    if not cases:
        raise UsageError(Code.BAD_ARGUMENT, "a report needs at least one case")
    from cxredge import __version__

    style, script = _asset("page.css"), _asset("page.js")
    records = [case.record for case in cases]
    banners = {demonstration(record) for record in records}
    return Template(_asset("page.html")).substitute(
        policy=escape(_policy(style, script)),
        title="Chest radiograph report" if len(cases) == 1 else f"Chest radiograph report, {len(cases)} images",
        style=style,
        script=script,
        generated=escape(generated.strftime("%Y-%m-%d %H:%M %Z").strip()),
        version=escape(__version__),
        banner="".join(f'<p class="banner">{escape(said)}</p>' for said in sorted(banners) if said),
        index=sections.index(records) if len(cases) > 1 else "",
        cases="\n".join(
            sections.case(number, case.record, case.image, case.masks or {}, case.heatmaps or {})
            for number, case in enumerate(cases, 1)
        ),
    )


def _policy(style: str, script: str) -> str:
    """Nothing may be loaded but pictures that are in the page; only the page's own style and script may work."""
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


@cache
def _asset(name: str) -> str:
    """A file beside this module, with plain line ends: the browser hashes what it sees after it made them plain."""
    return resources.files("cxredge.report").joinpath(name).read_bytes().decode("utf-8").replace("\r\n", "\n")
