"""One film in every form that it can lawfully be stored in: the embedded bundle gives it one score."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import cxredge
from tests.support import dicom_files as files
from tests.support.bad_inputs.film import film

CLOSE = 1e-4
BITS = {8: 8, 16: 12, 32: 12}
"""Bits stored by bits allocated."""
WORDS = (*files.RAW_SYNTAXES, files.ENCAPSULATED_RAW, files.RLE, files.DEFLATED_FRAME)
"""Syntaxes that hold words as they are; the others hold whatever their codec can."""
CODED = (files.JPEG_LOSSLESS_SV1, files.JPEG_LS, files.J2K_LOSSLESS, files.HTJ2K_LOSSLESS, files.JXL_LOSSLESS)
FORMS = [
    *product(WORDS, BITS, (False, True), ("MONOCHROME1", "MONOCHROME2")),
    *product(CODED, (8, 16), (False, True), ("MONOCHROME1", "MONOCHROME2")),
]


def stored(
    values: np.ndarray, bits: int, allocated: int, *, signed: bool, photometric: str
) -> tuple[Any, float, float]:
    """The same picture in that form: its words, and a window of the whole range (PS3.3 C.11.2.1.2.1)."""
    top = (1 << bits) - 1
    centre, width = (top + 1) / 2, float(top + 1)
    if photometric == "MONOCHROME1":
        values, centre = top - values, top - centre + 1  # LINEAR counts from half a value below its centre
    if signed:
        values, centre = values - (1 << (bits - 1)), centre - (1 << (bits - 1))
    return (values & top).astype(f"u{allocated // 8}"), centre, width


def twin(syntax: str, allocated: int, signed: bool, photometric: str, values: np.ndarray) -> bytes:
    """The file."""
    bits = BITS[allocated]
    pixels, centre, width = stored(values, bits, allocated, signed=signed, photometric=photometric)
    options: dict[str, Any] = {"bits_stored": bits, "signed": signed, "photometric": photometric}
    return files.dicom_bytes(pixels, syntax=syntax, window=(centre, width), **options)


def values_of(allocated: int) -> np.ndarray:
    return film().astype(np.int64) >> (12 - BITS[allocated])


def scores(model: cxredge.Model, data: bytes) -> np.ndarray:
    prediction = model.predict(data)
    assert prediction.status == "ok", prediction.reason
    assert prediction.warnings == ()
    return np.array([finding.probability for finding in prediction.findings])


@pytest.fixture(scope="module")
def plain(models: dict[bool, cxredge.Model]) -> dict[int, np.ndarray]:
    """The scores of the plainest form: Explicit VR Little Endian, unsigned, MONOCHROME2; by bits stored."""
    return {
        BITS[allocated]: scores(
            models[True], twin(files.EXPLICIT, allocated, False, "MONOCHROME2", values_of(allocated))
        )
        for allocated in (8, 16)
    }


@pytest.mark.slow
@pytest.mark.parametrize(("syntax", "allocated", "signed", "photometric"), FORMS)
def test_every_form_scores_the_same(
    models: dict[bool, cxredge.Model],
    plain: dict[int, np.ndarray],
    syntax: str,
    allocated: int,
    signed: bool,
    photometric: str,
) -> None:
    found = scores(models[True], twin(syntax, allocated, signed, photometric, values_of(allocated)))
    np.testing.assert_allclose(found, plain[BITS[allocated]], atol=CLOSE)


def test_another_picture_scores_otherwise(models: dict[bool, cxredge.Model], plain: dict[int, np.ndarray]) -> None:
    """What the twins are compared by can fail: a window that is not moved with the values is seen."""
    pixels, _, _ = stored(values_of(16), 12, 16, signed=False, photometric="MONOCHROME1")
    data = files.dicom_bytes(pixels, bits_stored=12, photometric="MONOCHROME1", window=(1400, 4096))
    assert np.abs(scores(models[True], data) - plain[12]).max() > 100 * CLOSE


def test_eight_bits_in_big_endian_words() -> None:
    """PS3.5 8.1.1: 8-bit pixels in OW words of Big Endian lie swapped, an odd number of them too."""
    from cxredge.pixels import Geometry, Percentiles
    from cxredge.reading import open_source, read_plane

    for rows, columns in ((64, 64), (65, 63)):
        image = np.random.default_rng(0).integers(0, 256, (rows, columns), dtype=np.uint8)
        padded = np.append(image.ravel(), np.zeros(image.size % 2, np.uint8))
        options: dict[str, Any] = {"window": (128, 256), "syntax": files.BIG_ENDIAN}
        swapped = files.dicom_dataset(image, codestream=padded.view(np.uint16).byteswap().tobytes(), **options)
        swapped["PixelData"].VR = "OW"
        both = [open_source(source) for source in (swapped, files.dicom_bytes(image, window=(128, 256)))]
        first, second = (read_plane(one, Geometry(64, 64), Percentiles())[0] for one in both)
        np.testing.assert_array_equal(first, second)
