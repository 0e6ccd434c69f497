"""Each data set as its maker ships it: what is read, and what is named when it is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxredge.errors import Code, UsageError
from cxredge.pixels import Geometry, Percentiles
from cxredge.result import LABELS
from tests.support import drawn_sets as drawn
from training.data import Case, Collection, MaskSource, open_collection, size_of, split_of
from training.data.cases import labels_of
from training.data.planes import plane_of, planes_of_masks
from training.errors import DataError, Problem


def at(case: Case, label: str) -> float:
    return case.labels[LABELS.index(label)]


def by_name(collection: Collection, stem: str) -> Case:
    return next(case for case in collection.cases if case.path.stem == stem)


# ChestX-ray14


def test_chestxray14_as_it_is_shipped(tmp_path: Path) -> None:
    found = open_collection("chestxray14", drawn.write_chestxray14(tmp_path))
    assert (len(found.cases), len(found.patients())) == (12, 10)
    for case, (name, labels, patient) in zip(found.cases, drawn.CHESTXRAY14, strict=True):
        wanted = set() if labels == "No Finding" else set(labels.split("|"))
        assert {label for label in LABELS if at(case, label) == 1} == wanted
        assert (case.path.name, case.patient) == (name, f"chestxray14:{patient}")
    assert found.official and found.shippable
    assert {fold: len(indices) for fold, indices in found.folds.items()} == {"train_val": 9, "test": 3}
    # `058Y` of the first release, and its ages of hundreds of years.
    assert found.cases[0].age == 58 and found.cases[3].age is None
    assert found.notes == ("1 ages over 120 years were left out",)
    # The file's lines, as an editor counts them: the header is line 1.
    assert found.cases[0].row == 2 and found.cases[0].table == tmp_path / "Data_Entry_2017.csv"


def test_chestxray14_boxes_are_fractions_of_1024(tmp_path: Path) -> None:
    found = open_collection("chestxray14", drawn.write_chestxray14(tmp_path))
    (box,) = by_name(found, "00000005_000").boxes
    assert box.label == "Infiltration"  # the list writes Infiltrate
    assert (box.left, box.top, box.right, box.bottom) == (0.25, 0.5, (256 + 128.5) / 1024, (512 + 64.25) / 1024)
    (cut,) = by_name(found, "00000010_001").boxes
    assert cut.right == 1.0  # 900 + 200 lies beyond the image


def test_chestxray14_grey_picture_with_four_channels(tmp_path: Path) -> None:
    """Some of the set's files are RGBA: grey all the same, and seen as the plain file is."""
    found = open_collection("chestxray14", drawn.write_chestxray14(tmp_path))
    case = by_name(found, "00000002_000")
    assert Image.open(case.path).mode == "RGBA"
    plane = plane_of(case, Geometry(drawn.SIDE, drawn.SIDE), Percentiles())
    assert np.abs(plane - drawn.chest(2) / 255.0).max() < 1e-6
    assert size_of(case) == (drawn.SIDE, drawn.SIDE)
    coloured = np.asarray(Image.open(case.path)).copy()
    coloured[5, 5, 0] ^= 64
    Image.fromarray(coloured).save(case.path)
    with pytest.raises(DataError) as caught:
        plane_of(case, Geometry(32, 32), Percentiles())
    assert (caught.value.problem, caught.value.code, caught.value.row) == (Problem.UNREADABLE, Code.COLOR_IMAGE, 4)


def test_chestxray14_partly_fetched(tmp_path: Path) -> None:
    drawn.write_chestxray14(tmp_path)
    (tmp_path / "images_002" / "images" / "00000001_001.png").unlink()
    with pytest.raises(DataError, match=r"Data_Entry_2017\.csv, line 3: 00000001_001\.png") as caught:
        open_collection("chestxray14", tmp_path)
    assert caught.value.problem is Problem.MISSING_IMAGE
    found = open_collection("chestxray14", tmp_path, partial=True)
    assert len(found.cases) == 11
    assert not found.official and "partial: 11 of 12" in found.name
    assert "unofficial" in split_of(found).name


