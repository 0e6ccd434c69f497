"""Is it a frontal chest radiograph, by its tags? One row a case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cxredge.errors import Abstention, Code, CxredgeError
from cxredge.reading import open_source
from tests.support.dicom_files import dicom_bytes

IMAGE = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
SC = "1.2.840.10008.5.1.4.1.1.7"


def outcome(tags: dict[str, Any]) -> tuple[str, str | None]:
    """The code and tag of the exception, or the codes of the warnings."""
    try:
        radiograph = open_source(dicom_bytes(IMAGE, window=(2048, 4096), tags=tags))
    except CxredgeError as error:
        assert error.facts is not None
        return str(error.code), error.tag
    return " ".join(notice.code for notice in radiograph.warnings), None


def coded(meaning: str) -> list[Any]:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "X", "SCT", meaning
    return [item]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, ""),
        ({"Modality": "CR"}, ""),
        ({"Modality": "RG"}, ""),
        ({"Modality": None}, ""),  # its SOP class says DX
        ({"Modality": "CT"}, "wrong_modality"),
        ({"Modality": "MG"}, "wrong_modality"),
        ({"Modality": None, "SOPClassUID": SC}, "modality_unknown"),
        ({"Modality": "OT", "SOPClassUID": SC}, "modality_unknown"),
        ({"Modality": "OT"}, "modality_unknown"),
        ({"Modality": None, "SOPClassUID": None}, "modality_unknown"),
        ({"Modality": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "wrong_modality"),
        ({"SOPClassUID": SC}, ""),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "wrong_modality"),  # DX by its modality, CT by its class
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.1"}, "wrong_modality"),  # begins like Secondary Capture, is none
        ({"BodyPartExamined": "THORAX"}, ""),
        ({"BodyPartExamined": "TORAX PA"}, ""),
        ({"BodyPartExamined": "THX"}, ""),
        ({"BodyPartExamined": "chest "}, ""),
        ({"BodyPartExamined": "CHESTABDOMEN"}, ""),
        ({"BodyPartExamined": "HAND"}, "wrong_body_part"),
        ({"BodyPartExamined": "RIB"}, "wrong_body_part"),
        ({"BodyPartExamined": None}, "body_part_unknown"),
        ({"BodyPartExamined": ""}, "body_part_unknown"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("Chest")}, ""),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("Knee joint")}, "wrong_body_part"),
        ({"ViewPosition": "AP"}, ""),
        ({"ViewPosition": "ap supine"}, ""),
        ({"ViewPosition": "LL"}, "lateral_view"),
        ({"ViewPosition": "LATERAL"}, "lateral_view"),
        ({"ViewPosition": "RAO"}, "oblique_view"),
        ({"ViewPosition": "LLD"}, "oblique_view"),
        ({"ViewPosition": "AP AXIAL"}, "oblique_view"),
        ({"ViewPosition": None}, ""),  # the orientation says L\\F
        ({"ViewPosition": None, "PatientOrientation": None}, "view_unknown"),
        ({"ViewPosition": "XYZ", "PatientOrientation": None}, "view_unknown"),
        ({"ViewPosition": None, "PatientOrientation": ["A", "F"]}, "lateral_view"),
        ({"ViewPosition": None, "PatientOrientation": ["P", "F"]}, "lateral_view"),
        ({"ViewPosition": None, "PatientOrientation": ["F", "P"]}, "lateral_view"),
        ({"PatientOrientation": ["R", "F"]}, "mirrored_by_tags"),
        ({"PatientOrientation": ["L", "H"]}, "turned_by_tags"),
        ({"PatientOrientation": ["R", "H"]}, "turned_by_tags"),
        ({"PatientOrientation": ["F", "L"]}, "turned_by_tags"),
        ({"PatientOrientation": ["L", "FP"]}, ""),
        ({"ViewPosition": None, "ViewCodeSequence": coded("postero-anterior")}, ""),
        ({"ViewPosition": None, "ViewCodeSequence": coded("left lateral")}, "lateral_view"),
        ({"ViewPosition": None, "ViewCodeSequence": coded("postero-anterior oblique")}, "oblique_view"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "for_processing"),
        ({"PresentationIntentType": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, "for_processing"),
        ({"BurnedInAnnotation": "YES"}, "burned_in_annotation"),
        ({"BurnedInAnnotation": "NO"}, ""),
        ({"PresentationLUTShape": "IDENTITY"}, ""),
        ({"PresentationLUTShape": "INVERSE"}, "presentation_conflict"),
        ({"(6000,3000)": ("OW", b"\0" * 512)}, "overlay_ignored"),
        ({"PixelSpacing": [0.2, 0]}, "invalid_spacing"),
        ({"NumberOfFrames": 2}, "multi_frame"),
        ({"NumberOfFrames": 1}, ""),
    ],
    ids=str,
)
def test_outcomes(tags: dict[str, Any], expected: str) -> None:
    assert outcome(tags)[0] == expected


def test_the_first_reason_decides() -> None:
    """Modality, body part, view, intent: in that order."""
    wrong = {
        "Modality": "CT",
        "BodyPartExamined": "HAND",
        "ViewPosition": "LL",
        "PresentationIntentType": "FOR PROCESSING",
    }
    order = [
        (Code.WRONG_MODALITY, "(0008,0060)", "Modality"),
        (Code.WRONG_BODY_PART, "(0018,0015)", "BodyPartExamined"),
        (Code.LATERAL_VIEW, "(0018,5101)", "ViewPosition"),
        (Code.FOR_PROCESSING, "(0008,0068)", "PresentationIntentType"),
    ]
    for code, tag, keyword in order:
        assert outcome(wrong) == (code, tag)
        del wrong[keyword]


def test_facts_are_known_even_of_a_refused_file() -> None:
    data = dicom_bytes(IMAGE, tags={"ViewPosition": "LL", "ImagerPixelSpacing": [0.1, 0.2]})
    with pytest.raises(Abstention) as caught:
        open_source(data, name="scan.dcm")
    facts: Any = caught.value.facts
    assert (facts.path, facts.rows, facts.columns, facts.modality, facts.view) == ("scan.dcm", 64, 64, "DX", "LL")
    assert (facts.pixel_spacing, facts.pixel_spacing_at) == ((0.1, 0.2), "detector")


def test_free_text_is_not_repeated() -> None:
    """What should be a code may hold a name: neither the message nor the facts show it."""
    tags = {"Modality": "SMITH", "ViewPosition": "SMITH", "BodyPartExamined": "SMITH"}
    for keyword in tags:
        try:
            radiograph = open_source(dicom_bytes(IMAGE, tags={keyword: tags[keyword], "PatientOrientation": None}))
            shown = f"{radiograph.facts} {radiograph.warnings}"
        except Abstention as abstention:
            shown = f"{abstention} {abstention.facts}"
        assert "SMITH" not in shown


@pytest.mark.parametrize(
    ("pixel", "imager", "expected"),
    [
        ([0.14, 0.14], [0.143, 0.143], ((0.14, 0.14), "patient")),
        ([0.143, 0.143], [0.143, 0.143], ((0.143, 0.143), "detector")),
        ([0.14, 0.14], None, ((0.14, 0.14), "patient")),
        (None, None, (None, None)),
    ],
)
def test_where_the_spacing_holds(pixel: Any, imager: Any, expected: Any) -> None:
    facts = open_source(dicom_bytes(IMAGE, tags={"PixelSpacing": pixel, "ImagerPixelSpacing": imager})).facts
    assert (facts.pixel_spacing, facts.pixel_spacing_at) == expected


@pytest.mark.parametrize(
    ("tags", "code", "tag"),
    [
        ({"Rows": None}, Code.PIXEL_FORMAT_INVALID, "(0028,0010)"),
        ({"Columns": 0}, Code.PIXEL_FORMAT_INVALID, "(0028,0011)"),
        ({"BitsAllocated": 12}, Code.PIXEL_FORMAT_INVALID, "(0028,0100)"),
        ({"BitsStored": 17}, Code.PIXEL_FORMAT_INVALID, "(0028,0101)"),
        ({"BitsStored": None}, Code.PIXEL_FORMAT_INVALID, "(0028,0101)"),
        ({"HighBit": 10}, Code.PIXEL_FORMAT_INVALID, "(0028,0102)"),
        ({"HighBit": 16}, Code.PIXEL_FORMAT_INVALID, "(0028,0102)"),
        ({"PixelRepresentation": 2}, Code.PIXEL_FORMAT_INVALID, "(0028,0103)"),
        ({"SamplesPerPixel": 3}, Code.PIXEL_FORMAT_INVALID, "(0028,0002)"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Code.PHOTOMETRIC_UNSUPPORTED, "(0028,0004)"),
        ({"PhotometricInterpretation": None}, Code.PHOTOMETRIC_UNSUPPORTED, "(0028,0004)"),
        ({"NumberOfFrames": 0}, Code.PIXEL_FORMAT_INVALID, "(0028,0008)"),
        ({"Rows": 65000, "Columns": 65000}, Code.TOO_LARGE, "(0028,0010)"),
        ({"Rows": 65}, Code.PIXELS_TRUNCATED, "(7FE0,0010)"),
        ({"Rows": 16}, Code.IMAGE_TOO_SMALL, "(0028,0010)"),
        ({"PixelData": None}, Code.NO_PIXEL_DATA, "(7FE0,0010)"),
    ],
    ids=str,
)
def test_wrong_pixel_tags(tags: dict[str, Any], code: Code, tag: str) -> None:
    assert outcome(tags) == (code, tag)
