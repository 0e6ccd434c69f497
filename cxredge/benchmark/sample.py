"""The film that is measured on where the user gives none: the bundle's golden picture as a DX file of typical size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.bundle import Bundle

__all__ = ["COLUMNS", "ROWS", "write_sample"]

ROWS, COLUMNS = 3000, 2500
"""7.5 megapixels, as a flat detector of 43 x 35 cm with pixels of 0.14 mm gives."""
_BITS = 12
_NOISE = 12.0  # standard deviation in stored values: no detector gives a smooth picture


def write_sample(bundle: Bundle, path: Path, rows: int = ROWS, columns: int = COLUMNS) -> Path:
    """Write the bundle's first golden picture as a raw 12-bit DX film: it is one that the network was made for."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    pixels = _pixels(bundle.golden().input[0, 0], rows, columns)
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = DigitalXRayImageStorageForPresentation
    film.SOPInstanceUID = generate_uid()
    film.Modality, film.BodyPartExamined, film.ViewPosition = "DX", "CHEST", "PA"
    film.PresentationIntentType = "FOR PRESENTATION"
    film.ImagerPixelSpacing = [0.14, 0.14]
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.Rows, film.Columns = rows, columns
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, _BITS, _BITS - 1, 0
    film.WindowCenter, film.WindowWidth = 1 << (_BITS - 1), 1 << _BITS
    film.add_new("PixelData", "OW", pixels.tobytes())
    film.save_as(path, enforce_file_format=True)
    return path


def _pixels(plane: npt.NDArray[np.float32], rows: int, columns: int) -> npt.NDArray[Any]:
    """The picture without the borders that fitting it gave, enlarged, with a detector's noise."""
    from PIL import Image

    lit_rows, lit_columns = np.flatnonzero(plane.max(axis=1)), np.flatnonzero(plane.max(axis=0))
    shown = plane[lit_rows[0] : lit_rows[-1] + 1, lit_columns[0] : lit_columns[-1] + 1]
    picture = Image.fromarray(np.ascontiguousarray(shown, np.float32))
    large = np.asarray(picture.resize((columns, rows), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(0).normal(0.0, _NOISE, large.shape)
    most = (1 << _BITS) - 1
    return np.clip(np.rint(large * most + noise), 0, most).astype("<u2")
