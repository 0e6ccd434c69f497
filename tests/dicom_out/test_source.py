"""What is taken over from the image: all of patient and study, in every character set; and what stops it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map
from highdicom.base import SOPClass
from pydicom import Dataset, dcmread
from pydicom.filereader import read_partial

import cxredge
from cxredge.dicom_out import results_as_dicom
from cxredge.dicom_out.identity import Writer
from cxredge.dicom_out.modules import COPIED, REQUIRED
from cxredge.dicom_out.source import read_source
from cxredge.dicom_out.writing import encoded
from cxredge.errors import Code, InputError
from cxredge.sources import Limits
from tests.dicom_out.conftest import CREATED, Made
from tests.support.dicom_files import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT
from tests.support.filed import FILED, filed_bytes, run_tool

OBJECT = {
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.34",
    "modality": "SR",
    "transfer_syntax_uid": EXPLICIT,
}


def filed_object(model: cxredge.Model, source: bytes) -> bytes:
    """An object that holds nothing but what all objects take over from the image: quick to make."""
    record = model.predict(source).record
    writer = Writer(read_source(source, Limits()), record, record.bundle, CREATED)
    return encoded(writer.finish(SOPClass(study_instance_uid=writer.source.study, **OBJECT, **writer.common("sr"))))


def lateral(**options: Any) -> bytes:
    options["tags"] = {"ViewPosition": "LL"} | options.get("tags", {})
    return filed_bytes(**options)


def raw(data: bytes, keyword: str) -> Any:
    """The bytes of a value as they lie in the file (the character set, which pydicom needs, as text)."""
    dataset = read_partial(io.BytesIO(data), lambda tag, vr, length: tag >= 0x7FE00010)
    element = dataset.get_item(keyword)
    return element.value.rstrip(b" \0") if isinstance(element.value, bytes) else element.value


def test_the_list_of_attributes_is_the_standards() -> None:
    """Against highdicom's tables, which are made from PS3.3."""
    modules = {m["key"] for m in get_iod_module_map()["segmentation"] if m["ie"] in ("Patient", "Study")}
    attributes = get_module_attribute_map()
    expected = {item["keyword"] for key in modules for item in attributes[key] if not item["path"]}
    assert set(COPIED) == expected | {"OtherPatientIDs", "EthnicGroup"}  # retired, and still sent
    types = {i["keyword"]: i["type"] for key in ("patient", "general-study") for i in attributes[key] if not i["path"]}
    assert set(REQUIRED) == {keyword for keyword, kind in types.items() if kind == "2"}


@pytest.mark.parametrize("kind", ["sr", "seg", "sc", "pr"])
def test_patient_and_study_are_taken_over(made: Made, kind: str) -> None:
    source, written = dcmread(io.BytesIO(made.source)), dcmread(made.files[kind])
    for keyword in FILED:
        if keyword in COPIED or keyword == "SpecificCharacterSet":
            assert written.get(keyword) == source.get(keyword), keyword


NAMES = {
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "japanese, katakana": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "utf-8": ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
    "cyrillic": ("ISO_IR 144", "Люкceмбypг^Анна"),  # noqa: RUF001
    "greek": ("ISO_IR 126", "Διονυσιος"),
    "latin-1": ("ISO_IR 100", "Äneas^Rüdiger"),
    "hebrew": ("ISO_IR 138", "שרון^דבורה"),
}


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("name", NAMES)
def test_names_in_any_script(model: cxredge.Model, tmp_path: Path, name: str, syntax: str) -> None:
    """Byte for byte, and legible to DCMTK as UTF-8."""
    terms, person = NAMES[name]
    issuer = Dataset()
    issuer.PatientID, issuer.IssuerOfPatientID = "7", person[:8]
    tags = {"SpecificCharacterSet": terms, "PatientName": person, "OtherPatientIDsSequence": [issuer]}
    source = lateral(tags=tags | {"StudyDescription": None, "ReferringPhysicianName": None}, syntax=syntax)
    data = filed_object(model, source)
    assert raw(data, "PatientName") == raw(source, "PatientName")
    assert raw(data, "SpecificCharacterSet") == raw(source, "SpecificCharacterSet")
    written = dcmread(io.BytesIO(data))
    assert str(written.PatientName) == person
    assert written.OtherPatientIDsSequence[0].IssuerOfPatientID == person[:8]
    (tmp_path / "report.dcm").write_bytes(data)
    if name in ("utf-8", "cyrillic", "greek", "latin-1", "chinese"):  # glibc's conversion lacks the ISO 2022 ones
        text, _ = run_tool("dcmdump", "+U8", "+P", "PatientName", tmp_path / "report.dcm")
        assert person in text


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_sequences_and_numbers_survive_every_syntax(model: cxredge.Model, syntax: str) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "36643-5", "LN", "Thorax, übliche Ebenen"
    source = lateral(tags={"ProcedureCodeSequence": [code], "PregnancyStatus": 1}, syntax=syntax)
    written = dcmread(io.BytesIO(filed_object(model, source)))
    assert written.ProcedureCodeSequence[0].CodeMeaning == code.CodeMeaning
    assert written.PregnancyStatus == 1
    assert str(written.PatientName) == FILED["PatientName"]


