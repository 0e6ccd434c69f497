"""Which object it is: the same image and bundle give the same one, and nothing of ours is analysed again."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID

import cxredge
from cxredge.dicom_out import results_as_dicom
from cxredge.dicom_out.identity import ascii_text
from cxredge.dicom_out.writing import encoded
from cxredge.errors import Abstention, Code
from tests.dicom_out.conftest import CREATED, Made, make
from tests.support.filed import FILED, filed_bytes

DATES = {"InstanceCreation", "Content", "Series", "PresentationCreation"}


def test_the_same_image_gives_the_same_bytes(model: cxredge.Model, made: Made) -> None:
    again = results_as_dicom(model.predict(made.source), made.source, created=CREATED)
    for result in again:
        assert encoded(result.dataset) == made.files[result.kind].read_bytes(), result.kind


def test_only_dates_differ_at_another_moment(model: cxredge.Model, made: Made) -> None:
    later = results_as_dicom(model.predict(made.source), made.source, created=CREATED + timedelta(days=3, seconds=1))
    for result in later:
        other, there = dcmread(made.files[result.kind]), dcmread(io.BytesIO(encoded(result.dataset)))
        different = {element.keyword for element in there if other.get(element.keyword) != element.value}
        allowed = {f"{name}{part}" for name in DATES for part in ("Date", "Time")}
        assert different <= allowed | {"DateOfSecondaryCapture", "TimeOfSecondaryCapture"}
        assert "ContentDate" in different or result.kind == "pr"


def test_identifiers_are_valid_and_all_different(made: Made) -> None:
    uids = [uid for ds in made.datasets.values() for uid in (ds.SOPInstanceUID, ds.SeriesInstanceUID)]
    assert len(set(uids)) == 8
    for uid in uids:
        assert UID(uid).is_valid
        assert uid.startswith("2.25.")
    assert {ds.StudyInstanceUID for ds in made.datasets.values()} == {FILED["StudyInstanceUID"]}


def uids(model: cxredge.Model, source: bytes, **options: str) -> dict[str, str]:
    prediction = model.predict(source, **options)
    made = results_as_dicom(prediction, source, ["sr", "seg"])
    return {result.kind: result.dataset.SOPInstanceUID for result in made}


def test_another_image_or_other_thresholds_are_another_object(model: cxredge.Model, made: Made) -> None:
    here = {kind: ds.SOPInstanceUID for kind, ds in made.datasets.items() if kind in ("sr", "seg")}
    image = uids(model, filed_bytes(tags={"SOPInstanceUID": "1.2.3.4.5"}))
    assert not set(image.values()) & set(here.values())
    point = uids(model, made.source, operating_point="screening")
    assert point["sr"] != here["sr"]  # other decisions
    assert point["seg"] == here["seg"]  # the same outlines


def test_another_bundle_is_another_object(gated_bundle: Path, made: Made) -> None:
    with cxredge.load(gated_bundle, engine="onnxruntime", precision="fp32") as other:
        there = uids(other, made.source)
    assert there["sr"] != made.datasets["sr"].SOPInstanceUID


@pytest.mark.parametrize("kind", ["sr", "seg", "sc", "pr"])
def test_no_result_is_analysed_again(model: cxredge.Model, made: Made, kind: str) -> None:
    answer = model.predict(made.files[kind])
    assert answer.status == "abstained"
    assert answer.reason.code == Code.OWN_RESULT
    assert results_as_dicom(answer, made.files[kind]) == []


def test_a_result_that_claims_to_be_a_radiograph_is_known_too(model: cxredge.Model, made: Made) -> None:
    """A PACS may have changed the modality: manufacturer and model count."""
    picture = dcmread(made.files["sc"])
    picture.Modality, picture.SOPClassUID = "DX", "1.2.840.10008.5.1.4.1.1.1.1"
    assert model.predict(picture).reason.code == Code.OWN_RESULT


def test_drawn_films_are_no_results(model: cxredge.Model) -> None:
    """The drawings in examples/ come from the same maker, and are films all the same."""
    example = Path(__file__).parents[2] / "examples" / "healthy.dcm"
    assert dcmread(example, stop_before_pixels=True).Manufacturer == "cxredge"
    try:
        assert model.predict(example).status == "ok" or model.predict(example).reason.code != Code.OWN_RESULT
    except Abstention as refusal:
        raise AssertionError from refusal


def test_times_are_in_the_zone_of_the_image(model: cxredge.Model, tmp_path: Path) -> None:
    source = filed_bytes(tags={"TimezoneOffsetFromUTC": "+0545"})
    made = make(model, source, tmp_path, kinds=["seg"], created=datetime(2026, 3, 1, 20, 0, tzinfo=UTC))
    written = made.datasets["seg"]
    assert written.TimezoneOffsetFromUTC == "+0545"
    assert (written.ContentDate, written.ContentTime[:4]) == ("20260302", "0145")


def test_what_is_no_radiograph_makes_nothing(model: cxredge.Model) -> None:
    source = filed_bytes(tags={"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"})
    answer = model.predict(source)
    assert answer.reason.code == Code.WRONG_MODALITY
    assert results_as_dicom(answer, source) == []


@pytest.mark.parametrize(
    ("text", "longest", "plain"),
    [
        ("Zürich-模型 2\\x", None, "Zurich-?? 2/x"),
        ("a\tb\x1b", None, "a?b?"),
        ("x" * 70, 64, "x" * 61 + "..."),
        ("… 0.5 ± 0.1", None, "... 0.5 ? 0.1"),
    ],
)
def test_our_own_text_fits_any_character_set(text: str, longest: int | None, plain: str) -> None:
    assert ascii_text(text, longest) == plain


def test_an_error_makes_nothing(model: cxredge.Model) -> None:
    (answer,) = model.predict_many([filed_bytes()[:3000]])
    assert answer.status == "error"
    assert results_as_dicom(answer, filed_bytes()) == []


def test_another_file_than_was_predicted_on(model: cxredge.Model, made: Made) -> None:
    with pytest.raises(cxredge.errors.InputError) as caught:
        results_as_dicom(made.prediction, filed_bytes(tags={"SOPInstanceUID": "1.2.3.4.5"}))
    assert caught.value.code == Code.FILE_CHANGED
