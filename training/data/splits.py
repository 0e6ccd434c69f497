"""Splits: which cases train, which choose, which judge. No patient is ever in two folds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from cxredge.result import LABELS
from training.data.cases import Case, Collection
from training.errors import DataError, Problem, bad

__all__ = ["FOLDS", "Lack", "Split", "lacking", "require_positives", "split_of"]

FOLDS = ("train", "val", "test")

_SHOWN = 5  # patients that an error names


@dataclass(frozen=True)
class Split:
    """Three folds of a collection. Making one asserts that they share no case and no patient.

    Attributes:
        train: indices of the cases that train.
        val: indices of the cases that choose (epochs, thresholds).
        test: indices of the cases that judge.
        name: what the split is, in words; an unofficial one says so.
        official: whether published figures are on this test fold.
        sha256: the hash of who and what is in which fold; the order of the cases does not matter.
    """

    collection: Collection = field(repr=False, compare=False)
    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    name: str
    official: bool
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        """Check the folds and take their hash."""
        seen: set[int] = set()
        for fold in FOLDS:
            indices = self.fold(fold)
            if len(set(indices)) != len(indices) or not seen.isdisjoint(indices):
                raise DataError(Problem.SPLIT, f"the fold {fold} holds a case twice, or one of another fold")
            if any(not 0 <= index < len(self.collection.cases) for index in indices):
                raise DataError(Problem.SPLIT, f"the fold {fold} names a case that is not there")
            seen.update(indices)
        if not seen:
            raise DataError(Problem.SPLIT, "all folds are empty")
        self._assert_disjoint()
        object.__setattr__(self, "sha256", self._hash())

    def fold(self, name: str) -> tuple[int, ...]:
        """The indices of "train", "val" or "test"."""
        if name not in FOLDS:
            raise bad(f"there is no fold {name!r}: {', '.join(FOLDS)}")
        found: tuple[int, ...] = getattr(self, name)
        return found

    def _assert_disjoint(self) -> None:
        where: dict[str, tuple[str, Case]] = {}
        shared: dict[str, tuple[str, str, Case]] = {}
        for fold in FOLDS:
            for index in self.fold(fold):
                case = self.collection.cases[index]
                first, _ = where.setdefault(case.patient, (fold, case))
                if first != fold:
                    shared.setdefault(case.patient, (first, fold, case))
        if not shared:
            return
        first, second, case = next(iter(shared.values()))
        names = ", ".join(list(shared)[:_SHOWN]) + (", ..." if len(shared) > _SHOWN else "")
        detail = f"{len(shared)} patients are in two folds ({first} and {second}, ...): {names}"
        raise self.collection.error(Problem.PATIENT_ON_BOTH_SIDES, detail, case)

    def _hash(self) -> str:
        lines = []
        for fold in FOLDS:
            cases = (self.collection.cases[index] for index in self.fold(fold))
            lines += [f"{fold}\t{case.patient}\t{self.collection.relative(case)}" for case in cases]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def split_of(
    collection: Collection,
    *,
    seed: int = 0,
    validation: float = 0.1,
    kind: Literal["official", "random", "test"] = "official",
) -> Split:
    """Split a collection.

    Args:
        collection: from `open_collection`.
        seed: who goes to validation, or anywhere in a random split.
        validation: the share of the training patients that is set apart, where the maker sets none apart.
        kind: "official": the folds that came with the data set (`Split.official` says whether they are those of the
            published figures). "random": 70/10/20 of the patients, never official. "test": every case judges.

    Raises:
        UsageError: `validation` is not in 0..0.5, or there is no such kind.
        DataError: the set came without folds; a patient is in two of them; there are too few patients.
    """
    if not 0 <= validation <= 0.5:
        raise bad(f"validation is a share of 0 to 0.5, not {validation:g}")
    if kind == "test":
        return Split(collection, (), (), tuple(range(len(collection.cases))), "all cases judge", official=False)
    if kind == "random":
        train, val, test = _random(collection, range(len(collection.cases)), (0.7, 0.1, 0.2), seed)
        return Split(
            collection, train, val, test, f"random 70/10/20 by patient (unofficial, seed {seed})", official=False
        )
    if kind != "official":
        raise bad(f"a split is official, random or test, not {kind!r}")
    if not collection.folds:
        raise DataError(Problem.SPLIT, f"{collection.name} came without folds: only a random split can be made")
    return _given(collection, seed, validation)


# The maker's names of what trains and what judges, where no validation fold is given.
_PAIRS = (("train_val", "test"), ("train", "valid"), ("fold1", "fold2"))


def _given(collection: Collection, seed: int, validation: float) -> Split:
    folds, name = collection.folds, collection.split_name
    if not collection.official:
        name += " (unofficial)"
    if set(FOLDS) <= set(folds):
        return Split(collection, folds["train"], folds["val"], folds["test"], name, collection.official)
    for trains, judges in _PAIRS:
        if trains in folds and judges in folds:
            # A fold that shares a patient with the test must stop here, before validation is cut out of it.
            Split(collection, folds[trains], (), folds[judges], name, collection.official)
            train: tuple[int, ...] = folds[trains]
            val: tuple[int, ...] = ()
            if validation:
                train, val = _random(collection, train, (1 - validation, validation), seed)
                name += f"; validation cut by patient ({validation:.0%}, seed {seed})"
            return Split(collection, train, val, folds[judges], name, collection.official)
    raise DataError(Problem.SPLIT, f"the folds {', '.join(folds)} are not ones that can be used")


def _random(
    collection: Collection, indices: Iterable[int], shares: Sequence[float], seed: int
) -> tuple[tuple[int, ...], ...]:
    """Deal the patients out in these shares of their number; a patient's cases stay together."""
    chosen = list(indices)
    patients = sorted(collection.patients(chosen))
    ends = np.rint(np.cumsum(shares) * len(patients)).astype(int)
    if np.any(np.diff(ends, prepend=0) < 1):
        raise DataError(Problem.SPLIT, f"{len(patients)} patients are too few to split {'/'.join(map(str, shares))}")
    order = np.random.default_rng(seed).permutation(len(patients))
    part = np.searchsorted(ends, np.argsort(order), side="right")
    where = dict(zip(patients, part.tolist(), strict=True))
    found: list[list[int]] = [[] for _ in shares]
    for index in chosen:
        found[where[collection.cases[index].patient]].append(index)
    return tuple(tuple(part) for part in found)


