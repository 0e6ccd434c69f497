"""A phantom as a DICOM object: Digital X-Ray Image Storage - For Presentation (PS3.3 A.26), and its truth beside it."""

from __future__ import annotations

import io
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from cxredge.files import write_atomically
from cxredge.result import LABELS, STRUCTURES
from training.phantoms.encoding import store
from training.phantoms.generator import Phantom

__all__ = ["dataset", "truth", "write_dicom"]

_DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
_TOP = 4095
_MAGNIFICATION = {"PA": 1.06, "AP": 1.18}
"""Of the middle of the chest; at the bedside the detector lies farther from it in relation to the tube."""
_TUBE_DISTANCE = {"PA": 1800.0, "AP": 1100.0}
_VIEWS = {"PA": ("272479007", "postero-anterior"), "AP": ("399348003", "antero-posterior")}


def _uid(seed: int, what: str) -> str:
    """A UID that follows from the seed (PS3.5 B.2: derived from a UUID)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'cxredge phantom {seed} {what}').int}"


def dataset(phantom: Phantom, *, inverted: bool = False, syntax: str = "explicit") -> Any:
    """The phantom as a pydicom dataset with everything that the modules of a DX image ask for, and its file meta.

    Args:
        phantom: what to store: 12 bits in 16.
        inverted: store it as MONOCHROME1; the display value is the same.
        syntax: a key of `training.phantoms.encoding.SYNTAXES`.
    """
    from pydicom.dataset import Dataset, FileMetaDataset

    ds = Dataset()
    size = phantom.stored.shape[0]
    seed = int(phantom.parameters["seed"])
    names = "-".join(sorted(phantom.parameters["findings"])) or "healthy"
    which = f"{size} {names} {int(inverted)}"
    _patient_and_study(ds, phantom, seed)
    _series_and_equipment(ds, seed)
    _image(ds, _uid(seed, f"image {which}"))
    _acquisition(ds, phantom)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = _pixels(ds, phantom, inverted, syntax)
    return ds


def _patient_and_study(ds: Any, phantom: Phantom, seed: int) -> None:
    build = phantom.parameters["build"]
    ds.PatientName = f"PHANTOM^SYNTHETIC {seed}"
    ds.PatientID = f"PHANTOM-{seed}"
    ds.PatientBirthDate = ""
    ds.PatientSex = "F" if build["female"] else "M"
    ds.PatientAge = f"{round(build['age']):03d}Y"
    ds.PatientComments = "Synthetic image. No patient."
    ds.StudyInstanceUID = _uid(seed, "study")
    ds.StudyDate, ds.StudyTime = "20000101", "120000"
    ds.ReferringPhysicianName = ""
    ds.StudyID, ds.AccessionNumber = "PHANTOM", ""
    ds.StudyDescription = "Synthetic chest radiograph"


def _series_and_equipment(ds: Any, seed: int) -> None:
    ds.Modality = "DX"
    ds.SeriesInstanceUID = _uid(seed, "series")
    ds.SeriesNumber = 1
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.Manufacturer = "cxredge"
    ds.ManufacturerModelName = "phantom generator"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"


def _image(ds: Any, uid: str) -> None:
    ds.SOPClassUID, ds.SOPInstanceUID = _DX_FOR_PRESENTATION, uid
    ds.InstanceNumber = 1
    ds.ImageType = ["DERIVED", "PRIMARY", ""]
    ds.ContentDate, ds.ContentTime = "20000101", "120000"
    ds.AcquisitionDate, ds.AcquisitionTime = "20000101", "120000"
    ds.DerivationDescription = "Computed phantom: no exposure took place"
    ds.PatientOrientation = ["L", "F"]
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.ImageLaterality = "U"
    ds.BodyPartExamined = "CHEST"
    ds.AnatomicRegionSequence = [_code("816094009", "SCT", "Chest")]
    ds.AcquisitionContextSequence = []
    ds.ImageComments = "Synthetic image. Not for clinical use."


def _code(value: str, scheme: str, meaning: str) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _acquisition(ds: Any, phantom: Phantom) -> None:
    """DX Detector and DX Positioning modules (PS3.3 C.8.11.4, C.8.11.5)."""
    view = phantom.parameters["view"]
    spacing = phantom.spacing
    at_detector = round(spacing * _MAGNIFICATION[view], 6)
    ds.ImagerPixelSpacing = [at_detector, at_detector]
    ds.PixelSpacing = [round(spacing, 6)] * 2
    ds.PixelSpacingCalibrationType = "GEOMETRY"
    ds.PixelSpacingCalibrationDescription = "Middle of the phantom's chest"
    ds.EstimatedRadiographicMagnificationFactor = _MAGNIFICATION[view]
    ds.DistanceSourceToDetector = _TUBE_DISTANCE[view]
    ds.DistanceSourceToPatient = round(_TUBE_DISTANCE[view] / _MAGNIFICATION[view], 1)
    ds.DetectorType = "DIRECT"
    ds.ViewPosition = view
    item = _code(_VIEWS[view][0], "SCT", _VIEWS[view][1])
    item.ViewModifierCodeSequence = []
    ds.ViewCodeSequence = [item]
    ds.PositionerType = "NONE"


def _pixels(ds: Any, phantom: Phantom, inverted: bool, syntax: str) -> str:
    center, width = phantom.window
    stored = _TOP - phantom.stored if inverted else phantom.stored
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1 if inverted else -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    # LINEAR is off its middle by half a step (PS3.3 C.11.2.1.2.1), hence 4096 and not 4095.
    ds.WindowCenter = round(_TOP + 1 - center if inverted else center, 4)
    ds.WindowWidth = round(width, 4)
    ds.VOILUTFunction = "LINEAR"
    return store(ds, stored, syntax, ds.BitsStored)


def truth(phantom: Phantom) -> dict[str, Any]:
    """What is true of the phantom, as JSON can hold it; the masks go into an npz beside it."""
    return {
        "schema": "cxredge.phantom/1",
        "labels": dict(zip(LABELS, phantom.labels.tolist(), strict=True)),
        "boxes": [
            {"label": box.label, "left": box.left, "top": box.top, "right": box.right, "bottom": box.bottom}
            for box in phantom.boxes
        ],
        "areas_px": dict(zip(STRUCTURES, phantom.masks.sum((1, 2)).tolist(), strict=True)),
        "pixel_spacing_mm": phantom.spacing,
        "window": {"center": phantom.window[0], "width": phantom.window[1]},
        "parameters": phantom.parameters,
    }


def write_dicom(phantom: Phantom, folder: Path, name: str, *, inverted: bool = False, syntax: str = "explicit") -> Path:
    """Write `name`.dcm, `name`.json (the truth) and `name`.masks.npz (structures (3, H, W), and one array a disease).

    Raises:
        CxredgeError: OUTPUT_UNWRITABLE.
    """
    ds = dataset(phantom, inverted=inverted, syntax=syntax)
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    masks = io.BytesIO()
    np.savez_compressed(masks, structures=phantom.masks, **phantom.disease_masks)  # type: ignore[arg-type]
    write_atomically(folder / f"{name}.masks.npz", masks.getvalue())
    facts = json.dumps(truth(phantom) | {"photometric": ds.PhotometricInterpretation}, indent=2) + "\n"
    write_atomically(folder / f"{name}.json", facts.encode("utf-8"))
    return write_atomically(folder / f"{name}.dcm", file.getvalue())
