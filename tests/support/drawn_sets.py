"""Small data sets in the exact layouts of their makers, with drawn chests for images: nothing of them is real."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.support.dicom_files import write_dicom
from tests.support.phantom import draw_masks, draw_phantom

SIDE = 96

# image, labels, patient; the last two patients are the test patients
CHESTXRAY14: tuple[tuple[str, str, int], ...] = (
    ("00000001_000.png", "Cardiomegaly", 1),
    ("00000001_001.png", "Cardiomegaly|Emphysema", 1),
    ("00000002_000.png", "No Finding", 2),
    ("00000003_000.png", "Hernia", 3),
    ("00000004_000.png", "Mass|Nodule|Pleural_Thickening", 4),
    ("00000005_000.png", "Infiltration", 5),
    ("00000006_000.png", "Atelectasis|Effusion", 6),
    ("00000007_000.png", "No Finding", 7),
    ("00000008_000.png", "Pneumothorax", 8),
    ("00000009_000.png", "No Finding", 9),
    ("00000010_000.png", "Effusion", 10),
    ("00000010_001.png", "Effusion|Edema", 10),
)
TEST_PATIENTS = (9, 10)

CHEXPERT_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)


def chest(seed: int, rows: int = SIDE, columns: int = SIDE) -> npt.NDArray[np.uint8]:
    """A drawn chest of 8 bits."""
    return draw_phantom(rows, columns, seed=seed, bits=8).astype(np.uint8)


def _table(path: Path, header: str, rows: Sequence[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def write_chestxray14(folder: Path) -> Path:
    """ChestX-ray14: its header, that splits `OriginalImage[Width,Height]`; its lists; two archives' images."""
    folders = [folder / "images_001" / "images", folder / "images_002" / "images"]
    for place in folders:
        place.mkdir(parents=True)
    rows = []
    for number, (name, labels, patient) in enumerate(CHESTXRAY14):
        picture = Image.fromarray(chest(number))
        if number == 2:  # some of the set's files have four channels
            picture = picture.convert("RGBA")
        picture.save(folders[number % 2] / name)
        age = "058Y" if number == 0 else "414" if number == 3 else "57"
        rows.append(f"{name},{labels},0,{patient},{age},{'MF'[number % 2]},PA,2682,2749,0.143,0.143,")
    _table(
        folder / "Data_Entry_2017.csv",
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],",
        rows,
    )
    boxes = [
        "00000005_000.png,Infiltrate,256.0,512.0,128.5,64.25,,,",
        "00000010_001.png,Effusion,900.0,700.0,200.0,100.0,,,",
    ]
    _table(folder / "BBox_List_2017.csv", "Image Index,Finding Label,Bbox [x,y,w,h],,,", boxes)
    for file, wanted in (("train_val_list.txt", False), ("test_list.txt", True)):
        names = [name for name, _, patient in CHESTXRAY14 if (patient in TEST_PATIENTS) is wanted]
        (folder / file).write_text("\n".join(names), encoding="utf-8")
    return folder


def write_chexpert(folder: Path) -> Path:
    """CheXpert-v1.0-small: paths that begin with the packed folder's name, blanks, -1, and a lateral image."""
    # Path, view, AP/PA, then No Finding ... Support Devices
    train = [
        ("patient00001/study1/view1_frontal.jpg", "Frontal", "AP", ",,1.0,,,-1.0,-1.0,-1.0,-1.0,0.0,-1.0,,,1.0"),
        ("patient00001/study1/view2_lateral.jpg", "Lateral", "", ",,1.0,,,-1.0,-1.0,-1.0,-1.0,0.0,-1.0,,,1.0"),
        ("patient00002/study1/view1_frontal.jpg", "Frontal", "PA", "1.0,,,,,,,,,,,,,"),
        ("patient00003/study2/view1_frontal.jpg", "Frontal", "PA", ",,-1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,1.0,,"),
    ]
    valid = [
        ("patient64541/study1/view1_frontal.jpg", "Frontal", "AP", "0,1,1,1,0,0,0,0,0,0,1,0,0,0".replace(",", ".0,"))
    ]
    for fold, entries in (("train", train), ("valid", valid)):
        rows = []
        for number, (path, view, side, values) in enumerate(entries):
            file = folder / fold / path
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(chest(number + 20)).save(file, quality=95)
            rows.append(f"CheXpert-v1.0-small/{fold}/{path},Female,68,{view},{side},{values}")
        _table(folder / f"{fold}.csv", CHEXPERT_HEADER, rows)
    return folder


def jsrt_stored(seed: int) -> npt.NDArray[np.uint16]:
    """What a file of JSRT stores: 12 bits of film density, so that a chest's bright parts are low."""
    return np.repeat(np.repeat(4095 - draw_phantom(512, 512, seed=seed, bits=12), 4, 0), 4, 1).astype(np.uint16)


