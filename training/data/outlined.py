"""The sets with outlined organs: JSRT with the SCR masks, Montgomery and Shenzhen.

JSRT: Shiraishi et al., AJR 2000. SCR: van Ginneken, Stegmann, Loog, Medical Image Analysis 2006. Montgomery and
Shenzhen: Jaeger et al., Quantitative Imaging in Medicine and Surgery 2014.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from cxredge.pixels import PixelDescription
from cxredge.result import LABELS
from training.data.cases import UNKNOWN, Box, Case, Collection, MaskSource
from training.data.tables import folder_of, index_files, read_lines
from training.errors import DataError, Problem, bad

__all__ = ["JSRT_PIXELS", "open_jsrt", "open_montgomery", "open_shenzhen"]

JSRT_CITATION = (
    "Shiraishi et al., Development of a digital image database for chest radiographs with and without a lung nodule, "
    "AJR 2000; masks: van Ginneken et al., Segmentation of anatomical structures in chest radiographs using "
    "supervised methods, Medical Image Analysis 2006"
)
NLM_CITATION = (
    "U.S. National Library of Medicine; Jaeger et al., Two public chest X-ray datasets for computer-aided screening of "
    "pulmonary diseases, Quantitative Imaging in Medicine and Surgery 2014"
)

SIDE, SPACING_MM = 2048, 0.175

# 12 bits in big-endian words, without a header. The values are optical density of the film: high is dark, so the
# display value is inverted. All 16 bits are read, so that a value over 4095 is seen and not wrapped.
JSRT_PIXELS = PixelDescription(
    rows=SIDE, columns=SIDE, bits_allocated=16, bits_stored=16, high_bit=15, big_endian=True, inverted=True
)

_JSRT_NAME = re.compile(r"JPC([LN])N(\d{3})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Clinical:
    """What JSRT's tables say of an image."""

    line: int
    age: float | None
    sex: str | None
    boxes: tuple[Box, ...] = ()


def open_jsrt(folder: Path) -> Collection:
    """JSRT's .IMG files, with SCR's masks where they are here.

    Images: in `folder`, `All247images/` or `Nodule154images/` and `NonNodule93images/`. Masks: `fold1/masks/left lung/`
    and so on, in `folder`, `scratch/` or `SCR/`. Clinical data: CLNDAT_EN.txt and CNNDAT_EN.txt. Of our labels only
    Nodule is known; its folds are SCR's (odd and even numbers).
    """
    places = [folder_of(folder, n) for n in ("All247images", "Nodule154images", "NonNodule93images")]
    images = index_files([folder, *(place for place in places if place is not None)], (".img",))
    clinical = _clinical(folder)
    masks = _scr_masks(folder)
    cases, folds = [], {"fold1": [], "fold2": []}  # type: tuple[list[Case], dict[str, list[int]]]
    for _, path in sorted(images.items()):
        match = _JSRT_NAME.fullmatch(path.stem)
        if match is None:
            raise DataError(Problem.FOLDER, "not a name of JSRT (JPCLN001.IMG, JPCNN001.IMG)", file=path)
        has_nodule = match[1].upper() == "L"
        known = clinical.get(path.stem.upper(), _Clinical(0, None, None))
        labels = [UNKNOWN] * len(LABELS)
        labels[LABELS.index("Nodule")] = float(has_nodule)
        folds["fold1" if int(match[2]) % 2 else "fold2"].append(len(cases))
        case = Case(path, f"jsrt:{path.stem.upper()}", tuple(labels), known.boxes, _scr_source(masks, path), "PA")
        cases.append(_with(case, known.sex, known.age))
    notes = [] if masks else ["the SCR masks are not here"]
    if not clinical:
        notes.append("CLNDAT_EN.txt and CNNDAT_EN.txt are not here: no boxes, ages or sexes")
    return Collection(
        name="JSRT",
        root=folder,
        cases=tuple(cases),
        shippable=False,
        citation=JSRT_CITATION,
        folds={fold: tuple(indices) for fold, indices in folds.items()},
        split_name="SCR's folds: odd and even numbers",
        official=True,
        notes=tuple(notes),
    )


