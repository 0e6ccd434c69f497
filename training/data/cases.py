"""One image and what is known of it, and all of a data set's images: plain, frozen data that is checked when made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from cxredge.pixels import PixelDescription
from cxredge.result import LABELS
from training.errors import DataError, Problem, bad

__all__ = ["UNKNOWN", "Box", "Case", "Collection", "MaskSource", "Person", "labels_of"]

UNKNOWN = math.nan
"""The label of a disease that nobody looked for: neither loss nor score sees it."""

_NOTHING = (UNKNOWN,) * len(LABELS)


@dataclass(frozen=True, slots=True)
class Box:
    """Where a disease is: edges as fractions of the image, from its upper left corner."""

    label: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class MaskSource:
    """The files that outline an image's organs. `lungs` shows both lungs in one mask.

    Which lung is which is read off the masks, not off the files' names: the patient's left is on the image's right.

    Attributes:
        lungs: the file of both lungs in one mask.
        lung_pair: the files of the lungs apart.
        heart: the heart's file.
        guess_heart: no file shows the heart; its outline is what the shape model expects between these lungs. Good
            enough to learn from, and no truth: nothing is scored against it.
    """

    lungs: Path | None = None
    lung_pair: tuple[Path, Path] | None = None
    heart: Path | None = None
    guess_heart: bool = False

    def __post_init__(self) -> None:
        """Two sources of one thing would leave open which is right."""
        if self.lungs is not None and self.lung_pair is not None:
            raise DataError(Problem.VALUE, "the lungs come twice, together and apart", file=self.lungs)
        if self.guess_heart and (self.heart is not None or not self.known[0]):
            raise bad("a heart is guessed where the lungs are outlined and the heart is not")

    @property
    def known(self) -> tuple[bool, bool, bool]:
        """Whether left lung, right lung and heart are outlined."""
        lungs = self.lungs is not None or self.lung_pair is not None
        return (lungs, lungs, self.heart is not None)

    @property
    def learnable(self) -> tuple[bool, bool, bool]:
        """Whether each of them is outlined or guessed."""
        left, right, heart = self.known
        return (left, right, heart or self.guess_heart)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is read."""
        return tuple(path for path in (self.lungs, *(self.lung_pair or ()), self.heart) if path is not None)


class Person(NamedTuple):
    """What a data set says of an image beside its labels; None where it does not."""

    view: str | None = None
    sex: str | None = None
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One image of a data set.

    Attributes:
        path: the image.
        patient: who it shows, as `chestxray14:17`: unique over all data sets, and the same in all forms of one.
        labels: 1, 0 or not-a-number (unknown) for each of `cxredge.result.LABELS`.
        boxes: where diseases are, where that is known.
        masks: the outlines of organs, where there are any.
        view: "PA", "AP" or what the maker writes; None where nothing is said.
        sex: "F", "M" or None.
        age: years.
        table: the maker's table that names it, for messages; None where there is none.
        row: its line there.
        raw: how to read the file's bytes where it has no header (JSRT).
    """

    path: Path
    patient: str
    labels: tuple[float, ...] = _NOTHING
    boxes: tuple[Box, ...] = ()
    masks: MaskSource | None = None
    view: str | None = None
    sex: str | None = None
    age: float | None = None
    table: Path | None = None
    row: int = 0
    raw: PixelDescription | None = None


@dataclass(frozen=True)
class Collection:
    """A data set: every case of it, checked.

    Attributes:
        name: the data set, and what makes this one differ from the whole of it.
        root: the folder that paths are told relative to.
        cases: every image.
        shippable: whether weights trained on it may be shipped.
        citation: what its makers ask to be cited.
        folds: fold -> indices into `cases`, as the maker gives them; may be empty.
        split_name: what `folds` is.
        official: whether `folds` is the split that published figures are on.
        notes: what was left out or changed while reading, in words: shown, never hidden.
    """

    name: str
    root: Path
    cases: tuple[Case, ...]
    shippable: bool
    citation: str
    folds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    split_name: str = ""
    official: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no data set may have: no case, an image twice, labels out of range, empty boxes."""
        if not self.cases:
            raise DataError(Problem.FOLDER, "no image of this data set is here", file=self.root)
        seen: dict[Path, Case] = {}
        for case in self.cases:
            self._check(case)
            if case.path in seen:
                detail = f"{self.relative(case)} is already in line {seen[case.path].row}"
                raise self.error(Problem.DUPLICATE, detail, case)
            seen[case.path] = case
        for name, indices in self.folds.items():
            if any(not 0 <= index < len(self.cases) for index in indices):
                raise DataError(Problem.SPLIT, f"the fold {name} names a case that is not there", file=self.root)

    def _check(self, case: Case) -> None:
        if len(case.labels) != len(LABELS) or any(not (v in (0.0, 1.0) or math.isnan(v)) for v in case.labels):
            raise self.error(Problem.VALUE, f"labels must be {len(LABELS)} of 0, 1 or unknown", case)
        if not case.patient.partition(":")[2]:
            raise self.error(Problem.VALUE, "no patient", case)
        if case.age is not None and not 0 <= case.age <= 130:
            raise self.error(Problem.VALUE, f"an age of {case.age:g}", case)
        for box in case.boxes:
            inside = 0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1
            if not inside:  # not-a-number fails this too
                raise self.error(Problem.VALUE, f"the box of {box.label} is empty or outside the image", case)

    def relative(self, case: Case) -> str:
        """The case's path below the root, with forward slashes: the same on every machine."""
        try:
            return case.path.relative_to(self.root).as_posix()
        except ValueError:
            return case.path.as_posix()

    @staticmethod
    def error(problem: Problem, detail: str, case: Case) -> DataError:
        """An error about a case: it names the table's line, or the image where there is no table."""
        if case.table is None:
            return DataError(problem, detail, file=case.path)
        return DataError(problem, detail, file=case.table, row=case.row)

    def patients(self, indices: Iterable[int] | None = None) -> set[str]:
        """The patients of some cases, or of all."""
        chosen = self.cases if indices is None else (self.cases[index] for index in indices)
        return {case.patient for case in chosen}


def labels_of(names: Iterable[str]) -> tuple[float, ...]:
    """All 14 labels known: 1 for the named, 0 for the others.

    Raises:
        KeyError: a name is not a label.
    """
    found = [0.0] * len(LABELS)
    for name in names:
        if name not in LABELS:
            raise KeyError(name)
        found[LABELS.index(name)] = 1.0
    return tuple(found)
