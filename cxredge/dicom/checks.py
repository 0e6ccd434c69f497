"""Is it a frontal chest radiograph, by its tags? What is known gets into the facts; what is not is a warning."""

from __future__ import annotations

import re

from cxredge.dicom import tags as t
from cxredge.dicom.tags import Tags, tag_text
from cxredge.errors import Abstention, Code, CxredgeError
from cxredge.result import Notice, notice

__all__ = [
    "VIEWS",
    "check_age",
    "check_body_part",
    "check_intent",
    "check_modality",
    "check_uid",
    "check_upright",
    "check_view",
    "known_modality",
    "uid_of",
    "view_of",
]

_MODALITIES = frozenset({"CR", "DX", "RG"})
_TERMS = (
    "ANN AR AU BDUS BI BMD CD CT DG DMS DOC ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL IVOCT IVUS KER KO LEN LS M3D MG "
    "MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RTDOSE RTIMAGE RTINTENT RTPLAN "
    "RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA XAPROTOCOL XC"
)
_KNOWN_MODALITIES = _MODALITIES.union(_TERMS.split())
"""The defined terms of PS3.3 C.7.3.1.1.1."""
_RADIOGRAPHS = ("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1")
_FOR_PROCESSING_CLASS = "1.2.840.10008.5.1.4.1.1.1.1.1"
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

# English and Latin as the standard has them, and what devices set to other languages write.
_CHEST = ("CHEST", "THORA", "THX", "TORAX", "TORAC", "LUNG", "PULM", "POUMON", "BRUSTKORB")
_LATERAL = frozenset({"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT"})
_OBLIQUE = frozenset(
    {"LAO", "RAO", "LPO", "RPO", "LLO", "RLO", "OBL", "OBLIQUE"}
    | {"LLD", "RLD", "DECUBITUS", "DECUB", "LORDOTIC", "LORD", "AX", "AXIAL"}
)
_FRONTAL = frozenset({"PA", "AP"})
VIEWS = _LATERAL | _OBLIQUE | _FRONTAL
"""The view names that are understood."""


def check_modality(tags: Tags, *, has_pixels: bool) -> str | None:
    """The modality, where it is a radiograph's; None where only the SOP class says so.

    Raises:
        Abstention: WRONG_MODALITY or MODALITY_UNKNOWN.
        InputError: NO_PIXEL_DATA, where nothing says what the object is and it holds no image.
    """
    modality, sop_class = tags.text(t.MODALITY), tags.text(t.SOP_CLASS)
    if modality in _MODALITIES:
        if sop_class.startswith(_STORAGE) and sop_class not in _RADIOGRAPHS and not _is_capture(sop_class):
            raise Abstention(Code.WRONG_MODALITY, "by its SOP class", tag=tag_text(t.SOP_CLASS))
        return modality
    if modality and modality != "OT":
        raise Abstention(Code.WRONG_MODALITY, known_modality(modality), tag=tag_text(t.MODALITY))
    if not modality and sop_class in _RADIOGRAPHS:
        return None
    if not has_pixels:
        raise _no_pixels()
    if sop_class not in ("", *_RADIOGRAPHS) and not _is_capture(sop_class):
        raise Abstention(Code.WRONG_MODALITY, "by its SOP class", tag=tag_text(t.SOP_CLASS))
    raise Abstention(Code.MODALITY_UNKNOWN, known_modality(modality), tag=tag_text(t.MODALITY))


def _is_capture(sop_class: str) -> bool:
    """Secondary Capture, or one of its multi-frame kinds."""
    return sop_class == _SECONDARY_CAPTURE or sop_class.startswith(_SECONDARY_CAPTURE + ".")


def _no_pixels() -> CxredgeError:
    from cxredge.errors import InputError

    return InputError(Code.NO_PIXEL_DATA, tag=tag_text(t.PIXEL_DATA))


def known_modality(value: str) -> str:
    """The modality where it is a defined term; "" for anything else, which may be free text and is not repeated."""
    return value if value in _KNOWN_MODALITIES else ""


def check_body_part(tags: Tags) -> Notice | None:
    """A warning where no tag names the body part.

    Raises:
        Abstention: WRONG_BODY_PART.
    """
    part = tags.text(t.BODY_PART)
    tag = t.BODY_PART
    if not part:
        tag = t.ANATOMIC_REGION
        part = next((item.text(t.CODE_MEANING) for item in tags.items(tag)), "")
    if not part:
        return notice(Code.BODY_PART_UNKNOWN, tag=tag_text(t.BODY_PART))
    if not any(word in part for word in _CHEST):
        raise Abstention(Code.WRONG_BODY_PART, tag=tag_text(tag))
    return None


def view_of(tags: Tags) -> tuple[str, int] | None:
    """The view's name and the tag that gives it; None where no tag names one that is understood."""
    words = [word for value in tags.texts(t.VIEW_POSITION) for word in re.split(r"[^A-Z]+", value.upper())]
    view, tag = _view_among(words), t.VIEW_POSITION
    if view is None:
        meanings = [item.text(t.CODE_MEANING) for item in tags.items(t.VIEW_CODE)]
        view, tag = _view_in_words(" ".join(meanings)), t.VIEW_CODE
    return None if view is None else (view, tag)