def write_jsrt(folder: Path, names: Sequence[str] = ("JPCLN001", "JPCLN002", "JPCNN001")) -> Path:
    """JSRT's .IMG files and tables, and SCR's masks; the files of left and right lung are exchanged for the first."""
    (folder / "All247images").mkdir(parents=True)
    for seed, name in enumerate(names):
        (folder / "All247images" / f"{name}.IMG").write_bytes(jsrt_stored(seed).astype(">u2").tobytes())
        masks = draw_masks(1024, 1024, seed=seed)
        fold = "fold1" if int(name[-3:]) % 2 else "fold2"
        structures = ["right lung", "left lung", "heart"] if seed == 0 else ["left lung", "right lung", "heart"]
        for structure, mask in zip(structures, masks, strict=True):
            place = folder / "scratch" / fold / "masks" / structure
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask.astype(np.uint8) * 255).save(place / f"{name}.gif")
    lines = [
        f"{name}.IMG\t5\t15\t{'?' if seed else 53}\tMale\t1634\t692\tmalignant\tl.upper lobe\tlung cancer"
        for seed, name in enumerate(names)
        if name.startswith("JPCLN")
    ]
    (folder / "CLNDAT_EN.txt").write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")
    others = [f"{name}.IMG\t62\tFemale\tnon-nodule" for name in names if name.startswith("JPCNN")]
    (folder / "CNNDAT_EN.txt").write_text("\r\n".join(others) + "\r\n", encoding="utf-8")
    return folder


def write_montgomery(folder: Path, count: int = 3) -> Path:
    """The folders of MontgomerySet."""
    root = folder / "MontgomerySet"
    for name in ("CXR_png", "ManualMask/leftMask", "ManualMask/rightMask", "ClinicalReadings"):
        (root / name).mkdir(parents=True)
    for seed in range(count):
        stem = f"MCUCXR_{seed + 1:04d}_{seed % 2}"
        Image.fromarray(chest(seed, 100, 120)).save(root / "CXR_png" / f"{stem}.png")
        left, right, _ = draw_masks(100, 120, seed=seed)
        Image.fromarray(left).save(root / "ManualMask" / "leftMask" / f"{stem}.png")
        Image.fromarray(right).save(root / "ManualMask" / "rightMask" / f"{stem}.png")
        reading = f"Patient's Sex: F\nPatient's Age: {27 + seed:03d}Y\nnormal\n"
        (root / "ClinicalReadings" / f"{stem}.txt").write_text(reading, encoding="utf-8")
    return folder


def write_shenzhen(folder: Path, count: int = 3) -> Path:
    """The folders of ChinaSet_AllFiles with the masks beside; the last image has none."""
    root = folder / "ChinaSet_AllFiles"
    for name in ("CXR_png", "mask", "ClinicalReadings"):
        (root / name).mkdir(parents=True)
    for seed in range(count):
        stem = f"CHNCXR_{seed + 1:04d}_{seed % 2}"
        Image.fromarray(chest(seed)).convert("RGB").save(root / "CXR_png" / f"{stem}.png")
        (root / "ClinicalReadings" / f"{stem}.txt").write_text("male 45yrs\nnormal", encoding="utf-8")
        if seed < count - 1:
            left, right, _ = draw_masks(SIDE, SIDE, seed=seed)
            Image.fromarray((left | right).astype(np.uint8) * 255).save(root / "mask" / f"{stem}_mask.png")
    return folder


def write_nih_folder(folder: Path) -> Path:
    """The images of ChestX-ray14 as a flat folder with `labels.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (name, labels, patient) in enumerate(CHESTXRAY14):
        name = name.replace(".png", ".jpg")
        Image.fromarray(chest(number)).save(folder / name, quality=95)
        fold = "test" if patient in TEST_PATIENTS else "val" if patient == 8 else "train"
        box = '"Mass:601.4,596.0,215.6,181.0;Nodule:1.0,2.0,30.0,40.0"' if patient == 4 else ""
        rows.append(f"{name},{labels},{patient},57,M,PA,{box},{fold}")
    _table(folder / "labels.csv", "image,labels,patient,age,sex,view,boxes_1024,fold", rows)
    return folder


def write_site(folder: Path) -> Path:
    """A site's own table: DICOM files and a PNG, a column a label."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = draw_phantom(120, 100, seed=5)
    tags = {"BodyPartExamined": "CHEST", "ViewPosition": "PA"}
    write_dicom(folder / "a.dcm", pixels, window=(2048.0, 4096.0), tags=tags)
    inverse = (4095 - pixels).astype(np.uint16)
    write_dicom(folder / "b.dcm", inverse, window=(2048.0, 4096.0), photometric="MONOCHROME1", tags=tags)
    Image.fromarray(chest(6)).save(folder / "c.png")
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "patient", "Pneumonia", "Effusion", "fold"])
        writer.writerows(
            [["a.dcm", "p1", 1, 0, "train"], ["b.dcm", "p1", 1, "", "train"], ["c.png", "p2", 0, 1, "test"]]
        )
    return folder