def test_a_dataset_in_memory_gives_the_same_object(model: cxredge.Model) -> None:
    source = lateral()
    dataset = dcmread(io.BytesIO(source))
    made = [results_as_dicom(model.predict(s), s, ["sr"])[0].dataset for s in (source, dataset)]
    assert made[0].SOPInstanceUID == made[1].SOPInstanceUID
    assert str(made[0].PatientName) == str(made[1].PatientName)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("value", [None, "", "1." + "2" * 63, "1.2.abc", "1.02.3", "1.2\\3.4", "hello"])
def test_identifiers_that_are_none(model: cxredge.Model, keyword: str, value: str | None) -> None:
    tag = {"StudyInstanceUID": "(0020,000D)", "SeriesInstanceUID": "(0020,000E)"}
    tag |= {"SOPInstanceUID": "(0008,0018)", "SOPClassUID": "(0008,0016)"}
    if value == "" and keyword in ("SOPInstanceUID", "SOPClassUID"):
        value = None  # the file meta information could not be written otherwise
    tags: dict[str, Any] = {keyword: None}
    if value is not None:
        tags[tag[keyword]] = ("UI", value.split("\\"))
    source = lateral(tags=tags)
    answer = model.predict(source)
    with pytest.raises(InputError) as caught:
        results_as_dicom(answer, source, ["sr"])
    assert caught.value.code == Code.DICOM_SOURCE
    assert caught.value.tag == tag[keyword]
    assert value in (None, "") or value not in str(caught.value)  # it may be a patient's


def test_a_private_class(model: cxredge.Model) -> None:
    source = filed_bytes(tags={"SOPClassUID": "1.2.826.0.1.3680043.8.498.9"})
    answer = model.predict(source)
    assert answer.status == "ok"
    with pytest.raises(InputError) as caught:
        results_as_dicom(answer, source)
    assert (caught.value.code, caught.value.tag) == (Code.DICOM_SOURCE, "(0008,0016)")


def test_a_long_identifier_that_is_still_valid(model: cxredge.Model) -> None:
    longest = "1." + "2" * 62
    source = lateral(tags={"StudyInstanceUID": longest})
    assert dcmread(io.BytesIO(filed_object(model, source))).StudyInstanceUID == longest


