"""The twin of a radiograph: the same picture, stored the other way round, with the photometric tag changed to match."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

OTHER = {"MONOCHROME1": "MONOCHROME2", "MONOCHROME2": "MONOCHROME1"}


def inverted_twin(path: Path) -> Any:
    """A pydicom dataset with inverted stored values, uncompressed, decoded by pydicom.

    Display values stay the same: the window is mirrored about the middle of the modality range. The LINEAR function
    (PS3.3 C.11.2.1.2.1) counts from half a value below its centre, so its mirrored centre is one higher.
    """
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian

    twin = pydicom.dcmread(path)
    stored = twin.pixel_array.astype(np.int64)
    bits, signed = int(twin.BitsStored), bool(twin.PixelRepresentation)
    ends = -1 if signed else 2**bits - 1  # lowest + highest value that can be stored
    kind = ("int" if signed else "uint") + str(twin.BitsAllocated)
    twin.PixelData = (ends - stored).astype(kind).astype(np.dtype(kind).newbyteorder("<")).tobytes()
    twin["PixelData"].is_undefined_length = False
    twin["PixelData"].VR = "OW"
    twin.HighBit = bits - 1
    twin.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    twin.PhotometricInterpretation = OTHER[twin.PhotometricInterpretation]
    if "PresentationLUTShape" in twin:
        del twin.PresentationLUTShape
    if "WindowCenter" in twin:
        slope, intercept = float(twin.get("RescaleSlope", 1)), float(twin.get("RescaleIntercept", 0))
        half = 1.0 if twin.get("VOILUTFunction", "LINEAR") == "LINEAR" else 0.0
        centres = twin.WindowCenter if twin["WindowCenter"].VM > 1 else [twin.WindowCenter]
        mirrored = [slope * ends + 2 * intercept - float(centre) + half for centre in centres]
        twin.WindowCenter = mirrored if len(mirrored) > 1 else mirrored[0]
    return twin
