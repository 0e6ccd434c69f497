"""Good files of the wrong thing: another view, part, modality, age, or a picture that is not what its tags say."""

from __future__ import annotations

from typing import Any

import numpy as np

from cxredge.dicom.own import MANUFACTURER, MODEL
from cxredge.errors import Code
from tests.support.bad_inputs.film import TOP, element, film, good, put, tagged
from tests.support.bad_inputs.table import Answer, Group, abstained, error, ok, same

__all__ = ["KINDS", "PICTURES", "VIEWS"]

VIEWS = Group("View, body part, patient")
KINDS = Group("Other kinds of object")
PICTURES = Group("Pictures under tags that say: a frontal chest")

_CT_CLASS, _MG_CLASS = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1.2"
_RAW_CLASS = "1.2.840.10008.5.1.4.1.1.1.1.1"


def _tags(group: Group, name: str, what: str, answer: Answer, **tags: Any) -> None:
    group.add(name, what, answer, lambda: tagged(**tags))


_tags(VIEWS, "lateral", "a lateral view by its tag", abstained(Code.LATERAL_VIEW), ViewPosition="LL")
_tags(
    VIEWS,
    "lateral_by_orientation",
    "no view, rows that run from front to back",
    abstained(Code.LATERAL_VIEW),
    ViewPosition=None,
    PatientOrientation=["A", "F"],
)
_tags(VIEWS, "oblique", "an oblique view", abstained(Code.OBLIQUE_VIEW), ViewPosition="RAO")
_tags(VIEWS, "decubitus", "a decubitus view", abstained(Code.OBLIQUE_VIEW), ViewPosition="LLD")
_tags(
    VIEWS, "view_missing", "no view and no orientation", same(Code.VIEW_UNKNOWN), ViewPosition="", PatientOrientation=""
)
_tags(
    VIEWS, "turned_tags", "columns that run to the head", abstained(Code.TURNED_BY_TAGS), PatientOrientation=["L", "H"]
)
_tags(
    VIEWS, "sideways_tags", "rows that run to the feet", abstained(Code.TURNED_BY_TAGS), PatientOrientation=["F", "L"]
)
_tags(VIEWS, "mirrored_tags", "rows that run to the right", same(Code.MIRRORED_BY_TAGS), PatientOrientation=["R", "F"])
_tags(VIEWS, "hand", "a hand by its tag", abstained(Code.WRONG_BODY_PART), BodyPartExamined="HAND")
_tags(VIEWS, "abdomen", "an abdomen by its tag", abstained(Code.WRONG_BODY_PART), BodyPartExamined="ABDOMEN")
_tags(VIEWS, "part_missing", "no body part", same(Code.BODY_PART_UNKNOWN), BodyPartExamined=None)
_tags(VIEWS, "child", "a child of eight years", same(Code.CHILD), PatientAge="008Y")
_tags(VIEWS, "infant", "an infant of eleven weeks", same(Code.CHILD), PatientAge="011W")
_tags(VIEWS, "adult", "an adult: no warning", same(), PatientAge="018Y")
_tags(VIEWS, "age_missing", "no age: no warning, as many files have none", same(), PatientAge=None)
_tags(VIEWS, "age_text", "an age that is none", same(), PatientAge="old")
_tags(VIEWS, "burned_in", "text burned into the pixels", same(Code.BURNED_IN_ANNOTATION), BurnedInAnnotation="YES")