@pytest.mark.parametrize(
    ("terms", "expected"),
    [("ISO_IR 999", None), ("KLINGON", None), ("iso-ir 100", "ISO_IR 100"), ("ISO 2022 IR  100", None)],
)
def test_odd_character_sets(model: cxredge.Model, terms: str, expected: str | None) -> None:
    """A known one that is misspelled is put right; an unknown one is an error, or left out where all is ASCII."""
    source = lateral(tags={"PatientName": "Mueller^Z", "StudyDescription": "", "ReferringPhysicianName": ""})
    assert b"ISO_IR 100" in source
    plain = source.replace(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", odd_charset(terms))
    written = dcmread(io.BytesIO(filed_object(model, plain)))
    assert written.get("SpecificCharacterSet") == expected
    foreign = plain.replace(b"Mueller^Z ", b"M\xfcller^Zo\xeb")
    assert foreign != plain
    if expected is None:
        with pytest.raises(InputError) as caught:
            filed_object(model, foreign)
        assert (caught.value.code, caught.value.tag) == (Code.DICOM_SOURCE, "(0008,0005)")
    else:
        assert str(dcmread(io.BytesIO(filed_object(model, foreign))).PatientName) == "Müller^Zoë"


def odd_charset(terms: str) -> bytes:
    """The element (0008,0005) with these terms."""
    value = terms.encode() + b" " * (len(terms) % 2)
    return b"\x08\x00\x05\x00CS" + len(value).to_bytes(2, "little") + value


def test_bytes_without_a_character_set_stay_as_they_are(model: cxredge.Model) -> None:
    """An old device that names none: a PACS reads the name of the result as it reads the image's."""
    source = lateral(tags={"PatientName": "Mueller^Z", "StudyDescription": "", "ReferringPhysicianName": ""})
    source = source.replace(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", b"").replace(b"Mueller^Z ", b"M\xfcller^Zo\xeb")
    data = filed_object(model, source)
    assert raw(data, "PatientName") == b"M\xfcller^Zo\xeb"
    assert "SpecificCharacterSet" not in dcmread(io.BytesIO(data))


def test_text_that_breaks_its_character_set_stays_as_it_is(model: cxredge.Model) -> None:
    item = Dataset()
    item.PatientID, item.IssuerOfPatientID = "7", "Muellers"
    tags = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Mueller^Z", "OtherPatientIDsSequence": [item]}
    source = lateral(tags=tags)
    source = source.replace(b"Mueller^Z ", b"M\xfcller^Zo\xeb").replace(b"Muellers", b"M\xfcllers ")
    data = filed_object(model, source)
    assert raw(data, "PatientName") == b"M\xfcller^Zo\xeb"
    assert b"M\xfcllers " in data


def test_an_item_in_a_character_set_of_its_own(model: cxredge.Model) -> None:
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 144"
    item.PatientID, item.IssuerOfPatientID = "7", "Больница"
    data = filed_object(model, lateral(tags={"OtherPatientIDsSequence": [item]}))
    assert dcmread(io.BytesIO(data)).OtherPatientIDsSequence[0].IssuerOfPatientID == "Больница"


def test_odd_values(model: cxredge.Model) -> None:
    """Those of a study's own attributes are taken over: two spellings of one patient would be worse. Others go."""
    odd = {"(0010,0030)": ("LO", "1950/13/77"), "(0010,0040)": ("LO", "weiblich"), "(0008,0020)": ("LO", "1.3.26")}
    gone = {"(0010,1030)": ("LO", "61,5 kg"), "(0010,1010)": ("LO", "76"), "(0010,21A0)": ("LO", "stopped in May")}
    keywords = ("PatientBirthDate", "PatientSex", "StudyDate", "PatientWeight", "PatientAge")
    source = lateral(tags=dict.fromkeys(keywords) | odd | gone)
    data = filed_object(model, source)
    for keyword in keywords[:3]:
        assert raw(data, keyword) == raw(source, keyword)
    written = dcmread(io.BytesIO(data))
    assert not {"PatientWeight", "PatientAge", "SmokingStatus"} & set(written.dir())
    assert written.PatientID == FILED["PatientID"]


def test_what_is_no_dicom_file(model: cxredge.Model) -> None:
    import numpy as np

    from tests.support.phantom import draw_phantom

    array = draw_phantom(480, 400)
    with pytest.raises(InputError) as caught:
        results_as_dicom(model.predict(array), array)
    assert caught.value.code == Code.DICOM_SOURCE
    picture = io.BytesIO()
    from PIL import Image

    Image.fromarray((array >> 4).astype(np.uint8)).save(picture, format="PNG")
    with pytest.raises(InputError) as caught:
        results_as_dicom(model.predict(picture.getvalue()), picture.getvalue())
    assert caught.value.code == Code.DICOM_SOURCE


def test_a_file_that_is_gone(model: cxredge.Model, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(lateral())
    answer = model.predict(path)
    path.unlink()
    with pytest.raises(InputError) as caught:
        results_as_dicom(answer, path)
    assert caught.value.code == Code.FILE_NOT_FOUND


def test_an_open_file_and_a_path(model: cxredge.Model, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(lateral())
    answer = model.predict(path)
    with path.open("rb") as file:
        (first,) = results_as_dicom(answer, file)
    (second,) = results_as_dicom(answer, str(path))
    assert first.dataset.SOPInstanceUID == second.dataset.SOPInstanceUID
