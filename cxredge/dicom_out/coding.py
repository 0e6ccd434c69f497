"""The one table of codes: what each finding, structure, measurement and answer is called in the objects.

Each code was looked up in the places that its `sources` name; `docs/dicom-results.md` shows the table and what the
sources are. A test compares the codes that DICOM publishes with pydicom's copy of PS3.16, and the check digit of every
SNOMED CT identifier. Nothing but this file decides on a code.
"""

from __future__ import annotations

from typing import NamedTuple

from cxredge.result import LABELS

__all__ = [
    "ANSWER",
    "AREA",
    "CARDIOTHORACIC_RATIO",
    "CHEST_RADIOGRAPH",
    "FINDINGS",
    "HEART",
    "IMAGING",
    "LATERALITY",
    "LUNG",
    "MM2",
    "NEGATIVE",
    "NOT_ANALYSED",
    "NO_UNITS",
    "OPERATING_POINT",
    "PIXELS",
    "POSITIVE",
    "PRIVATE_SCHEME",
    "PROBABILITY",
    "RATIO",
    "STRUCTURES",
    "STRUCTURE_CATEGORY",
    "THORAX",
    "THRESHOLD",
    "Concept",
    "FindingCode",
]

PRIVATE_SCHEME = "99CXREDGE"
"""For the one concept that no scheme at hand has a code for."""


class Concept(NamedTuple):
    """A coded concept, as PS3.3 8 has it, and where the code was looked up."""

    value: str
    scheme: str
    meaning: str
    sources: str


class FindingCode(NamedTuple):
    """A finding, and where in the body it is found where its code does not say so by itself."""

    finding: Concept
    site: Concept


LUNG = Concept("39607008", "SCT", "Lung", "PS3.16 CID 7151, 6100")
HEART = Concept("80891009", "SCT", "Heart", "PS3.16 CID 4009, 4031")
PLEURA = Concept("3120008", "SCT", "Pleura", "PS3.16 CID 7151, 7155")
DIAPHRAGM = Concept("5798000", "SCT", "Diaphragm", "PS3.16 CID 6102, 6109")
THORAX = Concept("816094009", "SCT", "Thorax", "PS3.16 CID 4, 7155")

_ATELECTASIS = Concept("46621007", "SCT", "Atelectasis", "SNOMED CT")
_CARDIOMEGALY = Concept("8186001", "SCT", "Cardiomegaly", "SNOMED CT")
_EFFUSION = Concept("60046008", "SCT", "Pleural effusion", "PS3.16 CID 645, 8134")
_INFILTRATE = Concept("409609008", "SCT", "Radiologic infiltrate of lung", "SNOMED CT (as in UMLS)")
_MASS = Concept("309529002", "SCT", "Lung mass", "SNOMED CT (as in HL7 Genomics Reporting)")
_NODULE = Concept("786838002", "SCT", "Nodule of lung", "SNOMED CT")
_PNEUMONIA = Concept("233604007", "SCT", "Pneumonia", "SNOMED CT")
_PNEUMOTHORAX = Concept("36118008", "SCT", "Pneumothorax", "PS3.16 CID 6062, 6102, 6105")
_CONSOLIDATION = Concept("95436008", "SCT", "Lung consolidation", "SNOMED CT")
_EDEMA = Concept("19242006", "SCT", "Pulmonary edema", "PS3.16 CID 3700")
_EMPHYSEMA = Concept("87433001", "SCT", "Pulmonary emphysema", "SNOMED CT")
_FIBROSIS = Concept("51615001", "SCT", "Fibrosis of lung", "SNOMED CT")
_THICKENING = Concept("RID28509", "RADLEX", "thickening", "RadLex; with the site it says pleural thickening")
_HERNIA = Concept("39839004", "SCT", "Diaphragmatic hernia", "SNOMED CT; hiatal hernia is a kind of it")

FINDINGS: dict[str, FindingCode] = dict(
    zip(
        LABELS,
        (
            FindingCode(_ATELECTASIS, LUNG),
            FindingCode(_CARDIOMEGALY, HEART),
            FindingCode(_EFFUSION, PLEURA),
            FindingCode(_INFILTRATE, LUNG),
            FindingCode(_MASS, LUNG),
            FindingCode(_NODULE, LUNG),
            FindingCode(_PNEUMONIA, LUNG),
            FindingCode(_PNEUMOTHORAX, PLEURA),
            FindingCode(_CONSOLIDATION, LUNG),
            FindingCode(_EDEMA, LUNG),
            FindingCode(_EMPHYSEMA, LUNG),
            FindingCode(_FIBROSIS, LUNG),
            FindingCode(_THICKENING, PLEURA),
            FindingCode(_HERNIA, DIAPHRAGM),
        ),
        strict=True,
    )
)
"""The fourteen labels of `cxredge.LABELS`."""

LATERALITY: dict[str, Concept] = {
    "left_lung": Concept("7771000", "SCT", "Left", "PS3.16 CID 244"),
    "right_lung": Concept("24028007", "SCT", "Right", "PS3.16 CID 244"),
}
STRUCTURES: dict[str, Concept] = {"left_lung": LUNG, "right_lung": LUNG, "heart": HEART}
"""What each mask shows; `LATERALITY` says of which side, the patient's."""

STRUCTURE_CATEGORY = Concept("91723000", "SCT", "Anatomical Structure", "PS3.16 CID 7150")
IMAGING = Concept("363679005", "SCT", "Imaging procedure", "PS3.16 CID 100")
CHEST_RADIOGRAPH = Concept("399208008", "SCT", "Plain X-ray of chest", "SNOMED CT")

PROBABILITY = Concept("122157", "DCM", "Probability", "PS3.16 Annex D")
THRESHOLD = Concept("122411", "DCM", "Threshold Value", "PS3.16 Annex D")
OPERATING_POINT = Concept("111081", "DCM", "CAD Operating Point Description", "PS3.16 Annex D")
ANSWER = Concept("363713009", "SCT", "Has interpretation", "SNOMED CT, in pydicom's copy of PS3.16")
POSITIVE = Concept("10828004", "SCT", "Positive", "PS3.16 CID 250")
NEGATIVE = Concept("260385009", "SCT", "Negative", "PS3.16 CID 250")
NOT_ANALYSED = Concept("111225", "DCM", "Not Attempted", "PS3.16 CID 6042")
AREA = Concept("42798000", "SCT", "Area", "PS3.16 CID 7469, 7471")
CARDIOTHORACIC_RATIO = Concept("CTR", PRIVATE_SCHEME, "Cardiothoracic ratio", "none found but LOINC's, of the fetus")

NO_UNITS = Concept("1", "UCUM", "no units", "PS3.16 CID 7181")
RATIO = Concept("{ratio}", "UCUM", "ratio", "PS3.16 CID 7181")
MM2 = Concept("mm2", "UCUM", "square millimeter", "PS3.16 CID 7181, 7461")
PIXELS = Concept("{pixels}", "UCUM", "pixels", "UCUM annotation, as PS3.16 TID 1602 uses it")
