"""What the overlay and the page share: colours, the order of findings, how a number and a foreign text are written."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from cxredge.result import Finding, Record

__all__ = [
    "COLOURS",
    "NAMES",
    "clean",
    "demonstration",
    "engine_line",
    "heat_palette",
    "numbers",
    "ranked",
    "ratio_text",
    "rgb",
]

COLOURS: dict[str, str] = {"left_lung": "#4DA6FF", "right_lung": "#FFE14D", "heart": "#FF6B9D"}
"""Outlines by structure. They stay at least 35 CIE76 apart for protan, deutan and tritan eyes; a test computes that."""

NAMES: dict[str, str] = {"left_lung": "Left lung", "right_lung": "Right lung", "heart": "Heart"}


_HEAT_LOW, _HEAT_HIGH = (255, 90, 0), (255, 196, 92)


def rgb(colour: str) -> tuple[int, int, int]:
    """`#RRGGBB` as three numbers of 0..255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def heat_palette(strongest: float) -> npt.NDArray[np.uint8]:
    """256 RGBA colours for evidence 0..1: nothing at 0, then orange, then light orange with alpha `strongest` (0..1).

    Only the hue and the alpha grow; the grey picture always shines through.
    """
    value = np.linspace(0.0, 1.0, 256)
    colour = np.outer(1 - value, _HEAT_LOW) + np.outer(value, _HEAT_HIGH)
    # Weak evidence everywhere would tint the whole image: it fades in between 0.1 and 0.9.
    rise = np.clip((value - 0.1) / 0.8, 0.0, 1.0)
    alpha = 255.0 * strongest * rise * rise * (3 - 2 * rise)
    return np.asarray(np.rint(np.column_stack([colour, alpha])), dtype=np.uint8)


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Positives first, and the more probable first among both."""
    return sorted(findings, key=lambda finding: (not finding.positive, -finding.probability))


def numbers(finding: Finding) -> tuple[str, str]:
    """Probability and threshold with as many digits as the decision needs, and at least two.

    0.4996 against a threshold of 0.5 is written 0.4996 / 0.5000: two digits would show a negative as if it were on its
    threshold. A threshold that is not 0 is never written as 0.
    """
    for digits in range(2, 7):
        probability, threshold = round(finding.probability, digits), round(finding.threshold, digits)
        if (probability >= threshold) == finding.positive and (threshold > 0) == (finding.threshold > 0):
            break
    return f"{finding.probability:.{digits}f}", f"{finding.threshold:.{digits}f}"


def ratio_text(record: Record) -> str:
    """The cardiothoracic ratio, or that there is none."""
    ratio = record.anatomy.cardiothoracic_ratio if record.anatomy else None
    return "not measured" if ratio is None else f"{ratio:.2f}"


def engine_line(record: Record) -> str:
    """The engine, device and precision that ran; empty where none did."""
    if record.ran is None:
        return ""
    ran = record.ran
    return clean(f"{ran.engine} {ran.engine_version}, {ran.device}, {ran.precision}")


def demonstration(record: Record) -> str:
    """The banner of a bundle that says of itself that it is not for clinical use; empty over any other."""
    if record.bundle is None or record.bundle.clinical:
        return ""
    return record.bundle.use[0].upper() + record.bundle.use[1:]


def clean(text: str) -> str:
    """Text of a file, a path or a bundle on one line, without what could disguise it.

    Control characters, lone surrogates (a path that is not Unicode) and the marks that turn the writing direction
    become U+FFFD.
    """
    return "".join("\ufffd" if _is_unsafe(character) else character for character in text)


def _is_unsafe(character: str) -> bool:
    category = unicodedata.category(character)
    turns = unicodedata.bidirectional(character) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return category in {"Cc", "Cs", "Zl", "Zp"} or turns
