"""The overlay: what is drawn where, what the caption says, and that neither hides the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from cxredge.errors import Code, UsageError
from cxredge.report.overlay import draw_overlay
from cxredge.report.style import COLOURS, rgb
from cxredge.result import STRUCTURES, BundleFacts, Notice, Record
from tests.support.records import evidence_of, findings, image_of, masks_of, ok_record, refused_record


@dataclass
class Said:
    text: str
    box: tuple[float, float, float, float]
    sheet: tuple[int, int]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Said]:
    """Every text that is drawn, with where it landed on which canvas."""
    texts: list[Said] = []
    draw = ImageDraw.ImageDraw.text

    def record(
        self: ImageDraw.ImageDraw,
        xy: tuple[float, float],
        text: str,
        fill: object = None,
        font: ImageFont.FreeTypeFont | None = None,
        anchor: str | None = None,
    ) -> None:
        texts.append(Said(text, self.textbbox(xy, text, font, anchor), self.im.size))
        draw(self, xy, text, fill, font, anchor)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", record)
    return texts


def words(texts: list[Said]) -> str:
    return " ".join(item.text for item in texts)


def pixels(picture: Image.Image, rows: int, columns: int) -> npt.NDArray[np.int64]:
    return np.asarray(picture, dtype=np.int64)[:rows, :columns]


@pytest.mark.parametrize(("rows", "columns"), [(1024, 839), (700, 1400)])
def test_the_image_is_there_untouched_where_nothing_is_drawn(rows: int, columns: int) -> None:
    image = image_of(rows, columns)
    sheet = draw_overlay(image, ok_record())
    assert sheet.mode == "RGB"
    np.testing.assert_array_equal(pixels(sheet, rows, columns), np.repeat(image[..., None], 3, axis=2))
    assert sheet.width > columns or sheet.height > rows, "there is no room for the caption"


def test_outlines_are_thin_and_on_the_borders() -> None:
    rows, columns = 1024, 839
    image, masks = image_of(rows, columns), masks_of(rows, columns)
    sheet = draw_overlay(image, ok_record(), masks)
    changed = (pixels(sheet, rows, columns) != image[..., None]).any(axis=2)
    border = np.zeros((rows, columns), bool)
    for mask in masks.values():
        border |= mask & ~ndimage.binary_erosion(mask)
    away = ndimage.distance_transform_edt(~border)
    assert away[changed].max() < 6
    assert ndimage.distance_transform_edt(~changed)[border].max() < 4, "a border without a line"
    assert changed.sum() < 7 * border.sum(), "lines are too thick"


@pytest.mark.parametrize("structure", STRUCTURES)
def test_each_outline_has_its_own_colour_and_a_soft_edge(structure: str) -> None:
    image = np.full((800, 800), 128, np.uint8)
    masks = {structure: masks_of(800, 800)[structure]}
    area = pixels(draw_overlay(image, ok_record(), masks), 800, 800).reshape(-1, 3)
    drawn = area[(area != 128).any(axis=1)]
    assert (drawn == rgb(COLOURS[structure])).all(axis=1).sum() > 300
    assert len(np.unique(drawn, axis=0)) > 20, "the line is not antialiased"


def test_heat_colours_the_evidence_and_shows_the_anatomy() -> None:
    rows = columns = 700
    image = (np.indices((rows, columns)).sum(axis=0) % 2 * 60 + 80).astype(np.uint8)  # a contrast of 60 everywhere
    evidence = evidence_of(rows, columns, (0.5, 0.5))
    area = pixels(draw_overlay(image, ok_record(), None, ("Effusion", evidence)), rows, columns)
    assert (area[evidence < 0.05] == image[evidence < 0.05][:, None]).all()
    hot = area[345:355, 345:355]
    assert hot[..., 0].mean() > hot[..., 2].mean() + 40, "no colour where the evidence is strongest"
    contrast = np.abs(np.diff(hot, axis=1))
    assert contrast.min() >= 0.5 * 60, "the heat map hides the image"


def test_small_images_are_enlarged_by_a_whole_factor(said: list[Said]) -> None:
    image = image_of(256, 200)
    sheet = draw_overlay(image, ok_record(), masks_of(256, 200), ("Effusion", evidence_of(256, 200)))
    assert sheet.height >= 768 and sheet.width > 600
    assert min(item.box[3] - item.box[1] for item in said if item.text == "Effusion") >= 8, "unreadable"


def test_the_caption_says_what_matters_positives_first(said: list[Said]) -> None:
    record = ok_record()
    draw_overlay(image_of(800, 700), record, masks_of(800, 700), ("Effusion", evidence_of(800, 700)))
    texts, all_words = [item.text for item in said], words(said)
    named = [text for text in texts if text in {"Effusion", "Cardiomegaly", "Pneumonia", "Hernia", "Atelectasis"}]
    assert named == ["Effusion", "Cardiomegaly", "Pneumonia", "Hernia", "Atelectasis"]
    for needed in ("0.81 / 0.40", "0.3996 / 0.4000", "0.52", "tiny-test 1.0.0", "onnxruntime 1.23.0, cpu, fp32"):
        assert needed in texts
    for needed in (
        "balanced",
        "Left lung",
        "Right lung",
        "Heart",
        "Heat map: Effusion",
        *(w.message for w in record.warnings),
    ):
        assert needed in all_words
    assert "Demonstration, not for diagnosis" in all_words
    assert sum(" / 0.4" in text for text in texts) == 14


def test_the_key_names_only_what_is_drawn(said: list[Said]) -> None:
    masks = masks_of(800, 700) | {"heart": np.zeros((800, 700), bool)}
    draw_overlay(image_of(800, 700), ok_record(), masks)
    assert "Left lung" in words(said) and "Heart" not in words(said) and "Heat map" not in words(said)


def test_a_clinical_bundle_carries_no_demonstration_banner(said: list[Said]) -> None:
    draw_overlay(image_of(800, 700), ok_record(clinical=True))
    assert "Demonstration" not in words(said)


def test_no_positive_finding_is_said_in_words(said: list[Said]) -> None:
    draw_overlay(image_of(800, 700), ok_record(findings=findings({})))
    assert "No finding reaches its threshold" in words(said)


@pytest.mark.parametrize("status", ["abstained", "error"])
def test_without_a_result_the_reason_stands_there_and_nothing_is_drawn(status: str, said: list[Said]) -> None:
    image, record = image_of(700, 700), refused_record(status)
    sheet = draw_overlay(image, record, masks_of(700, 700), ("Effusion", evidence_of(700, 700)))
    np.testing.assert_array_equal(pixels(sheet, 700, 700), np.repeat(image[..., None], 3, axis=2))
    assert record.reason is not None
    assert record.reason.message in words(said) and record.reason.code in words(said)
    assert "/ 0.4" not in words(said) and "Left lung" not in words(said)


def test_no_path_and_no_uid_in_a_picture(said: list[Said]) -> None:
    draw_overlay(image_of(700, 700), ok_record())
    assert "scan.dcm" not in words(said) and "1.2.826" not in words(said)


def hostile() -> Record:
    bundle = BundleFacts(name="a\nb\x00\u202e" + "w" * 200, version="\u80f8", sha256="0" * 64, clinical=False)
    long = Notice(code=Code.NO_WINDOW, message="x" * 300 + " and " + "word " * 60)
    return ok_record(bundle=bundle, warnings=(long,), findings=findings(point="p" * 80))


@pytest.mark.parametrize(
    ("rows", "columns"), [(256, 256), (3000, 2500), (32, 900), (900, 32), (400, 3000), (33, 33), (640, 801)]
)
@pytest.mark.parametrize("make", [ok_record, hostile])
def test_no_text_leaves_the_caption_at_any_size(rows: int, columns: int, make: object, said: list[Said]) -> None:
    record = make()  # type: ignore[operator]
    draw_overlay(np.zeros((rows, columns), np.uint8), record, None, ("Effusion", np.zeros((rows, columns), np.float32)))
    assert len(said) > 20
    for item in said:
        left, top, right, bottom = item.box
        assert left >= 0 and top >= 0 and right <= item.sheet[0] and bottom <= item.sheet[1], item


@pytest.mark.parametrize(
    ("image", "masks", "heatmap"),
    [
        (np.zeros((40, 40, 3), np.uint8), None, None),
        (np.zeros((40, 40), np.uint16), None, None),
        (np.zeros((0, 40), np.uint8), None, None),
        (np.zeros((40, 40), np.uint8), {"heart": np.zeros((20, 20), bool)}, None),
        (np.zeros((40, 40), np.uint8), {"heart": np.zeros((40, 40), np.uint8)}, None),
        (np.zeros((40, 40), np.uint8), None, ("Mass", np.zeros((20, 20), np.float32))),
        (np.zeros((40, 40), np.uint8), None, ("Mass", np.full((40, 40), np.nan, np.float32))),
    ],
)
def test_what_does_not_fit_is_refused(image: object, masks: object, heatmap: object) -> None:
    with pytest.raises(UsageError) as caught:
        draw_overlay(image, ok_record(), masks, heatmap)  # type: ignore[arg-type]
    assert caught.value.code is Code.BAD_ARGUMENT
