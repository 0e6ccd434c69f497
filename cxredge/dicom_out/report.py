"""The result as a measurement report: TID 1500 in a Comprehensive 3D SR, as IHE's AI Results profile asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    ImageContentItem,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegmentationFrame,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForSegmentation,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from cxredge.dicom_out import coding
from cxredge.dicom_out.identity import Writer, ascii_text
from cxredge.dicom_out.segmentation import concept, segments
from cxredge.prediction import Prediction
from cxredge.result import LABELS, STRUCTURES, Finding, display_name

__all__ = ["report"]

_MODALITIES = {"CR": "Computed Radiography", "DX": "Digital Radiography", "RG": "Radiographic imaging"}
_CONTAINS = RelationshipTypeValues.CONTAINS


def report(prediction: Prediction, writer: Writer, segmentation: Dataset | None) -> Dataset:
    """Fourteen findings with their answers, the areas and the cardiothoracic ratio; of an abstention, why.

    Args:
        prediction: what is reported; "ok" or "abstained".
        writer: of this image's objects.
        segmentation: the Segmentation that the areas were measured on, where one is written too.
    """
    pages = _Report(prediction, writer, segmentation)
    evidence = [writer.reference()] + ([segmentation] if segmentation is not None else [])
    root = pages.content()[0]
    # The constructor copies and parses the whole tree again, which takes twice as long as making it: it gets the trunk.
    branches, root.ContentSequence = root.ContentSequence, root.ContentSequence[:1]
    dataset = Comprehensive3DSR(
        evidence=evidence,
        content=root,
        is_complete=prediction.status == "ok",
        is_final=False,
        is_verified=False,
        coding_schemes=[_private_scheme()] if pages.has_ratio else None,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **writer.common("sr"),
    )
    dataset.ContentSequence = branches
    if prediction.reason is not None:
        dataset.CompletionFlagDescription = ascii_text(f"Abstained: {prediction.reason.code}", 64)
    return writer.finish(dataset)


def _private_scheme() -> CodingSchemeIdentificationItem:
    return CodingSchemeIdentificationItem(
        designator=coding.PRIVATE_SCHEME, name="Concepts of cxredge", responsible_organization="cxredge"
    )


class _Report:
    """The content tree of one report."""

    def __init__(self, prediction: Prediction, writer: Writer, segmentation: Dataset | None) -> None:
        self._prediction = prediction
        self._writer = writer
        self._segmentation = segmentation

    @property
    def has_ratio(self) -> bool:
        """Whether the private code is used."""
        anatomy = self._prediction.anatomy
        return anatomy is not None and anatomy.cardiothoracic_ratio is not None

    def content(self) -> MeasurementReport:
        """The whole tree. What a person must read first stands first."""
        tree = MeasurementReport(
            observation_context=ObservationContext(observer_device_context=self._observer()),
            # An abstention may mean that it is another part of the body.
            procedure_reported=concept(coding.CHEST_RADIOGRAPH if self._prediction.status == "ok" else coding.IMAGING),
            imaging_measurements=[*self._findings(), *self._anatomy()],
        )
        children = tree[0].ContentSequence
        first = next(place for place, item in enumerate(children) if item.RelationshipType == _CONTAINS.value)
        for item in reversed([*self._comments(), self._image_library()]):
            children.insert(first, item)
        return tree

    def _observer(self) -> ObserverContext:
        writer = self._writer
        return ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=writer.device(),
                name=ascii_text(f"{writer.bundle.name} {writer.bundle.version}"),
                manufacturer_name="cxredge",
                model_name=writer.software[0],
                serial_number=writer.bundle.sha256,
            ),
        )

    def _comments(self) -> Iterator[TextContentItem]:
        """The notice, the reason of an abstention, and the warnings, as text that every viewer shows."""
        prediction, notice = self._prediction, self._writer.notice
        if notice:
            yield _text(codes.DCM.Comment, f"{notice}.")
        if prediction.reason is not None:
            reason = prediction.reason
            yield _text(codes.DCM.Comment, f"Abstained, nothing was analysed: {reason.message} [{reason.code}]")
        for warning in prediction.warnings:
            yield _text(codes.DCM.Comment, f"Warning: {warning.message} [{warning.code}]")

    def _image_library(self) -> ContainerContentItem:
        """TID 1600, with no more than what is known of the image."""
        facts = self._prediction.input
        image = ImageContentItem(codes.SCT.Source, *self._image(), relationship_type=_CONTAINS)
        described: list[Any] = []
        acquired = RelationshipTypeValues.HAS_ACQ_CONTEXT
        if facts.modality in _MODALITIES:
            modality = coding.Concept(facts.modality, "DCM", _MODALITIES[facts.modality], "")
            described.append(CodeContentItem(codes.DCM.Modality, concept(modality), acquired))
        if facts.rows and facts.columns:
            pixels = concept(coding.PIXELS)
            described.append(NumContentItem(codes.DCM.PixelDataRows, facts.rows, pixels, relationship_type=acquired))
            described.append(
                NumContentItem(codes.DCM.PixelDataColumns, facts.columns, pixels, relationship_type=acquired)
            )
        if described:
            image.ContentSequence = ContentSequence(described)
        group = ContainerContentItem(codes.DCM.ImageLibraryGroup, relationship_type=_CONTAINS)
        group.ContentSequence = ContentSequence([image])
        library = ContainerContentItem(codes.DCM.ImageLibrary, relationship_type=_CONTAINS)
        library.ContentSequence = ContentSequence([group])
        return library

    def _image(self) -> tuple[str, str]:
        return self._writer.source.sop_class, self._writer.source.sop_instance

    def _group(self, name: str, shown: str) -> dict[str, Any]:
        """What all groups have in common: identifiers to track it by, and the algorithm (TID 4019)."""
        writer = self._writer
        ran = self._prediction.ran
        engine = "" if ran is None else f"; {ran.engine} {ran.engine_version}, {ran.device}, {ran.precision}"
        parameters = [ascii_text(f"bundle sha256 {writer.bundle.sha256}{engine}")]
        return {
            "tracking_identifier": TrackingIdentifier(uid=writer.uid("tracking", name), identifier=shown),
            "algorithm_id": AlgorithmIdentification(
                name=ascii_text(writer.bundle.name),
                version=ascii_text(writer.bundle.version),
                parameters=parameters,
            ),
        }

    def _findings(self) -> Iterator[MeasurementsAndQualitativeEvaluations]:
        known = {finding.label: finding for finding in self._prediction.findings}
        for label in LABELS:
            yield self._finding(label, known.get(label))

    def _finding(self, label: str, finding: Finding | None) -> MeasurementsAndQualitativeEvaluations:
        """Positive, negative or not attempted; where there is a probability, never without its threshold."""
        code = coding.FINDINGS[label]
        answer, measured = coding.NOT_ANALYSED, []
        if finding is not None:
            answer = coding.POSITIVE if finding.positive else coding.NEGATIVE
            measured = [(coding.PROBABILITY, finding.probability), (coding.THRESHOLD, finding.threshold)]
        group = MeasurementsAndQualitativeEvaluations(
            finding_type=concept(code.finding),
            finding_sites=[FindingSite(concept(code.site))],
            measurements=[_measured(name, value, coding.NO_UNITS) for name, value in measured],
            qualitative_evaluations=[QualitativeEvaluation(concept(coding.ANSWER), concept(answer))],
            source_images=[SourceImageForMeasurementGroup(*self._image())],
            **self._group(label, display_name(label)),
        )
        if finding is not None:
            point = _text(concept(coding.OPERATING_POINT), finding.operating_point)
            group[0].ContentSequence.append(point)
        return group

    def _anatomy(self) -> Iterator[Any]:
        anatomy, facts = self._prediction.anatomy, self._prediction.input
        if anatomy is None:
            return
        # At the detector the lengths are those of the shadow, so an area in mm2 would be no one's (PS3.3 10.7.1.3).
        in_millimetres = facts.pixel_spacing_at == "patient"
        for name in STRUCTURES:
            unit = "mm2" if in_millimetres else "px"
            area = getattr(anatomy, f"{name}_{unit}")
            if area:
                yield self._area(name, area, coding.MM2 if in_millimetres else coding.PIXELS)
        if anatomy.cardiothoracic_ratio is not None:
            ratio = _measured(coding.CARDIOTHORACIC_RATIO, anatomy.cardiothoracic_ratio, coding.RATIO)
            yield MeasurementsAndQualitativeEvaluations(
                finding_type=concept(coding.HEART),
                finding_category=concept(coding.STRUCTURE_CATEGORY),
                finding_sites=[FindingSite(concept(coding.THORAX))],
                measurements=[ratio],
                source_images=[SourceImageForMeasurementGroup(*self._image())],
                **self._group("cardiothoracic ratio", "Cardiothoracic ratio"),
            )

    def _area(self, name: str, area: float, unit: coding.Concept) -> Any:
        """One structure's area: of its segment where the Segmentation is written too, else of the image."""
        side = coding.LATERALITY.get(name)
        structure = concept(coding.STRUCTURES[name])
        shared = {
            "finding_type": structure,
            "finding_category": concept(coding.STRUCTURE_CATEGORY),
            "finding_sites": [FindingSite(structure, laterality=concept(side) if side else None)],
            "measurements": [_measured(coding.AREA, area, unit)],
            **self._group(name, display_name(name)),
        }
        number = segments(self._prediction).get(name)
        if self._segmentation is None or number is None:
            source = SourceImageForMeasurementGroup(*self._image())
            return MeasurementsAndQualitativeEvaluations(source_images=[source], **shared)
        segment = ReferencedSegmentationFrame(
            sop_class_uid=self._segmentation.SOPClassUID,
            sop_instance_uid=self._segmentation.SOPInstanceUID,
            frame_number=number,
            segment_number=number,
            source_image=SourceImageForSegmentation(*self._image()),
        )
        del segment[0].ReferencedSOPSequence[0].ReferencedFrameNumber  # not beside a segment's number (PS3.3 C.18.3)
        return PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **shared)


def _measured(name: coding.Concept, value: float, unit: coding.Concept) -> Measurement:
    return Measurement(name=concept(name), value=value, unit=concept(unit))


def _text(name: Any, value: str) -> TextContentItem:
    return TextContentItem(name, ascii_text(value), _CONTAINS)
