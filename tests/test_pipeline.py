"""From a source to a prediction, on a real engine, with the tiny bundle."""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import numpy as np
import pydicom
import pytest

import cxredge
from cxredge.errors import Code
from cxredge.prediction import Prediction
from cxredge.result import json_schema
from tests.support.dicom_files import dicom_dataset, write_dicom
from tests.support.phantom import draw_phantom


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Iterator[cxredge.Model]:
    with cxredge.load(tiny_bundle, engine="onnxruntime", precision="fp32") as loaded:
        yield loaded


def probabilities(prediction: Prediction) -> np.ndarray:
    return np.array([finding.probability for finding in prediction.findings])


def test_a_scan_becomes_a_result(model: cxredge.Model, scan: Path) -> None:
    prediction = model.predict(scan)
    assert prediction.status == "ok", prediction.reason
    assert [finding.label for finding in prediction.findings] == list(cxredge.LABELS)
    assert prediction.input.path == str(scan)
    assert (prediction.input.rows, prediction.input.columns) == (700, 600)
    assert prediction.ran == model.ran
    assert (model.ran.engine, model.ran.device, model.ran.precision) == ("onnxruntime", "cpu", "fp32")
    assert prediction.warnings == ()
    assert prediction.anatomy is not None
    assert 0.2 < (prediction.anatomy.cardiothoracic_ratio or 0) < 0.8
    assert prediction.timing_ms.total >= prediction.timing_ms.engine > 0
    jsonschema.validate(json.loads(prediction.to_json()), json_schema())


def test_probability_is_the_calibrated_logit_of_the_graph(model: cxredge.Model, scan: Path, tiny_bundle: Path) -> None:
    """The whole path beside an independent one: pydicom, NumPy and a bare onnxruntime session."""
    import onnxruntime
    import pydicom

    from cxredge.bundle import open_bundle

    dataset = pydicom.dcmread(scan)
    display = np.clip((dataset.pixel_array - (2048.0 - 0.5)) / (4096.0 - 1) + 0.5, 0, 1)
    plane = np.zeros((256, 256), np.float32)
    width = round(600 * 256 / 700)
    left = (256 - width) // 2
    plane[:, left : left + width] = _area(display, 256, width)
    with open_bundle(tiny_bundle) as bundle:
        session = onnxruntime.InferenceSession(bundle.graph("fp32").read(), providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"image": plane[None, None]})[0][0]
    np.testing.assert_allclose(probabilities(model.predict(scan)), 1 / (1 + np.exp(-logits.astype(float))), atol=2e-4)


