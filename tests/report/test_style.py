"""Colours that colour-blind eyes tell apart, and numbers that cannot be misread."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from cxredge.report.style import COLOURS, clean, heat_palette, numbers, ranked, rgb
from cxredge.result import STRUCTURES, Finding
from tests.support.records import findings

# Machado, Oliveira and Fernandes (IEEE TVCG 2009), severity 1.0, for linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour: str, matrix: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """CIE L*a*b* (D65) of a colour as an eye of that kind sees it."""
    value = np.array(rgb(colour)) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.asarray(matrix) @ linear, 0, 1) / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eye", VISION)
def test_outlines_can_be_told_apart(eye: str) -> None:
    seen = {name: lab(COLOURS[name], VISION[eye]) for name in STRUCTURES}
    for one, other in itertools.combinations(STRUCTURES, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 35, (one, other)


def test_heat_grows_and_never_covers() -> None:
    alpha = heat_palette(0.42)[:, 3].astype(int)
    assert alpha[0] == 0 and alpha[-1] == round(0.42 * 255)
    assert (np.diff(alpha) >= 0).all()


def test_positives_come_first_and_the_probable_before_the_rest() -> None:
    low = Finding(label="Hernia", probability=0.05, threshold=0.02, operating_point="balanced", positive=True)
    order = ranked((*findings({"Mass": 0.9, "Edema": 0.39})[:13], low))
    assert [f.label for f in order[:3]] == ["Mass", "Hernia", "Edema"], "a rare disease has a low threshold"
    assert [f.positive for f in order] == [True, True] + [False] * 12


@pytest.mark.parametrize(
    ("probability", "threshold", "written"),
    [
        (0.81234, 0.4, ("0.81", "0.40")),
        (0.4, 0.4, ("0.40", "0.40")),
        (0.3996, 0.4, ("0.3996", "0.4000")),
        (0.402, 0.398, ("0.40", "0.40")),
        (0.5, 0.0031, ("0.500", "0.003")),
        (0.0, 0.0, ("0.00", "0.00")),
        (0.0, 0.5, ("0.00", "0.50")),
        (0.4999999, 0.5, ("0.500000", "0.500000")),  # six digits are the most
    ],
)
def test_numbers_show_the_decision(probability: float, threshold: float, written: tuple[str, str]) -> None:
    finding = Finding(
        label="Mass",
        probability=probability,
        threshold=threshold,
        operating_point="balanced",
        positive=probability >= threshold,
    )
    assert numbers(finding) == written


def test_clean_leaves_words_and_takes_disguises() -> None:
    assert clean("r\u00f6ntgen \u80f8\u90e8 scan-1.dcm") == "r\u00f6ntgen \u80f8\u90e8 scan-1.dcm"
    assert clean("a\nb\x00c\x1b[31m\u202egpj.exe\udcff\u2028") == "a\ufffdb\ufffdc\ufffd[31m\ufffdgpj.exe\ufffd\ufffd"
