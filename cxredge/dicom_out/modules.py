"""The attributes that every object takes over from the image: PS3.3 C.7.1.1, C.7.1.3, C.7.2.1, C.7.2.2 and C.7.2.3."""

from __future__ import annotations

__all__ = ["COPIED", "REQUIRED"]

_PATIENT = """
    ReferencedPatientSequence PatientName PatientID IssuerOfPatientID TypeOfPatientID
    IssuerOfPatientIDQualifiersSequence SourcePatientGroupIdentificationSequence
    GroupOfPatientsIdentificationSequence PatientBirthDate PatientBirthTime
    PatientBirthDateInAlternativeCalendar PatientDeathDateInAlternativeCalendar PatientAlternativeCalendar PatientSex
    QualityControlSubject StrainDescription StrainNomenclature StrainStockSequence StrainAdditionalInformation
    StrainCodeSequence GeneticModificationsSequence OtherPatientNames OtherPatientIDsSequence
    ReferencedPatientPhotoSequence EthnicGroupCodeSequence PatientSpeciesDescription PatientSpeciesCodeSequence
    PatientBreedDescription PatientBreedCodeSequence BreedRegistrationSequence ResponsiblePerson ResponsiblePersonRole
    ResponsibleOrganization PatientComments PatientIdentityRemoved DeidentificationMethod
    DeidentificationMethodCodeSequence
    OtherPatientIDs EthnicGroup
"""  # the last two are retired, and still what many devices send

_STUDY = """
    StudyDate StudyTime AccessionNumber IssuerOfAccessionNumberSequence ReferringPhysicianName
    ReferringPhysicianIdentificationSequence ConsultingPhysicianName ConsultingPhysicianIdentificationSequence
    StudyDescription ProcedureCodeSequence PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence
    NameOfPhysiciansReadingStudy PhysiciansReadingStudyIdentificationSequence ReferencedStudySequence StudyInstanceUID
    StudyID RequestingService RequestingServiceCodeSequence ReasonForPerformedProcedureCodeSequence
"""

_PATIENT_STUDY = """
    AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientSizeCodeSequence
    PatientBodyMassIndex MeasuredAPDimension MeasuredLateralDimension PatientWeight MedicalAlerts Allergies Occupation
    SmokingStatus AdditionalPatientHistory PregnancyStatus LastMenstrualDate PatientSexNeutered ReasonForVisit
    ReasonForVisitCodeSequence AdmissionID IssuerOfAdmissionIDSequence ServiceEpisodeID ServiceEpisodeDescription
    IssuerOfServiceEpisodeIDSequence PatientState
"""

_TRIAL = """
    ClinicalTrialSponsorName ClinicalTrialProtocolID ClinicalTrialProtocolName IssuerOfClinicalTrialProtocolID
    OtherClinicalTrialProtocolIDsSequence ClinicalTrialSiteID ClinicalTrialSiteName IssuerOfClinicalTrialSiteID
    ClinicalTrialSubjectID IssuerOfClinicalTrialSubjectID ClinicalTrialSubjectReadingID
    IssuerOfClinicalTrialSubjectReadingID ClinicalTrialProtocolEthicsCommitteeName
    ClinicalTrialProtocolEthicsCommitteeApprovalNumber ClinicalTrialTimePointID ClinicalTrialTimePointDescription
    LongitudinalTemporalOffsetFromEvent LongitudinalTemporalEventType ClinicalTrialTimePointTypeCodeSequence
    IssuerOfClinicalTrialTimePointID ConsentForClinicalTrialUseSequence
"""

COPIED: tuple[str, ...] = tuple(" ".join((_PATIENT, _STUDY, _PATIENT_STUDY, _TRIAL)).split())
"""Keywords of all that is said of the patient, the visit, the study and a trial, at the root of a data set."""

REQUIRED: tuple[str, ...] = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"),
)
"""Type 2: written empty where the image lacks them."""