def _area(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Area averages in float64, by cumulative sums with fractional borders."""

    def along(values: np.ndarray, count: int) -> np.ndarray:
        total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
        edges = np.linspace(0, values.shape[0], count + 1)
        below = np.minimum(edges.astype(int), values.shape[0] - 1)
        at = total[below] + (edges - below)[:, None] * values[below]
        return np.diff(at, axis=0) / (values.shape[0] / count)

    return along(along(image, rows).T, columns).T


def test_every_kind_of_source_gives_the_same(model: cxredge.Model, scan: Path) -> None:
    expected = probabilities(model.predict(scan))
    data = scan.read_bytes()
    dataset = dicom_dataset(
        draw_phantom(700, 600), window=(2048.0, 4096.0), tags={"BodyPartExamined": "CHEST", "ViewPosition": "PA"}
    )
    for source in (str(scan), data, io.BytesIO(data), dataset):
        np.testing.assert_array_equal(probabilities(model.predict(source)), expected)


def test_arrays_are_predicted_on_with_a_warning(model: cxredge.Model) -> None:
    prediction = model.predict((draw_phantom(700, 600) / 4095.0).astype(np.float32))
    assert prediction.status == "ok"
    assert Code.NO_METADATA in {warning.code for warning in prediction.warnings}


def test_masks_are_of_the_images_size_and_agree_with_the_areas(model: cxredge.Model, scan: Path) -> None:
    prediction = model.predict(scan)
    assert set(prediction.masks) == {"left_lung", "right_lung", "heart"}
    assert prediction.anatomy is not None
    for name, mask in prediction.masks.items():
        assert mask.shape == (700, 600)
        assert mask.dtype == bool
        area = getattr(prediction.anatomy, f"{name}_px")
        assert mask.sum() == pytest.approx(area, rel=0.03)
        assert getattr(prediction.anatomy, f"{name}_mm2") == pytest.approx(area * 0.16)
        with pytest.raises(ValueError, match="read-only"):
            mask[0, 0] = True
    columns = np.arange(600)
    centre = {name: (mask * columns).sum() / mask.sum() for name, mask in prediction.masks.items()}
    assert centre["right_lung"] < centre["heart"] < centre["left_lung"]  # the patient's left is on the image's right


def test_heatmaps_by_label(model: cxredge.Model, scan: Path) -> None:
    prediction = model.predict(scan)
    assert list(prediction.heatmaps) == list(cxredge.LABELS)
    assert prediction.heatmaps["Mass"].shape == (14, 7, 7)[1:]
    assert prediction.heatmap("Mass").shape == (700, 600)
    with pytest.raises(ValueError, match="read-only"):
        prediction.heatmaps["Mass"][0, 0] = 1
    with pytest.raises(KeyError):
        prediction.heatmap("Fracture")


def test_pictures(model: cxredge.Model, scan: Path) -> None:
    prediction = model.predict(scan)
    image = prediction.image()
    assert image.shape == (700, 600)
    assert image.dtype == np.uint8
    expected = np.clip((draw_phantom(700, 600) - 2047.5) / 4095.0 + 0.5, 0, 1) * 255
    assert np.abs(image - expected).max() <= 0.51
    assert max(prediction.image(100).shape) == 100
    for side in (0, -5):
        with pytest.raises(cxredge.UsageError):
            prediction.image(side)
    overlay = prediction.overlay()
    assert overlay.mode == "RGB"
    assert np.asarray(overlay)[..., 0].std() > 0


def test_a_file_that_changed_gives_no_picture_of_another_image(model: cxredge.Model, tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", draw_phantom(300, 300), window=(2048, 4096))
    prediction = model.predict(path)
    write_dicom(path, draw_phantom(310, 300, seed=5), window=(2048, 4096))
    with pytest.raises(cxredge.InputError) as caught:
        prediction.overlay()
    assert caught.value.code is Code.FILE_CHANGED


def test_an_empty_name_is_not_the_default(
    model: cxredge.Model, scan: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable of a script that was never set must not choose for its user."""
    monkeypatch.setenv("CXREDGE_BUNDLE", str(tiny_bundle))
    with pytest.raises(cxredge.BundleError) as caught:
        cxredge.load("")
    assert caught.value.code is Code.BUNDLE_NOT_FOUND
    with pytest.raises(cxredge.BundleError) as caught:
        model.predict(scan, operating_point="")
    assert caught.value.code is Code.OPERATING_POINT_UNKNOWN


def test_a_closed_file_object_is_no_missing_file(model: cxredge.Model, scan: Path) -> None:
    with scan.open("rb") as file:
        pass
    with pytest.raises(cxredge.InputError, match="closed") as caught:
        model.predict(file)
    assert caught.value.code is Code.FILE_UNREADABLE


def test_an_open_data_set_is_not_quoted_in_warnings(
    model: cxredge.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """pydicom warns of an ill-formed value with the value in it, to the warnings and to its log."""
    path = write_dicom(tmp_path / "a.dcm", draw_phantom(300, 300), tags={"SOPInstanceUID": "1.2.3.4.5.6.7"})
    path.write_bytes(path.read_bytes().replace(b"1.2.3.4.5.6.7", b"MARY^OF^LODZ."))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        prediction = model.predict(pydicom.dcmread(path))
    assert "MARY" not in prediction.to_json()
    assert [str(item.message) for item in seen] == []
    assert "MARY" not in caplog.text


def test_operating_points(model: cxredge.Model, scan: Path) -> None:
    screening = model.predict(scan, operating_point="screening")
    assert {finding.threshold for finding in screening.findings} == {0.3}
    assert {finding.operating_point for finding in screening.findings} == {"screening"}
    for finding in screening.findings:
        assert finding.positive == (finding.probability >= 0.3)
    np.testing.assert_array_equal(probabilities(screening), probabilities(model.predict(scan)))
    with pytest.raises(cxredge.BundleError) as caught:
        model.predict(scan, operating_point="lucky")
    assert caught.value.code is Code.OPERATING_POINT_UNKNOWN


def test_an_abstention_is_an_answer(model: cxredge.Model, tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "ct.dcm", draw_phantom(300, 300), tags={"Modality": "CT"})
    prediction = model.predict(path)
    assert prediction.status == "abstained"
    assert prediction.reason is not None
    assert (prediction.reason.code, prediction.reason.tag) == (Code.WRONG_MODALITY, "(0008,0060)")
    assert prediction.findings == ()
    assert prediction.ran is None
    assert dict(prediction.masks) == {}
    assert prediction.input.path == str(path)


def test_implausible_lungs_abstain_with_the_picture_at_hand(model: cxredge.Model) -> None:
    """Bright everywhere but in one corner: there are no lungs in it."""
    image = np.full((400, 400), 0.95, np.float32)
    image[:40, :40] = 0.0
    prediction = model.predict(image)
    assert prediction.status == "abstained"
    assert prediction.reason is not None
    assert prediction.reason.code is Code.IMPLAUSIBLE_LUNGS
    assert prediction.findings == ()
    assert prediction.ran is not None
    assert prediction.image().shape == (400, 400)


def test_what_was_seen_before_an_abstention_is_told(model: cxredge.Model, tmp_path: Path) -> None:
    """A blank image without view and body part: the reason, and both warnings."""
    tags = dict.fromkeys(("BodyPartExamined", "ViewPosition", "PatientOrientation"))  # None leaves them out
    prediction = model.predict(write_dicom(tmp_path / "blank.dcm", np.full((300, 300), 7, np.uint16), tags=tags))
    assert prediction.reason is not None
    assert prediction.reason.code is Code.BLANK_IMAGE
    assert {Code.VIEW_UNKNOWN, Code.BODY_PART_UNKNOWN} <= {warning.code for warning in prediction.warnings}


def test_a_broken_file_raises_its_code(model: cxredge.Model, tmp_path: Path) -> None:
    with pytest.raises(cxredge.InputError) as caught:
        model.predict(tmp_path / "missing.dcm")
    assert caught.value.code is Code.FILE_NOT_FOUND


def test_many_in_order_with_bad_ones_among_them(model: cxredge.Model, scan: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    ct = write_dicom(tmp_path / "ct.dcm", draw_phantom(300, 300), tags={"Modality": "CT"})
    sources = [scan, text, draw_phantom(300, 280).astype(np.float32) / 4095, ct, scan, tmp_path / "missing"]
    for batch_size in (1, 2, 5):
        answers = list(model.predict_many(sources, batch_size=batch_size, workers=2))
        assert [a.status for a in answers] == ["ok", "error", "ok", "abstained", "ok", "error"]
        codes = [a.reason.code for a in answers if a.reason]
        assert codes == [Code.NOT_AN_IMAGE, Code.WRONG_MODALITY, Code.FILE_NOT_FOUND]
        assert answers[1].input.path == str(text)
        one = model.predict(scan)
        np.testing.assert_allclose(probabilities(answers[0]), probabilities(one), atol=1e-6)
        np.testing.assert_allclose(probabilities(answers[4]), probabilities(one), atol=1e-6)


def test_one_model_in_several_threads(model: cxredge.Model, scan: Path) -> None:
    images = [(draw_phantom(300, 280, seed=seed) / 4095).astype(np.float32) for seed in range(4)]
    expected = [probabilities(model.predict(image)) for image in images]

    def work(index: int) -> None:
        np.testing.assert_array_equal(probabilities(model.predict(images[index % 4])), expected[index % 4])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))


def test_the_gate_abstains(gated_bundle: Path, scan: Path) -> None:
    with cxredge.load(gated_bundle, engine="onnxruntime") as model:
        upright = model.predict(scan)
        assert upright.gate is not None
        limits = model.manifest.gate
        assert limits is not None
        values = (upright.gate.not_chest, upright.gate.inverted, upright.gate.turned)
        refused = any(v >= t for v, t in zip(values, (limits.not_chest, limits.inverted, limits.turned), strict=True))
        assert (upright.status == "abstained") == refused


def test_no_bundle_says_so_and_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXREDGE_BUNDLE", raising=False)
    monkeypatch.setattr("cxredge.pipeline.EMBEDDED", tmp_path / "a build without it")
    with pytest.raises(cxredge.BundleError, match=r"--bundle.*docs/bundles\.md") as caught:
        cxredge.load()
    assert caught.value.code is Code.NO_BUNDLE


def test_the_variable_names_the_bundle(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> None:
    monkeypatch.setenv("CXREDGE_BUNDLE", str(tiny_bundle))
    with cxredge.load(engine="onnxruntime", precision="fp32") as model:
        assert model.manifest.name == "tiny-test"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"engine": "abacus"}, Code.ENGINE_UNKNOWN),
        ({"engine": "onnxruntime", "precision": "fp16"}, Code.PRECISION_NOT_IN_BUNDLE),
        ({"engine": "onnxruntime", "device": "npu"}, Code.DEVICE_MISSING),
        ({"operating_point": "lucky"}, Code.OPERATING_POINT_UNKNOWN),
        ({"threads": 0}, Code.BAD_ARGUMENT),
    ],
)
def test_what_cannot_be_had_is_refused(tiny_bundle: Path, asked: dict[str, object], code: Code) -> None:
    with pytest.raises(cxredge.CxredgeError) as caught:
        cxredge.load(tiny_bundle, **asked)  # type: ignore[arg-type]
    assert caught.value.code is code


