"""What a manifest may say beyond the model: which bundle it was derived from, and what its results should look like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec

from cxredge.bundle.fields import Count, Date, FileName, Fraction, Sha256, Text, Word
from cxredge.result import LABELS

__all__ = ["BaselineSpec", "DerivedSpec", "FindingBaseline", "ParentSpec", "baseline_problems"]


class ParentSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bundle that another was derived from; `sha256` is its identity."""

    name: Word
    version: Word
    sha256: Sha256


class DerivedSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a derived bundle came about: same graphs, other calibration and operating points."""

    parent: ParentSpec
    cases_sha256: Sha256
    """Of the table of cases, as a file."""
    cases: Count
    """Those that were answered and used."""
    patients: Count
    date: Date
    ran: Text
    """The engine, device and precision that gave the scores."""
    report: FileName


class FindingBaseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One label: how many images were called positive, and how the probabilities spread."""

    label: str
    positives: dict[Word, Count]
    """By operating point."""
    edges: tuple[Fraction, ...]
    """Rising. Bin i holds the probabilities above edge i - 1 and up to edge i."""
    counts: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1)]
    """One more than edges."""


class BaselineSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What this bundle gave on images as they come, unselected: drift is measured from here."""

    data: Text
    images: Annotated[int, msgspec.Meta(ge=1)]
    """Those that were answered."""
    abstained: Count
    findings: tuple[FindingBaseline, ...]


def baseline_problems(baseline: BaselineSpec, points: Sequence[str]) -> Iterator[str]:
    """What a type cannot say, the first problem first."""
    if tuple(finding.label for finding in baseline.findings) != LABELS:
        yield "baseline.findings are not one a label, in their order"
    for finding in baseline.findings:
        where = f"baseline of {finding.label}"
        if len(finding.counts) != len(finding.edges) + 1 or sum(finding.counts) != baseline.images:
            yield f"{where}: counts do not fit its edges and images"
        if any(low >= high for low, high in zip(finding.edges, finding.edges[1:], strict=False)):
            yield f"{where}: edges do not rise"
        if set(finding.positives) != set(points):
            yield f"{where}: positives must be given for {', '.join(points)}"
        if any(count > baseline.images for count in finding.positives.values()):
            yield f"{where}: more positives than images"