@dataclass(frozen=True, slots=True)
class Lack:
    """What a fold does not hold, by label.

    Attributes:
        positive: looked for in the fold, never found: no sensitivity, no ROC curve.
        negative: found in every case that was looked at: no specificity, no ROC curve.
        unknown: never looked for.
    """

    positive: tuple[str, ...]
    negative: tuple[str, ...]
    unknown: tuple[str, ...]


def lacking(split: Split) -> dict[str, Lack]:
    """What each fold that is not empty lacks."""
    found = {}
    for fold in FOLDS:
        indices = split.fold(fold)
        if not indices:
            continue
        values = np.array([split.collection.cases[index].labels for index in indices])
        known = ~np.isnan(values).all(axis=0)
        positive, negative = (values == 1).any(axis=0), (values == 0).any(axis=0)
        found[fold] = Lack(_named(known & ~positive), _named(known & ~negative), _named(~known))
    return found


def _named(mask: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(label for label, here in zip(LABELS, mask.tolist(), strict=True) if here)


def require_positives(split: Split, folds: Sequence[str] = FOLDS) -> None:
    """Stop where a disease that was looked for has no positive in one of these folds.

    Raises:
        DataError: NO_POSITIVE, with every fold and disease.
    """
    missing = {fold: lack.positive for fold, lack in lacking(split).items() if fold in folds and lack.positive}
    if missing:
        said = "; ".join(f"{fold}: {', '.join(labels)}" for fold, labels in missing.items())
        raise DataError(Problem.NO_POSITIVE, f"diseases without a positive: {said} ({split.name})")