def _with(case: Case, sex: str | None, age: float | None) -> Case:
    return replace(case, sex=sex, age=age, raw=JSRT_PIXELS)


def _clinical(folder: Path) -> dict[str, _Clinical]:
    """Both tables; fields are parted by white space, and the last ones (free text) are not read.

    CLNDAT: name, subtlety, size in mm, age, sex, x, y of the nodule's centre. CNNDAT: name, age, sex.
    """
    found: dict[str, _Clinical] = {}
    for stem in ("CLNDAT_EN", "CNNDAT_EN"):
        file = next((path for path in sorted(folder.rglob("*")) if path.stem == stem and path.is_file()), None)
        if file is None:
            continue
        for line, text in read_lines(file):
            fields = text.split()
            name = Path(fields[0]).stem.upper()
            if name in found:
                raise DataError(Problem.DUPLICATE, f"{name} is already in line {found[name].line}", file=file, row=line)
            try:
                found[name] = _clinical_row(line, fields, nodule=stem.startswith("CLN"))
            except (ValueError, IndexError):
                raise DataError(Problem.VALUE, f"not a row of {stem}: {text!r}", file=file, row=line) from None
    return found


def _clinical_row(line: int, fields: list[str], *, nodule: bool) -> _Clinical:
    age, sex = fields[3:5] if nodule else fields[1:3]
    box = _nodule(float(fields[2]), float(fields[5]), float(fields[6])) if nodule else ()
    years = float(age) if age.isdigit() else None  # some are not known
    return _Clinical(line, years, {"male": "M", "female": "F"}.get(sex.lower()), box)


def _nodule(size_mm: float, x: float, y: float) -> tuple[Box, ...]:
    """The square around a nodule of that diameter."""
    half = size_mm / SPACING_MM / 2
    left, top = max(x - half, 0.0) / SIDE, max(y - half, 0.0) / SIDE
    return (Box("Nodule", left, top, min(x + half, SIDE) / SIDE, min(y + half, SIDE) / SIDE),)


def _scr_masks(folder: Path) -> dict[str, dict[str, Path]]:
    """Structure -> stem in capitals -> file; empty where no mask is here."""
    bases = [base for name in ("", "scratch", "SCR", "scr") if (base := folder_of(folder, name)) is not None]
    roots = [base / fold / "masks" for base in dict.fromkeys(bases) for fold in ("fold1", "fold2", "")]
    found: dict[str, dict[str, Path]] = {}
    for structure in ("left lung", "right lung", "heart"):
        folders = [root / name for root in roots for name in {structure, structure.replace(" ", "_")}]
        files = index_files([place for place in folders if place.is_dir()], (".gif", ".png", ".bmp"))
        if files:
            found[structure] = {Path(name).stem.upper(): path for name, path in files.items()}
    if found and len(found) < 3:
        raise DataError(Problem.MISSING_MASK, f"masks of {', '.join(found)} only", file=folder)
    return found


def _scr_source(masks: dict[str, dict[str, Path]], image: Path) -> MaskSource | None:
    if not masks:
        return None
    stem = image.stem.upper()
    for structure, files in masks.items():
        if stem not in files:
            raise DataError(Problem.MISSING_MASK, f"there is no mask of the {structure}", file=image)
    return MaskSource(lung_pair=(masks["left lung"][stem], masks["right lung"][stem]), heart=masks["heart"][stem])


def open_montgomery(folder: Path, *, hearts: str = "") -> Collection:
    """Montgomery County: CXR_png/, ManualMask/leftMask/, ManualMask/rightMask/, ClinicalReadings/.

    The folder of `NAME.jpg` beside `NAME_lungs.png` is read as well. Every image must have its mask. Of our labels none
    is known: the set is about tuberculosis.

    Args:
        folder: of the set.
        hearts: "guessed" lets training learn the hearts that the shape model expects between these lungs.
    """
    if hearts not in ("", "guessed"):
        raise bad(f"hearts of montgomery can be 'guessed', not {hearts!r}")
    inner = folder_of(folder, "MontgomerySet") or folder
    found = _tuberculosis(inner, "Montgomery", "MCUCXR", shippable=True, citation=NLM_CITATION, all_masked=True)
    return _with_hearts(found) if hearts else found


