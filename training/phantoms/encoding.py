"""How a phantom's pixels can be stored in a DICOM file: every way here gives them back bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.errors import bad

__all__ = ["SYNTAXES", "store"]

SYNTAXES = {
    "explicit": "1.2.840.10008.1.2.1",
    "jpeg-lossless": "1.2.840.10008.1.2.4.70",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg2000": "1.2.840.10008.1.2.4.90",
}
"""Name -> transfer syntax UID."""


def store(ds: Any, pixels: np.ndarray[Any, np.dtype[np.uint16]], syntax: str, bits: int) -> str:
    """Put the pixels of a single frame into a dataset; gives the UID of the transfer syntax.

    Args:
        ds: a pydicom dataset.
        pixels: (H, W), of which `bits` are used.
        syntax: a key of SYNTAXES.
        bits: as in BitsStored.

    Raises:
        UsageError: there is no such syntax.
    """
    if syntax not in SYNTAXES:
        raise bad(f"there is no transfer syntax {syntax!r}: {', '.join(SYNTAXES)}")
    if syntax == "explicit":
        ds.PixelData = np.ascontiguousarray(pixels.astype("<u2")).tobytes()
        ds["PixelData"].VR = "OW"
    else:
        from pydicom.encaps import encapsulate

        ds.PixelData = encapsulate([_frame(np.ascontiguousarray(pixels, np.uint16), syntax, bits)])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    return SYNTAXES[syntax]


def _frame(pixels: np.ndarray[Any, np.dtype[np.uint16]], syntax: str, bits: int) -> bytes:
    import imagecodecs

    if syntax == "jpeg-lossless":
        return bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits))
    if syntax == "jpeg-ls":
        return bytes(imagecodecs.jpegls_encode(pixels))
    return bytes(
        imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="J2K", reversible=True, bitspersample=bits, numthreads=1)
    )
