"""The table of codes, against DICOM's own tables and SNOMED CT's check digit; the page shows it as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.sr._concepts_dict import concepts

from cxredge.dicom_out import coding
from cxredge.dicom_out.coding import Concept
from cxredge.result import LABELS
from tests.support.coding_rows import rows

PAGE = Path(__file__).parents[2] / "docs" / "dicom-results.md"
EVERY = {value for value in vars(coding).values() if isinstance(value, Concept)}
EVERY |= set(coding.LATERALITY.values())
KNOWN: dict[tuple[str, str], set[str]] = {}
for scheme, names in concepts.items():
    for codes in names.values():
        for code, entry in codes.items():
            KNOWN.setdefault((scheme, code), set()).add(entry[0])


def _times(first: int, second: int) -> int:
    """The product in the dihedral group of the pentagon: 0..4 turn, 5..9 turn and flip."""
    turn = first % 5 + (second % 5 if first < 5 else -second)
    return turn % 5 + 5 * ((first > 4) != (second > 4))


def _moved(digit: int, times: int) -> int:
    """Verhoeff's permutation, so many times over."""
    for _ in range(times):
        digit = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit]
    return digit


def verhoeff(number: str) -> bool:
    """Whether the last digit is the check digit of a SNOMED CT identifier."""
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = _times(check, _moved(int(digit), place % 8))
    return check == 0


def test_the_check_can_fail() -> None:
    assert verhoeff("39607008")
    assert not verhoeff("39607009")
    assert not verhoeff("36907008")


@pytest.mark.parametrize("concept", sorted(EVERY), ids=lambda concept: concept.meaning)
def test_each_code(concept: Concept) -> None:
    assert concept.sources
    assert len(concept.value) <= 16
    assert len(concept.meaning) <= 64
    if concept.scheme == "SCT":
        assert verhoeff(concept.value)
    if "PS3.16" in concept.sources and "TID 1602" not in concept.sources:
        meanings = {meaning.removesuffix(" (attribute)").lower() for meaning in KNOWN[concept.scheme, concept.value]}
        assert concept.meaning.lower() in meanings


def test_the_findings_are_all_different_and_complete() -> None:
    assert tuple(coding.FINDINGS) == LABELS
    assert len({(row.finding.value, row.site.value) for row in coding.FINDINGS.values()}) == len(LABELS)
    assert {row.finding.scheme for row in coding.FINDINGS.values()} == {"SCT", "RADLEX"}


def test_the_page_shows_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for row in rows():
        assert row in page, f"python -m tests.support.coding_rows: {row}"
