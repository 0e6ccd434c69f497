"""The masks as a Segmentation object (PS3.3 A.51), on the image's own rows and columns."""

from __future__ import annotations

import re

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from cxredge.dicom.tags import PATIENT_ORIENTATION
from cxredge.dicom_out import coding
from cxredge.dicom_out.identity import Writer, ascii_text
from cxredge.prediction import Prediction
from cxredge.report.style import COLOURS, NAMES
from cxredge.result import STRUCTURES

__all__ = ["concept", "segmentation", "segments"]


def concept(code: coding.Concept) -> CodedConcept:
    """A row of the table as highdicom's concept."""
    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)


def segments(prediction: Prediction) -> dict[str, int]:
    """The number of each structure that was found: a structure without a pixel has no segment."""
    found = [name for name in STRUCTURES if name in prediction.masks and prediction.masks[name].any()]
    return {name: number for number, name in enumerate(found, start=1)}


def segmentation(prediction: Prediction, writer: Writer) -> Dataset:
    """Left lung, right lung and heart as binary segments, one frame each.

    A radiograph is a projection: no frame of reference, position or pixel measures are given. Each frame is tied to
    the image by the Derivation Image functional group, and has its rows and columns (PS3.3 C.8.20.3.1).
    """
    found = segments(prediction)
    pixels = np.stack([prediction.masks[name] for name in found], axis=-1)[None].astype(np.uint8)
    dataset = Segmentation(
        source_images=[writer.reference()],
        pixel_array=pixels,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(name, number, writer) for name, number in found.items()],
        content_label="CXREDGE",
        content_description="Lungs and heart",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **writer.common("seg"),
    )
    organization = writer.uid("seg", "dimensions")
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    dataset.PatientOrientation = _orientation(writer)
    return writer.finish(dataset)


def _orientation(writer: Writer) -> list[str] | None:
    """The image's own directions of rows and columns, as the masks lie on them; type 2 where it gives none."""
    directions = writer.source.header.tags.texts(PATIENT_ORIENTATION)
    valid = len(directions) == 2 and all(re.fullmatch("[AFHLPR]{1,3}", direction) for direction in directions)
    return directions if valid else None


def _description(name: str, number: int, writer: Writer) -> SegmentDescription:
    description = SegmentDescription(
        segment_number=number,
        segment_label=NAMES[name],
        segmented_property_category=concept(coding.STRUCTURE_CATEGORY),
        segmented_property_type=concept(coding.STRUCTURES[name]),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=ascii_text(writer.bundle.name, 64),
            family=CodedConcept("123110", "DCM", "Artificial Intelligence"),
            version=ascii_text(writer.bundle.version, 64),
            source="cxredge",
            parameters={"bundle_sha256": writer.bundle.sha256},
        ),
        tracking_uid=writer.uid("tracking", name),
        tracking_id=name,
        display_color=CIELabColor.from_string(COLOURS[name]),
    )
    if name in coding.LATERALITY:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            concept(coding.LATERALITY[name])
        ]
    return description