_tags(KINDS, "ct", "a CT", abstained(Code.WRONG_MODALITY), Modality="CT", SOPClassUID=_CT_CLASS)
_tags(
    KINDS,
    "own_result",
    "a secondary capture of our own coming back",
    abstained(Code.OWN_RESULT),
    Manufacturer=MANUFACTURER,
    ManufacturerModelName=MODEL,
    SOPClassUID="1.2.840.10008.5.1.4.1.1.7",
)
_tags(KINDS, "mg", "a mammogram", abstained(Code.WRONG_MODALITY), Modality="MG", SOPClassUID=_MG_CLASS)
_tags(KINDS, "us", "an ultrasound", abstained(Code.WRONG_MODALITY), Modality="US")
_tags(KINDS, "ct_as_dx", "a CT whose modality says DX", abstained(Code.WRONG_MODALITY), SOPClassUID=_CT_CLASS)
_tags(KINDS, "ot", "modality OT", abstained(Code.MODALITY_UNKNOWN), Modality="OT")
_tags(KINDS, "modality_missing", "no modality, a DX class", same(), Modality=None)
_tags(KINDS, "nothing_said", "no modality, no class", abstained(Code.MODALITY_UNKNOWN), Modality=None, SOPClassUID=None)
_tags(
    KINDS,
    "for_processing",
    "raw detector data",
    abstained(Code.FOR_PROCESSING),
    PresentationIntentType="FOR PROCESSING",
)
_tags(
    KINDS,
    "for_processing_class",
    "raw detector data by its class alone",
    abstained(Code.FOR_PROCESSING),
    PresentationIntentType=None,
    SOPClassUID=_RAW_CLASS,
)
for _modality, _class, _what in (
    ("SR", "1.2.840.10008.5.1.4.1.1.88.22", "a structured report"),
    ("KO", "1.2.840.10008.5.1.4.1.1.88.59", "a key object selection"),
    ("PR", "1.2.840.10008.5.1.4.1.1.11.1", "a presentation state"),
    ("SEG", "1.2.840.10008.5.1.4.1.1.66.4", "a segmentation"),
):
    _tags(
        KINDS,
        _modality.lower(),
        _what,
        abstained(Code.WRONG_MODALITY),
        Modality=_modality,
        SOPClassUID=_class,
        PixelData=None,
    )
_tags(
    KINDS,
    "pdf_inside",
    "an encapsulated PDF without modality",
    error(Code.NO_PIXEL_DATA),
    Modality=None,
    SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1",
    PixelData=None,
)


def _picture(name: str, what: str, answer: Answer, make: Any, *, real: bool = True) -> None:
    PICTURES.add(name, what, answer, lambda: good(np.ascontiguousarray(make())), real=real)


_picture("inverted", "inverted pixels under right tags", abstained(Code.INVERTED_BY_PIXELS), lambda: TOP - film())
for _turns, _degrees in ((1, 90), (2, 180), (3, 270)):
    _picture(
        f"turned_{_degrees}",
        f"turned by {_degrees} degrees",
        abstained(Code.TURNED_BY_PIXELS),
        lambda turns=_turns: np.rot90(film(), turns),
    )
_picture(
    "mirrored",
    "mirrored: a result, as its pixels cannot be told from a heart on the right; only tags can warn",
    ok(own=True),
    lambda: film()[:, ::-1],
)
_picture("constant", "a constant image", abstained(Code.BLANK_IMAGE), lambda: np.full_like(film(), 700), real=False)
_picture("black", "all zeros", abstained(Code.BLANK_IMAGE), lambda: np.zeros_like(film()), real=False)
_picture("thumbnail", "30 pixels wide", abstained(Code.IMAGE_TOO_SMALL), lambda: film()[::22, ::22], real=False)


def _noise() -> Any:
    return np.random.default_rng(0).integers(0, TOP + 1, film().shape, dtype=np.uint16)


_picture("noise", "noise", abstained(Code.NOT_CHEST_BY_PIXELS), _noise)


def _ramp() -> Any:
    return np.tile(np.linspace(0, TOP, film().shape[1]).astype(np.uint16), (film().shape[0], 1))


_picture("ramp", "a grey ramp, as a test pattern has it", abstained(Code.NOT_CHEST_BY_PIXELS), _ramp)


def _drawn(kind: str, seed: int = 987_000) -> Any:
    """A picture as the gate's teachers drew them, from a seed that taught nothing."""
    from training.others import DRAWN

    return (DRAWN[kind](np.random.default_rng(seed), 640) * TOP).astype(np.uint16)


for _kind, _what in (
    ("lateral_chest", "a lateral chest by its pixels; the embedded bundle sees most of them, not all"),
    ("hand", "a hand by its pixels"),
    ("abdomen", "an abdomen by its pixels"),
    ("body_slice", "a CT slice by its pixels"),
):
    _picture(f"drawn_{_kind}", _what, abstained(Code.NOT_CHEST_BY_PIXELS), lambda kind=_kind: _drawn(kind))


@PICTURES.case("an overlay plane: it is not drawn into the image", same(Code.OVERLAY_IGNORED))
def overlay() -> bytes:
    return put(good(), 0x7FE00010, element(0x60003000, b"OW", bytes(51200)))