def _with_hearts(found: Collection) -> Collection:
    def guessed(case: Case) -> Case:
        return replace(case, masks=replace(case.masks, guess_heart=True)) if case.masks else case

    note = "the hearts are guessed from the lungs by the shape model; learned from, never scored on"
    return replace(found, cases=tuple(map(guessed, found.cases)), notes=(*found.notes, note))


def open_shenzhen(folder: Path) -> Collection:
    """Shenzhen: CXR_png/, ClinicalReadings/, and masks as `mask/NAME_mask.png`; or `NAME.jpg` beside `NAME_lungs.png`.

    96 of the 662 images have no mask; they stay in, without one. The masks are CC BY-NC-SA: weights trained on them
    must not be shipped.
    """
    inner = folder_of(folder, "ChinaSet_AllFiles") or folder
    citation = NLM_CITATION + "; masks: Stirenko et al., 2018, CC BY-NC-SA 4.0"
    return _tuberculosis(inner, "Shenzhen", "CHNCXR", shippable=False, citation=citation, all_masked=False)


def _tuberculosis(
    folder: Path, name: str, prefix: str, *, shippable: bool, citation: str, all_masked: bool
) -> Collection:
    flat = folder_of(folder, "CXR_png") is None
    images = index_files([folder if flat else folder / "CXR_png"], (".jpg",) if flat else (".png",))
    cases = []
    for path in images.values():
        if not path.stem.startswith(prefix):
            raise DataError(Problem.FOLDER, f"not a name of {name} ({prefix}_0001_0)", file=path)
        source = _flat_source(path) if flat else _nested_source(folder, path)
        if source is None and all_masked:
            raise DataError(Problem.MISSING_MASK, "there is no mask of the lungs", file=path)
        sex, age = _reading(folder / "ClinicalReadings" / f"{path.stem}.txt")
        case = Case(path, f"{name.lower()}:{path.stem}", masks=source, view="PA", sex=sex, age=age)
        cases.append(case)
    bare = sum(case.masks is None for case in cases)
    return Collection(
        name=name,
        root=folder,
        cases=tuple(cases),
        shippable=shippable,
        citation=citation,
        notes=(f"{bare} images have no mask",) if bare else (),
    )


def _flat_source(image: Path) -> MaskSource | None:
    mask = image.with_name(f"{image.stem}_lungs.png")
    return MaskSource(lungs=mask) if mask.is_file() else None


def _nested_source(folder: Path, image: Path) -> MaskSource | None:
    pair = tuple(folder / "ManualMask" / side / image.name for side in ("leftMask", "rightMask"))
    if all(path.is_file() for path in pair):
        return MaskSource(lung_pair=(pair[0], pair[1]))
    if any(path.is_file() for path in pair):
        raise DataError(Problem.MISSING_MASK, "one lung has a mask, the other has none", file=image)
    joined = [folder / sub / f"{image.stem}_mask.png" for sub in ("mask", "masks", "mask/mask")]
    return next((MaskSource(lungs=path) for path in joined if path.is_file()), None)


def _reading(file: Path) -> tuple[str | None, float | None]:
    """Sex and age of a clinical reading (`Patient's Sex: F`, `Patient's Age: 027Y`; or `male 45yrs`)."""
    if not file.is_file():
        return None, None
    text = " ".join(line for _, line in read_lines(file)[:2])
    sex = re.search(r"\b(female|male|f|m)\b", text.replace("Patient's", ""), re.IGNORECASE)
    age = re.search(r"(\d{1,3})\s*(?:y|yrs|years)\b", text, re.IGNORECASE)
    return (sex[1][0].upper() if sex else None, float(age[1]) if age else None)
