"""Segmentation, picture and presentation state, read back by highdicom, DCMTK and Pillow."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydicom import dcmread

import cxredge
from cxredge.dicom_out import results_as_dicom
from cxredge.dicom_out.presentation import _polyline
from cxredge.errors import Code, InputError
from tests.dicom_out.conftest import Made, make
from tests.support.dicom_files import dicom_bytes
from tests.support.filed import FILED, complaints, filed_bytes, run_tool
from tests.support.phantom import draw_phantom


def test_segments_are_the_masks(made: Made) -> None:
    segmentation = hd.seg.segread(made.files["seg"])
    masks = made.prediction.masks
    assert (segmentation.Rows, segmentation.Columns) == (480, 400)
    assert [segmentation.get_segment_description(n).segment_label for n in (1, 2, 3)] == [
        "Left lung",
        "Right lung",
        "Heart",
    ]
    pixels = segmentation.get_pixels_by_source_instance([made.prediction.input.sop_instance_uid])
    for place, name in enumerate(("left_lung", "right_lung", "heart")):
        np.testing.assert_array_equal(pixels[0, :, :, place], masks[name])
    assert "FrameOfReferenceUID" not in segmentation
    assert segmentation.PatientOrientation == ["L", "F"]
    kinds = [item.SegmentedPropertyTypeCodeSequence[0] for item in segmentation.SegmentSequence]
    assert [kind.CodeMeaning for kind in kinds] == ["Lung", "Lung", "Heart"]
    sides = [kind.get("SegmentedPropertyTypeModifierCodeSequence", [None])[0] for kind in kinds]
    assert [side.CodeMeaning if side else None for side in sides] == ["Left", "Right", None]


def test_a_frame_of_reference_without_a_position_is_not_taken_over(model: cxredge.Model, tmp_path: Path) -> None:
    source = filed_bytes(tags={"FrameOfReferenceUID": "1.2.3.4", "PositionReferenceIndicator": ""})
    made = make(model, source, tmp_path, kinds=["seg"])
    assert "FrameOfReferenceUID" not in made.datasets["seg"]


@pytest.mark.parametrize("shape", [(480, 400), (420, 560), (64, 48), (1700, 1400)], ids=str)
def test_the_picture_is_the_overlay(model: cxredge.Model, tmp_path: Path, shape: tuple[int, int]) -> None:
    """DCMTK reads from the object, pixel for pixel, what Pillow drew."""
    made = make(model, filed_bytes(*shape), tmp_path, kinds=["sc"])
    run_tool("dcmj2pnm", "--write-raw-pnm", made.files["sc"], tmp_path / "out.ppm")
    drawn = np.asarray(made.prediction.overlay())
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.ppm")), drawn)
    assert min(drawn.shape[:2]) >= 400  # a small film is enlarged: text needs the room


def test_the_picture_is_no_radiograph(made: Made) -> None:
    picture = made.datasets["sc"]
    assert (picture.Modality, picture.BurnedInAnnotation, picture.ConversionType) == ("OT", "YES", "WSD")
    assert picture.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert "not for diagnosis" in picture.DerivationDescription
    assert picture.SourceImageSequence[0].ReferencedSOPInstanceUID == made.prediction.input.sop_instance_uid


def test_once_lossy_always_lossy(model: cxredge.Model, tmp_path: Path) -> None:
    lossy = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": ["12.5", "3"],
        "LossyImageCompressionMethod": ["ISO_10918_1", "ISO_15444_1"],
    }
    made = make(model, filed_bytes(tags=lossy), tmp_path, kinds=["seg", "sc"])
    for kind, path in made.files.items():
        assert complaints(path) == []
        written = dcmread(path)
        assert written.LossyImageCompression == "01", kind
        assert written.LossyImageCompressionRatio == [12.5, 3]
        assert written.LossyImageCompressionMethod == lossy["LossyImageCompressionMethod"]


def polygons(state: object, layer: str) -> list[np.ndarray]:
    """The closed polylines of one layer, as (n, 2) of column and row."""
    (annotation,) = [item for item in state.GraphicAnnotationSequence if item.GraphicLayer == layer]  # type: ignore[attr-defined]
    found = []
    for item in annotation.GraphicObjectSequence:
        assert (item.GraphicType, item.GraphicAnnotationUnits, item.GraphicFilled) == ("POLYLINE", "PIXEL", "N")
        points = np.array(item.GraphicData).reshape(-1, 2)
        assert len(points) == item.NumberOfGraphicPoints
        np.testing.assert_array_equal(points[0], points[-1])
        found.append(points)
    return found


@pytest.mark.parametrize("shape", [(480, 400), (1700, 1400)], ids=str)
def test_the_vectors_go_around_the_masks(model: cxredge.Model, tmp_path: Path, shape: tuple[int, int]) -> None:
    """Filled by Pillow at twice the size, the outlines cover the masks."""
    made = make(model, filed_bytes(*shape), tmp_path, kinds=["pr"])
    state = dcmread(made.files["pr"])
    for name in ("left_lung", "right_lung", "heart"):
        mask, zoom = made.prediction.masks[name], 2
        canvas = Image.new("1", (shape[1] * zoom, shape[0] * zoom))
        pen = ImageDraw.Draw(canvas)
        for points in polygons(state, name.upper()):
            assert points.min() >= 0
            assert (points <= (shape[1], shape[0])).all()
            pen.polygon([(float(x) * zoom, float(y) * zoom) for x, y in points], fill=1)
        filled = np.asarray(canvas).reshape(shape[0], zoom, shape[1], zoom).mean(axis=(1, 3)) > 0.5
        assert 2 * (filled & mask).sum() / (filled.sum() + mask.sum()) > 0.98


def test_layers_and_the_notice(made: Made) -> None:
    state = dcmread(made.files["pr"])
    layers = {item.GraphicLayer: item.GraphicLayerOrder for item in state.GraphicLayerSequence}
    assert layers == {"LEFT_LUNG": 1, "RIGHT_LUNG": 2, "HEART": 3, "NOTICE": 4}
    colours = [item.GraphicLayerRecommendedDisplayCIELabValue for item in state.GraphicLayerSequence]
    assert len({tuple(colour) for colour in colours}) == 4
    (text,) = state.GraphicAnnotationSequence[-1].TextObjectSequence
    assert "not for diagnosis" in text.UnformattedTextValue
    area = state.DisplayedAreaSelectionSequence[0]
    assert area.DisplayedAreaBottomRightHandCorner == [400, 480]


WINDOW = {"RescaleIntercept": "-100", "RescaleSlope": "2", "RescaleType": "US"}


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize(
    ("window", "tags"),
    [
        ((2048.0, 4096.0), {}),
        ((1500.0, 1200.0), {}),
        ((3000.5, 2500.25), WINDOW),
        (None, {"VOILUTSequence": "table"}),
    ],
    ids=["full", "narrow", "rescaled", "table"],
)
def test_the_state_shows_the_image_as_cxredge_reads_it(
    model: cxredge.Model,
    tmp_path: Path,
    photometric: str,
    window: tuple[float, float] | None,
    tags: dict[str, object],
) -> None:
    """DCMTK renders the image through the state: polarity, modality step and window are those of our own picture."""
    source = filed_bytes(photometric=photometric, window=window, tags=with_table(tags))
    (tmp_path / "image.dcm").write_bytes(source)
    made = make(model, source, tmp_path, kinds=["pr"])
    run_tool("dcmp2pgm", "-p", made.files["pr"], tmp_path / "image.dcm", tmp_path / "out.pgm")
    shown = np.asarray(Image.open(tmp_path / "out.pgm")).astype(int)
    ours = made.prediction.image().astype(int)
    difference = np.abs(shown - ours)
    assert difference.mean() < 1.0
    assert np.quantile(difference, 0.99) <= 2


def with_table(tags: dict[str, object]) -> dict[str, object]:
    """A VOI lookup table with a bend, in place of the word."""
    if "VOILUTSequence" not in tags:
        return tags
    from pydicom import Dataset

    item = Dataset()
    item.add_new(0x00283002, "US", [4096, 0, 12])
    item.add_new(0x00283006, "US", [min(4095, round((value / 4095) ** 1.5 * 4095)) for value in range(4096)])
    return {"VOILUTSequence": [item]}


def test_a_window_that_is_no_line(model: cxredge.Model, tmp_path: Path) -> None:
    """DCMTK's states know lines only, so here the attribute has to do."""
    made = make(model, filed_bytes(tags={"VOILUTFunction": "SIGMOID"}), tmp_path, kinds=["pr"])
    (voi,) = made.datasets["pr"].SoftcopyVOILUTSequence
    assert (voi.VOILUTFunction, voi.WindowCenter, voi.WindowWidth) == ("SIGMOID", 2048, 4096)


