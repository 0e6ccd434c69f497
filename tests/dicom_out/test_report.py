"""The measurement report, read back with highdicom, says what the record says."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes

import cxredge
from cxredge.dicom_out import coding
from tests.dicom_out.conftest import Made, make
from tests.support.filed import filed_bytes


def groups(made: Made) -> dict[str, hd.sr.MeasurementsAndQualitativeEvaluations]:
    """The measurement groups by their tracking identifier, with the ROI's."""
    content = hd.sr.srread(made.files["sr"]).content
    every = [*content.get_image_measurement_groups(), *content.get_planar_roi_measurement_groups()]
    return {group.tracking_identifier: group for group in every}


def texts(made: Made) -> list[str]:
    """The comments at the root."""
    root = hd.sr.srread(made.files["sr"]).content[0]
    found = hd.sr.utils.find_content_items(root, name=codes.DCM.Comment)
    return [item.value for item in found]


def same(concept: hd.sr.CodedConcept, row: coding.Concept) -> bool:
    return (concept.value, concept.scheme_designator) == (row.value, row.scheme)


def test_every_finding_with_its_numbers_and_its_answer(made: Made) -> None:
    there = groups(made)
    for finding in made.prediction.findings:
        group = there[cxredge.result.display_name(finding.label)]
        measured = {item.name.value: item for item in group.get_measurements()}
        assert measured[coding.PROBABILITY.value].value == finding.probability
        assert measured[coding.THRESHOLD.value].value == finding.threshold
        assert all(same(item.unit, coding.NO_UNITS) for item in measured.values())
        (answer,) = [item for item in group.get_qualitative_evaluations() if item.name.value == coding.ANSWER.value]
        assert same(answer.value, coding.POSITIVE if finding.positive else coding.NEGATIVE)
        assert same(group.finding_type, coding.FINDINGS[finding.label].finding)
        (site,) = group.finding_sites
        assert same(site.value, coding.FINDINGS[finding.label].site)
        (point,) = hd.sr.utils.find_content_items(group[0], name=codes.DCM.CADOperatingPointDescription)
        assert point.value == finding.operating_point
        (image,) = group.source_images
        assert image.referenced_sop_instance_uid == made.prediction.input.sop_instance_uid


def test_anatomy_with_units_and_segments(made: Made) -> None:
    there, anatomy = groups(made), made.prediction.anatomy
    for number, name in enumerate(("left_lung", "right_lung", "heart"), start=1):
        group = there[name.replace("_", " ").capitalize()]
        (area,) = group.get_measurements()
        assert area.value == getattr(anatomy, f"{name}_mm2")
        assert same(area.unit, coding.MM2)
        segment = group.referenced_segmentation_frame
        assert segment.referenced_sop_instance_uid == made.datasets["seg"].SOPInstanceUID
        assert segment.referenced_segment_numbers == [number]
        (site,) = group.finding_sites
        side = {"left_lung": "7771000", "right_lung": "24028007", "heart": None}[name]
        assert (site.laterality.value if site.laterality else None) == side
    (ratio,) = there["Cardiothoracic ratio"].get_measurements()
    assert ratio.value == anatomy.cardiothoracic_ratio
    assert same(ratio.unit, coding.RATIO)
    scheme = made.datasets["sr"].CodingSchemeIdentificationSequence[0]
    assert scheme.CodingSchemeDesignator == ratio.name.scheme_designator == "99CXREDGE"


@pytest.mark.parametrize(
    ("tags", "unit"),
    [
        ({"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}, coding.PIXELS),
        ({"PixelSpacing": None, "ImagerPixelSpacing": None, "(0028,0030)": ("LO", "x\\y")}, coding.PIXELS),
        ({"PixelSpacing": [0.19, 0.19], "ImagerPixelSpacing": [0.2, 0.2]}, coding.MM2),
    ],
)
def test_millimetres_only_where_they_hold_in_the_patient(
    model: cxredge.Model, tmp_path: Path, tags: dict[str, object], unit: coding.Concept
) -> None:
    made = make(model, filed_bytes(tags=tags), tmp_path, kinds=["sr"])
    (area,) = groups(made)["Heart"].get_measurements()
    assert same(area.unit, unit)
    assert area.value == getattr(made.prediction.anatomy, "heart_mm2" if unit is coding.MM2 else "heart_px")


def test_who_says_so_and_what_it_is_for(made: Made, tiny_bundle: Path) -> None:
    bundle = made.prediction.bundle
    algorithm = {
        item.name.meaning: item.value
        for item in groups(made)["Hernia"][0].ContentSequence
        if item.name.meaning.startswith("Algorithm")
    }
    assert (algorithm["Algorithm Name"], algorithm["Algorithm Version"]) == (bundle.name, bundle.version)
    parameters = algorithm["Algorithm Parameters"]
    assert f"bundle sha256 {bundle.sha256}" in parameters
    assert "onnxruntime" in parameters
    assert "fp32" in parameters
    assert any("not for diagnosis" in text for text in texts(made))
    report = made.datasets["sr"]
    assert "not for diagnosis" in report.SeriesDescription
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    (equipment, *_) = report.ContributingEquipmentSequence
    assert equipment.DeviceUID.startswith("2.25.")
    assert equipment.DeviceSerialNumber == bundle.sha256


def test_warnings_are_told(model: cxredge.Model, tmp_path: Path) -> None:
    made = make(model, filed_bytes(tags={"BodyPartExamined": None}), tmp_path, kinds=["sr"])
    assert any("body_part_unknown" in text for text in texts(made))


def test_an_abstention_says_why_and_makes_nothing_else(abstained: Made) -> None:
    assert list(abstained.files) == ["sr"]
    assert any("lateral_view" in text for text in texts(abstained))
    there = groups(abstained)
    assert len(there) == 14
    for group in there.values():
        assert group.get_measurements() == []
        (answer,) = [item for item in group.get_qualitative_evaluations() if item.name.value == coding.ANSWER.value]
        assert same(answer.value, coding.NOT_ANALYSED)
    assert dcmread(abstained.files["sr"]).CompletionFlag == "PARTIAL"


def test_without_the_segmentation_the_areas_are_of_the_image(model: cxredge.Model, tmp_path: Path) -> None:
    made = make(model, filed_bytes(), tmp_path, kinds=["sr"])
    (image,) = groups(made)["Heart"].source_images
    assert image.referenced_sop_instance_uid == made.prediction.input.sop_instance_uid
    evidence = made.datasets["sr"].CurrentRequestedProcedureEvidenceSequence[0]
    assert len(evidence.ReferencedSeriesSequence) == 1