def _view_among(words: list[str]) -> str | None:
    """A lateral or oblique word outweighs a frontal one: "AP OBLIQUE" is oblique."""
    for names in (_OBLIQUE, _LATERAL, _FRONTAL):
        for word in words:
            if word in names:
                return word
    return None


def _view_in_words(meaning: str) -> str | None:
    """The view in a code's meaning, as CID 4010 words it: "postero-anterior oblique", "left lateral", ..."""
    if any(word in meaning for word in ("OBLIQUE", "DECUBITUS", "LORDOTIC", "AXIAL")):
        return "OBLIQUE"
    letters = re.sub(r"[^A-Z]", "", meaning)
    if "POSTEROANTERIOR" in letters or "ANTEROPOSTERIOR" in letters:
        return "PA" if "POSTEROANTERIOR" in letters else "AP"
    return "LATERAL" if "LATERAL" in letters else None


def check_view(tags: Tags) -> Notice | None:
    """A warning where nothing says that the view is frontal.

    Raises:
        Abstention: LATERAL_VIEW or OBLIQUE_VIEW.
    """
    named = view_of(tags)
    if named is not None:
        view, tag = named
        if view in _FRONTAL:
            return None
        code = Code.LATERAL_VIEW if view in _LATERAL else Code.OBLIQUE_VIEW
        raise Abstention(code, view, tag=tag_text(tag))
    return _check_orientation(tags)


def _check_orientation(tags: Tags) -> Notice | None:
    """PS3.3 C.7.6.1.1.1: the directions of the rows and of the columns, the main one first."""
    directions = [value.upper()[:1] for value in tags.texts(t.PATIENT_ORIENTATION)]
    if any(direction in ("A", "P") for direction in directions):
        raise Abstention(Code.LATERAL_VIEW, "by the patient orientation", tag=tag_text(t.PATIENT_ORIENTATION))
    if len(directions) == 2 and set(directions) & {"L", "R"} and set(directions) & {"H", "F"}:
        return None
    return notice(Code.VIEW_UNKNOWN, tag=tag_text(t.VIEW_POSITION))


def check_upright(tags: Tags) -> Notice | None:
    """A warning where the tags say that the image is mirrored.

    PS3.3 C.7.6.1.1.1 gives the directions of the rows and of the columns: a frontal image that hangs as usual has its
    rows running to the patient's left and its columns to the feet.

    Raises:
        Abstention: TURNED_BY_TAGS, where it lies on its side or upside down.
    """
    directions = [value.upper()[:1] for value in tags.texts(t.PATIENT_ORIENTATION)]
    if len(directions) != 2 or not set(directions) <= set("LRHF"):
        return None  # nothing is said, or nothing of a frontal view
    if directions[1] != "F":
        raise Abstention(Code.TURNED_BY_TAGS, tag=tag_text(t.PATIENT_ORIENTATION))
    mirrored = directions[0] == "R"
    return notice(Code.MIRRORED_BY_TAGS, tag=tag_text(t.PATIENT_ORIENTATION)) if mirrored else None


def check_intent(tags: Tags) -> None:
    """Raise FOR_PROCESSING for raw detector data."""
    if tags.text(t.PRESENTATION_INTENT) == "FOR PROCESSING":
        raise Abstention(Code.FOR_PROCESSING, tag=tag_text(t.PRESENTATION_INTENT))
    if not tags.text(t.PRESENTATION_INTENT) and tags.text(t.SOP_CLASS) == _FOR_PROCESSING_CLASS:
        raise Abstention(Code.FOR_PROCESSING, tag=tag_text(t.SOP_CLASS))


_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
_GROWN_UP = 18


def check_age(tags: Tags) -> Notice | None:
    """A warning where the age (PS3.5 6.2, AS: nnnD, nnnW, nnnM, nnnY) is a child's; an unknown age is no reason."""
    age = tags.text(t.PATIENT_AGE)
    if not re.fullmatch(r"[0-9]{1,3}[DWMY]", age, re.ASCII) or int(age[:-1]) * _DAYS[age[-1]] >= _GROWN_UP * 365.25:
        return None
    return notice(Code.CHILD, tag=tag_text(t.PATIENT_AGE))


def uid_of(tags: Tags) -> str | None:
    """The SOP Instance UID, where it is well formed (PS3.5 9.1): others may become a path in a careless program."""
    uid = next(iter(tags.texts(t.SOP_INSTANCE)), "")
    return uid if len(uid) <= 64 and re.fullmatch(r"[0-9]+(\.[0-9]+)*", uid, re.ASCII) else None


def check_uid(tags: Tags, media_uid: str | None) -> Notice | None:
    """A warning where the result cannot be matched by UID: there is none, or the meta information has another."""
    uid = uid_of(tags)
    agree = uid is not None and media_uid in (None, uid)
    return None if agree else notice(Code.INVALID_UID, tag=tag_text(t.SOP_INSTANCE))