Edit = Callable[[str], str]


def replaced(old: str, new: str) -> Edit:
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


CHESTXRAY14_FAULTS: dict[str, tuple[str, Edit, Problem, int | None, str]] = {
    "a label that is none": (
        "Data_Entry_2017.csv", replaced("|Nodule|", "|Nodul|"), Problem.UNKNOWN_LABEL, 6, "'Nodul'",
    ),
    "an image in two rows": (
        "Data_Entry_2017.csv", replaced("00000002_000.png", "00000001_000.png"), Problem.DUPLICATE, 4, "line 2",
    ),
    "a patient that is not a number": (
        "Data_Entry_2017.csv", replaced(",0,3,", ",0,nan,"), Problem.VALUE, 5, "Patient ID is nan",
    ),
    "no finding and a finding": (
        "Data_Entry_2017.csv", replaced("No Finding", "No Finding|Mass"), Problem.VALUE, 4, "something else",
    ),
    "a column that is gone": (
        "Data_Entry_2017.csv", replaced("Finding Labels", "Labels"), Problem.TABLE, 1, "'Finding Labels'",
    ),
    "a row that is cut off": (
        "Data_Entry_2017.csv", replaced("Mass|Nodule|Pleural_Thickening,0,4,57", "Mass\n#"),
        Problem.TABLE, 6, "2 fields",
    ),
    "a list that names an unknown image": (
        "test_list.txt", replaced("00000010_000.png", "00000011_000.png"), Problem.MISSING_IMAGE, 2, "00000011_000.png",
    ),
    "an image in both lists": (
        "test_list.txt", replaced("00000010_000.png", "00000001_000.png"), Problem.DUPLICATE, 2, "train_val_list.txt",
    ),
    "an image in neither list": (
        "test_list.txt", replaced("00000010_000.png\n", ""), Problem.SPLIT, None, "00000010_000.png",
    ),
    "a box of not-a-number": (
        "BBox_List_2017.csv", replaced("256.0", "nan"), Problem.VALUE, 2, "x is nan",
    ),
    "a box of an unknown label": (
        "BBox_List_2017.csv", replaced("Infiltrate", "Lump"), Problem.UNKNOWN_LABEL, 2, "'Lump'",
    ),
    "an empty box": (
        "BBox_List_2017.csv", replaced("128.5", "0"), Problem.VALUE, 2, "empty",
    ),
    "a box on an unknown image": (
        "BBox_List_2017.csv", replaced("00000005_000", "00000055_000"), Problem.MISSING_IMAGE, 2, "00000055_000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", CHESTXRAY14_FAULTS)
def test_chestxray14_faults_are_named(tmp_path: Path, fault: str) -> None:
    name, edit, problem, row, text = CHESTXRAY14_FAULTS[fault]
    file = drawn.write_chestxray14(tmp_path) / name
    file.write_text(edit(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        open_collection("chestxray14", tmp_path)
    error = caught.value
    assert (error.problem, error.row) == (problem, row), str(error)
    assert text in error.message
    if row is not None:
        assert error.file == file and f"{name}, line {row}" in error.message


def test_lists_that_share_a_patient_are_refused(tmp_path: Path) -> None:
    drawn.write_chestxray14(tmp_path)
    for name, edit in (
        ("test_list.txt", replaced("00000010_001.png", "")),
        ("train_val_list.txt", replaced("00000001_000.png", "00000001_000.png\n00000010_001.png")),
    ):
        (tmp_path / name).write_text(edit((tmp_path / name).read_text()), encoding="utf-8")
    with pytest.raises(DataError, match="chestxray14:10") as caught:
        split_of(open_collection("chestxray14", tmp_path))
    assert caught.value.problem is Problem.PATIENT_ON_BOTH_SIDES
    assert caught.value.file == tmp_path / "Data_Entry_2017.csv" and caught.value.row == 12


# CheXpert

NAN = math.nan
# Atelectasis Cardiomegaly Effusion Pneumonia Pneumothorax Consolidation Edema, of train's three frontal images
POLICIES: dict[str, tuple[tuple[float, ...], ...]] = {
    "ones": ((1, 1, 1, 1, 0, 1, 1), (0,) * 7, (1, 1, 1, 1, 1, 1, 1)),
    "zeros": ((0, 1, 0, 0, 0, 0, 0), (0,) * 7, (1, 0, 1, 1, 1, 1, 1)),
    "mixed": ((1, 1, 0, NAN, 0, 0, 1), (0,) * 7, (1, 0, 1, 1, 1, 1, 1)),
    "ignore": ((NAN, 1, NAN, NAN, 0, NAN, NAN), (0,) * 7, (1, NAN, 1, 1, 1, 1, 1)),
}
SEEN = ("Atelectasis", "Cardiomegaly", "Effusion", "Pneumonia", "Pneumothorax", "Consolidation", "Edema")


@pytest.mark.parametrize("policy", POLICIES)
def test_chexpert_policies(tmp_path: Path, policy: str) -> None:
    found = open_collection("chexpert", drawn.write_chexpert(tmp_path), uncertain=policy)
    values = [tuple(at(case, label) for label in SEEN) for case in found.cases[:3]]
    assert np.array_equal(values, POLICIES[policy], equal_nan=True)
    for case in found.cases:
        assert all(math.isnan(at(case, label)) for label in LABELS if label not in SEEN)


def test_chexpert_as_it_is_shipped(tmp_path: Path) -> None:
    found = open_collection("chexpert", drawn.write_chexpert(tmp_path))
    assert len(found.cases) == 4  # one of five is lateral
    assert found.notes == ("1 lateral images were left out",)
    assert [case.view for case in found.cases] == ["AP", "PA", "PA", "AP"]
    assert found.official and not found.shippable
    split = split_of(found, validation=0.34)
    assert (len(split.train), len(split.val), split.test) == (2, 1, (3,))
    blank = open_collection("chexpert", tmp_path, blank="unknown")
    assert all(math.isnan(value) for value in blank.cases[1].labels)


@pytest.mark.parametrize(
    ("edit", "problem", "row", "text"),
    [
        (replaced("-1.0,-1.0,-1.0,-1.0", "-2.0,-1.0,-1.0,-1.0"), Problem.VALUE, 2, "Edema is -2.0"),
        (replaced(",1.0,,,-1.0", ",nan,,,-1.0"), Problem.VALUE, 2, "Cardiomegaly is nan"),
        (replaced(",Lateral,,", ",Oblique,,"), Problem.VALUE, 3, "'Oblique'"),
        (replaced("Support Devices", "Devices"), Problem.TABLE, 1, "'Support Devices'"),
        (replaced("patient00003", "patient00009"), Problem.MISSING_IMAGE, 5, "patient00009"),
        (replaced("patient00002/", "../"), Problem.VALUE, 4, "names no patient"),
    ],
)
def test_chexpert_faults_are_named(tmp_path: Path, edit: Edit, problem: Problem, row: int, text: str) -> None:
    file = drawn.write_chexpert(tmp_path) / "train.csv"
    file.write_text(edit(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        open_collection("chexpert", tmp_path)
    assert (caught.value.problem, caught.value.row) == (problem, row), str(caught.value)
    assert text in caught.value.message and "train.csv" in caught.value.message


# JSRT, Montgomery, Shenzhen


@pytest.fixture(scope="module")
def jsrt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn.write_jsrt(tmp_path_factory.mktemp("jsrt"))


def test_jsrt_pixels_against_numpy(jsrt: Path) -> None:
    """Big-endian words, inverted, percentiles of what is there, averaged: as NumPy does it in float64."""
    found = open_collection("jsrt", jsrt)
    plane = plane_of(found.cases[0], Geometry(64, 64), Percentiles())
    display = 4095.0 - drawn.jsrt_stored(0)
    low, high = np.percentile(display[::4, ::4], [0.5, 99.5])  # the file is a drawing with every pixel four times
    grey = np.clip((display - low) / (high - low), 0, 1)
    assert np.abs(plane - grey.reshape(64, 32, 64, 32).mean((1, 3))).max() < 2e-3
    assert size_of(found.cases[0]) == (2048, 2048)
    assert plane[32, 32] > plane[32, 18]  # the mediastinum is brighter than a lung


def test_jsrt_as_it_is_shipped(jsrt: Path) -> None:
    found = open_collection("jsrt", jsrt)
    assert [at(case, "Nodule") for case in found.cases] == [1, 1, 0]
    assert sum(math.isnan(value) for value in found.cases[0].labels) == 13
    assert {fold: len(indices) for fold, indices in found.folds.items()} == {"fold1": 2, "fold2": 1}
    assert (found.cases[0].age, found.cases[0].sex, found.cases[1].age) == (53, "M", None)
    assert (found.cases[2].age, found.cases[2].sex) == (62, "F")
    (box,) = found.cases[0].boxes
    assert ((box.left + box.right) / 2 * 2048, (box.top + box.bottom) / 2 * 2048) == pytest.approx((1634, 692))
    assert (box.right - box.left) * 2048 * 0.175 == pytest.approx(15)


def test_jsrt_masks_lie_on_the_right_side(jsrt: Path) -> None:
    """Also where the files of left and right are exchanged; against the drawing's own masks."""
    found = open_collection("jsrt", jsrt)
    for seed in (0, 1):
        masks = planes_of_masks(found.cases[seed], Geometry(64, 64))
        wanted = drawn.draw_masks(1024, 1024, seed=seed).reshape(3, 64, 16, 64, 16).mean((2, 4))
        assert np.abs(masks - wanted).max() < 1e-6


@pytest.mark.parametrize("fault", ["order", "short", "blank", "no mask"])
def test_jsrt_faults_are_named(tmp_path: Path, fault: str) -> None:
    drawn.write_jsrt(tmp_path, ("JPCLN001",))
    image = tmp_path / "All247images" / "JPCLN001.IMG"
    if fault == "no mask":
        (tmp_path / "scratch/fold1/masks/heart/JPCLN001.gif").rename(tmp_path / "scratch/fold1/masks/heart/x.gif")
        with pytest.raises(DataError, match="no mask of the heart") as caught:
            open_collection("jsrt", tmp_path)
    else:
        data = image.read_bytes()
        swapped = np.frombuffer(data, ">u2").astype("<u2").tobytes()
        image.write_bytes({"order": swapped, "short": data[:-2], "blank": bytes(len(data))}[fault])
        (case,) = open_collection("jsrt", tmp_path).cases
        reason = {"order": "byte order", "short": "8388606 bytes", "blank": "one grey value"}[fault]
        with pytest.raises(DataError, match=reason) as caught:
            plane_of(case, Geometry(64, 64), Percentiles())
    assert caught.value.file == image


def test_montgomery_in_both_layouts(tmp_path: Path) -> None:
    shipped = open_collection("montgomery", drawn.write_montgomery(tmp_path / "shipped"))
    assert [case.age for case in shipped.cases] == [27, 28, 29]
    assert {case.sex for case in shipped.cases} == {"F"}
    flat = tmp_path / "flat"
    flat.mkdir()
    for seed, case in enumerate(shipped.cases):
        left, right, _ = drawn.draw_masks(100, 120, seed=seed)
        Image.fromarray(left | right).save(flat / f"{case.path.stem}_lungs.png")
        Image.open(case.path).save(flat / f"{case.path.stem}.jpg", quality=95)
    joined = open_collection("montgomery", flat)
    assert [case.patient for case in joined.cases] == [case.patient for case in shipped.cases]
    for apart, together in zip(shipped.cases, joined.cases, strict=True):
        assert apart.masks and apart.masks.known == (True, True, False)
        grid = Geometry(60, 60, "pad")
        masks = planes_of_masks(apart, grid)
        assert np.array_equal(masks, planes_of_masks(together, grid))
        # A letterboxed plane: the masks must be letterboxed alike.
        assert masks[:, :5].max() == 0 and masks[0].sum() > 100 and masks[1].sum() > 100 and masks[2].max() == 0


def test_shenzhen_keeps_images_without_masks(tmp_path: Path) -> None:
    found = open_collection("shenzhen", drawn.write_shenzhen(tmp_path))
    assert not found.shippable
    assert [case.masks is not None for case in found.cases] == [True, True, False]
    assert found.notes == ("1 images have no mask",)
    assert {(case.sex, case.age) for case in found.cases} == {("M", 45)}
    for case in found.cases[:2]:
        left, right, _ = planes_of_masks(case, Geometry(48, 48))
        assert left[:, :20].max() == 0 and right[:, 28:].max() == 0 and min(left.max(), right.max()) == 1


def test_lungs_that_touch_are_parted_between_them(tmp_path: Path) -> None:
    left, right, _ = drawn.draw_masks(200, 200, seed=1)
    both = left | right
    both[90:94, 60:140] = True  # a bridge over the spine
    Image.fromarray(both).save(tmp_path / "m.png")
    case = Case(tmp_path / "x.jpg", "x:1", masks=MaskSource(lungs=tmp_path / "m.png"))
    found = planes_of_masks(case, Geometry(200, 200)) > 0.5
    for mine, true in zip(found, (left, right), strict=False):
        dice = 2 * (mine & true).sum() / (mine.sum() + true.sum())
        assert dice > 0.98


def test_one_lung_is_not_two(tmp_path: Path) -> None:
    left, _, _ = drawn.draw_masks(200, 200, seed=1)
    Image.fromarray(np.zeros_like(left)).save(tmp_path / "none.png")
    Image.fromarray(left).save(tmp_path / "same.png")
    for source, text in (
        (MaskSource(lungs=tmp_path / "none.png"), "empty"),
        (MaskSource(lung_pair=(tmp_path / "same.png", tmp_path / "same.png")), "same lung"),
    ):
        case = Case(tmp_path / "x.jpg", "x:1", masks=source)
        with pytest.raises(DataError, match=text):
            planes_of_masks(case, Geometry(64, 64))


# The NIH folder and a site's table


def test_nih_folder(tmp_path: Path) -> None:
    found = open_collection("nih", drawn.write_nih_folder(tmp_path))
    split = split_of(found)
    assert (len(split.train), len(split.val), len(split.test)) == (8, 1, 3)
    assert not split.official and "unofficial" in split.name
    assert [box.label for box in by_name(found, "00000004_000").boxes] == ["Mass", "Nodule"]


def test_site_table_reads_dicom_as_the_runtime_does(tmp_path: Path) -> None:
    found = open_collection("csv", drawn.write_site(tmp_path))
    assert [at(case, "Effusion") for case in found.cases][::2] == [0, 1] and math.isnan(at(found.cases[1], "Effusion"))
    assert all(math.isnan(at(case, "Mass")) for case in found.cases)
    one, inverse = (plane_of(case, Geometry(64, 64, "pad"), Percentiles()) for case in found.cases[:2])
    assert np.abs(one - inverse).max() < 1e-3  # MONOCHROME1 of the same chest
    assert {fold: len(indices) for fold, indices in found.folds.items()} == {"train": 2, "val": 0, "test": 1}
    assert [case.path for case in open_collection("csv", tmp_path / "cases.csv").cases] == [c.path for c in found.cases]


@pytest.mark.parametrize(
    ("edit", "problem", "row", "text"),
    [
        (replaced("Pneumonia,", "Pneumonie,"), Problem.UNKNOWN_LABEL, 1, "'Pneumonie'"),
        (replaced("p1,1,0", "p1,2,0"), Problem.VALUE, 2, "Pneumonia is 2"),
        (replaced("p1,1,0", "p1,nan,0"), Problem.VALUE, 2, "Pneumonia is nan"),
        (replaced("p2,", ","), Problem.VALUE, 4, "patient is empty"),
        (replaced(",test", ",holdout"), Problem.SPLIT, 4, "'holdout'"),
        (replaced("c.png", "d.png"), Problem.MISSING_IMAGE, 4, "d.png"),
        (replaced("b.dcm", "a.dcm"), Problem.DUPLICATE, 3, "line 2"),
    ],
)
def test_site_table_faults_are_named(tmp_path: Path, edit: Edit, problem: Problem, row: int, text: str) -> None:
    file = drawn.write_site(tmp_path) / "cases.csv"
    file.write_text(edit(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        open_collection("csv", tmp_path)
    assert (caught.value.problem, caught.value.row, caught.value.file) == (problem, row, file), str(caught.value)
    assert text in caught.value.message


def test_site_table_options(tmp_path: Path) -> None:
    file = drawn.write_site(tmp_path) / "cases.csv"
    file.write_text(file.read_text().replace("fold", "accession"), encoding="utf-8")
    found = open_collection("csv", tmp_path, ignore=["accession"])
    assert not found.folds
    with pytest.raises(DataError, match="random"):
        split_of(found)
    file.write_text("image,patient,labels\nc.png,7,Mass|Hernia\n", encoding="utf-8")
    (case,) = open_collection("csv", file).cases
    assert case.labels == labels_of(["Mass", "Hernia"])


def test_a_lateral_dicom_is_refused_by_name(tmp_path: Path) -> None:
    from tests.support.dicom_files import write_dicom
    from tests.support.phantom import draw_phantom

    drawn.write_site(tmp_path)
    write_dicom(tmp_path / "b.dcm", draw_phantom(100, 100), tags={"ViewPosition": "LL", "BodyPartExamined": "CHEST"})
    case = open_collection("csv", tmp_path).cases[1]
    with pytest.raises(DataError, match=r"cases\.csv, line 3: b\.dcm: The view is lateral") as caught:
        plane_of(case, Geometry(64, 64), Percentiles())
    assert caught.value.code is Code.LATERAL_VIEW


# What no data set may have


def test_kinds_and_options_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="chestxray14, chexpert"):
        open_collection("mimic", tmp_path)
    with pytest.raises(UsageError, match="no option 'uncertain'"):
        open_collection("nih", tmp_path, uncertain="ones")
    with pytest.raises(UsageError, match="'maybe'"):
        open_collection("chexpert", tmp_path, uncertain="maybe")
    for kind in ("chestxray14", "chexpert", "jsrt", "montgomery", "shenzhen", "nih", "csv"):
        with pytest.raises(DataError) as caught:
            open_collection(kind, tmp_path)
        assert caught.value.problem is Problem.FOLDER
        with pytest.raises(DataError, match="no such folder"):
            open_collection(kind, tmp_path / "nowhere")


@pytest.mark.parametrize(
    "case",
    [
        Case(Path("a.png"), "x:1", labels=(2.0,) * 14),
        Case(Path("a.png"), "x:1", labels=(1.0,) * 13),
        Case(Path("a.png"), "x:"),
        Case(Path("a.png"), "x:1", age=math.nan),
    ],
)
def test_a_collection_is_valid_once_made(case: Case) -> None:
    with pytest.raises(DataError) as caught:
        Collection("x", Path(), (case,), shippable=False, citation="")
    assert caught.value.problem is Problem.VALUE