def test_real_twins_score_the_same(model: cxredge.Model, shared_data: Path) -> None:
    """Pixels inverted and the tag changed to MONOCHROME1, from every radiograph that is read."""
    from tests.support.twins import inverted_twin

    compared = 0
    for path in sorted((shared_data / "dicom" / "radiographs").iterdir()):
        try:
            plain = model.predict(path)
        except cxredge.InputError:
            continue
        if plain.status != "ok":
            continue
        twin = model.predict(inverted_twin(path))
        np.testing.assert_allclose(probabilities(twin), probabilities(plain), atol=1e-4, err_msg=path.name)
        compared += 1
    assert compared >= 4


@pytest.mark.parametrize("folder", ["radiographs", "other", "broken"])
def test_every_shared_file_is_answered(model: cxredge.Model, shared_data: Path, folder: str) -> None:
    paths = sorted((shared_data / "dicom" / folder).iterdir())
    answers = list(model.predict_many(paths, workers=2))
    assert len(answers) == len(paths)
    reasons = {a.reason.code for a in answers if a.reason}
    assert Code.INTERNAL not in reasons
    if folder == "other":
        assert {a.status for a in answers} == {"abstained", "error"}
    schema = json_schema()
    for answer in answers:
        jsonschema.validate(json.loads(answer.to_json()), schema)


def test_memory_does_not_grow_with_the_inputs(model: cxredge.Model, scan: Path) -> None:
    """Resident memory after 300 more predictions stands where it stood."""
    psutil = pytest.importorskip("psutil", reason="reads the process's memory")
    process = psutil.Process(os.getpid())
    for _ in model.predict_many([scan] * 50, workers=2):
        pass
    before = process.memory_info().rss
    for _ in model.predict_many([scan] * 300, workers=2):
        pass
    assert process.memory_info().rss - before < 16 << 20