def test_an_outline_of_very_many_points_still_fits_its_attribute() -> None:
    """A value whose length has 16 bits holds 65534 bytes; the outline stays where it was."""
    turn = np.linspace(0, 2 * np.pi, 40_000, endpoint=False)
    radius = 900 + 3 * np.sin(400 * turn)
    loop = np.column_stack([1000 + radius * np.cos(turn), 1000 + radius * np.sin(turn)])
    drawn = np.array(_polyline(loop, 2000, 2000).GraphicData).reshape(-1, 2)
    assert 1000 < len(drawn) <= 4001
    np.testing.assert_array_equal(drawn[0], drawn[-1])
    assert np.abs(np.hypot(*(drawn - 1000).T) - 900).max() < 3.5


def test_no_state_for_an_image_stored_in_colour(model: cxredge.Model) -> None:
    """Grey in three equal channels is read; a grey presentation state cannot be put over it, and that is said."""
    grey = (draw_phantom(480, 400) >> 4).astype(np.uint8)
    source = dicom_bytes(np.stack([grey] * 3, axis=-1), photometric="RGB", tags=FILED | {"PixelSpacing": None})
    answer = model.predict(source)
    assert answer.status == "ok"
    assert [result.kind for result in results_as_dicom(answer, source, ["seg", "sc"])] == ["seg", "sc"]
    with pytest.raises(InputError) as caught:
        results_as_dicom(answer, source, ["pr"])
    assert (caught.value.code, caught.value.tag) == (Code.DICOM_SOURCE, "(0028,0002)")


def test_pixels_that_are_not_square(model: cxredge.Model, tmp_path: Path) -> None:
    source = filed_bytes(tags={"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": None})
    made = make(model, source, tmp_path, kinds=["pr"])
    assert made.datasets["pr"].DisplayedAreaSelectionSequence[0].PresentationPixelAspectRatio == [1500, 1000]
