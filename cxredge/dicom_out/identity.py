"""Who wrote an object and which one it is: identifiers that follow from the image, and what all objects share."""

from __future__ import annotations

import unicodedata
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from typing import Any

from pydicom import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.uid import UID

from cxredge.dicom.own import IMPLEMENTATION, MANUFACTURER, MODEL, NAMESPACE
from cxredge.dicom_out import Kind
from cxredge.dicom_out.character_sets import python_encodings
from cxredge.dicom_out.modules import REQUIRED
from cxredge.dicom_out.source import SourceImage
from cxredge.result import BundleFacts, Record

__all__ = ["Writer", "ascii_text"]

FORMAT = "1"
"""The version of what is written. It is part of every identifier: raise it whenever an object's content changes."""

_DECIDING: frozenset[Kind] = frozenset({"sr", "sc"})
_SERIES: dict[Kind, tuple[int, str]] = {
    "sr": (9301, "findings"),
    "seg": (9302, "segmentation"),
    "sc": (9303, "picture"),
    "pr": (9304, "overlay"),
}
_DATES = ("InstanceCreationDate", "ContentDate", "PresentationCreationDate", "DateOfSecondaryCapture")
_TIMES = ("InstanceCreationTime", "ContentTime", "PresentationCreationTime", "TimeOfSecondaryCapture")


def ascii_text(text: str, longest: int | None = None) -> str:
    """Text that any character set of a patient can hold: accents fall off, the rest of the world becomes `?`."""
    plain = unicodedata.normalize("NFKD", text.replace("\u2026", "..."))
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    plain = "".join(sign if " " <= sign <= "~" else "?" for sign in plain).replace("\\", "/")
    return plain if longest is None or len(plain) <= longest else plain[: longest - 3] + "..."


@dataclass(frozen=True, slots=True)
class Writer:
    """Makes the identifiers and the common attributes of one image's results.

    An identifier follows from the image's SOP Instance UID, the bundle's hash, the kind of object and the version of
    what is written; where thresholds decide, from the operating point too. So the same image and bundle always give the
    same object, and a PACS that gets it twice keeps one.
    """

    source: SourceImage
    record: Record
    bundle: BundleFacts
    created: datetime

    def uid(self, *parts: str) -> str:
        """An identifier that follows from the image, the bundle and the parts (PS3.5 B.2, UUID version 5)."""
        name = "\n".join((FORMAT, self.source.sop_instance, self.bundle.sha256, *parts))
        return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"

    def _of(self, kind: Kind, what: str) -> str:
        points = sorted({finding.operating_point for finding in self.record.findings}) if kind in _DECIDING else []
        return self.uid(kind, what, *points)

    def instance(self, kind: Kind) -> str:
        """The object's SOP Instance UID."""
        return self._of(kind, "instance")

    def device(self) -> str:
        """The identifier of this bundle as a device (IHE AIR: another one for each change of the model)."""
        return f"2.25.{uuid.uuid5(NAMESPACE, self.bundle.sha256).int}"

    @property
    def software(self) -> tuple[str, str]:
        """The versions of the package and of the bundle."""
        bundle = ascii_text(f"{self.bundle.name} {self.bundle.version}", 64)
        return f"cxredge {version('cxredge')}", bundle

    @property
    def notice(self) -> str:
        """What the result may be used for, as a sentence of its own; empty for a clinical bundle."""
        if self.bundle.clinical:
            return ""
        use = ascii_text(self.bundle.use)
        return use[0].upper() + use[1:]

    def common(self, kind: Kind) -> dict[str, Any]:
        """The arguments that the constructors of all kinds share."""
        number, what = _SERIES[kind]
        warning = "" if self.bundle.clinical else ", demonstration, not for diagnosis"
        return {
            "series_instance_uid": self._of(kind, "series"),
            "series_number": number,
            "series_description": f"cxredge {what}{warning}",
            "sop_instance_uid": self.instance(kind),
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MODEL,
            "software_versions": list(self.software),
            "device_serial_number": self.bundle.sha256[:64],
        }

    def reference(self) -> Dataset:
        """The image as the constructors see it: identifiers alone, so that nothing of a patient is parsed."""
        reference = Dataset()
        reference.SOPClassUID, reference.SOPInstanceUID = self.source.sop_class, self.source.sop_instance
        reference.SeriesInstanceUID, reference.StudyInstanceUID = self.source.series, self.source.study
        for keyword in REQUIRED:
            setattr(reference, keyword, "")
        for keyword, values in self.source.lossy.items():
            setattr(reference, keyword, values if len(values) > 1 else values[0])
        facts = self.record.input
        if facts.rows and facts.columns:
            reference.Rows, reference.Columns = facts.rows, facts.columns
        return reference

    def finish(self, made: Dataset) -> Dataset:
        """A plain data set with patient, study, dates and equipment, in place of what the constructor put there."""
        dataset = Dataset(made)
        dataset.file_meta, dataset.preamble = made.file_meta, b"\0" * 128
        if self.source.character_set:
            terms = list(self.source.character_set)
            dataset.SpecificCharacterSet = terms if len(terms) > 1 else terms[0]
        elif "SpecificCharacterSet" in dataset:
            del dataset.SpecificCharacterSet
        for element in self.source.elements.values():
            dataset[element.tag] = element
        if dataset.Modality != "SR":
            dataset.BodyPartExamined = "CHEST"
        self._date(dataset)
        dataset.ContributingEquipmentSequence = [self._algorithm(), _library()]
        correct_ambiguous_vr(dataset, is_little_endian=True)
        # What is raw is written as it is: decoded and encoded anew, text that breaks its character set would change.
        dataset.set_original_encoding(False, True, python_encodings(self.source.character_set))
        dataset.file_meta.ImplementationClassUID = UID(IMPLEMENTATION)
        dataset.file_meta.ImplementationVersionName = f"CXREDGE_{FORMAT}"
        return dataset

    def _date(self, dataset: Dataset) -> None:
        """When the results were made; in the image's time zone where it names one, as one attribute holds for all."""
        moment = self.created
        if self.source.timezone is not None:
            dataset.TimezoneOffsetFromUTC = self.source.timezone
            moment = moment.astimezone(_zone(self.source.timezone))
        for keyword in _DATES:
            if keyword in dataset:
                setattr(dataset, keyword, moment.strftime("%Y%m%d"))
        for keyword in _TIMES:
            if keyword in dataset:
                setattr(dataset, keyword, moment.strftime("%H%M%S.%f"))
        dataset.SeriesDate, dataset.SeriesTime = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")

    def _algorithm(self) -> Dataset:
        """The bundle as contributing equipment: what IHE's AI Results profile asks for (RAD TF, 6.5.3.1)."""
        item = Dataset()
        item.PurposeOfReferenceCodeSequence = [_code("109102", "DCM", "Processing Equipment")]
        item.Manufacturer = MANUFACTURER
        item.ManufacturerModelName = ascii_text(self.bundle.name, 64)
        item.DeviceSerialNumber = self.bundle.sha256[:64]
        item.SoftwareVersions = list(self.software)
        item.DeviceUID = self.device()
        item.ContributionDescription = ascii_text(f"Analysed the image; {self.bundle.use}", 1024)
        return item


def _library() -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [_code("109102", "DCM", "Processing Equipment")]
    item.Manufacturer = "Highdicom open-source contributors"
    item.ManufacturerModelName = "highdicom"
    item.SoftwareVersions = version("highdicom")
    item.ContributionDescription = "Software library used to create this instance"
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _zone(offset: str) -> timezone:
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return timezone(timedelta(minutes=minutes if offset[0] == "+" else -minutes))
