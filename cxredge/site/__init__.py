"""A site's own thresholds: a derived bundle from a hospital's own labelled cases. See docs/site.md."""

from __future__ import annotations

from cxredge.site.adapt import LEAST_CASES, Wishes, adapt
from cxredge.site.cases import Cases, read_cases
from cxredge.site.derive import ENOUGH, NewFinding, NewPoint, derive_finding
from cxredge.site.report import SCHEMA, markdown

__all__ = [
    "ENOUGH",
    "LEAST_CASES",
    "SCHEMA",
    "Cases",
    "NewFinding",
    "NewPoint",
    "Wishes",
    "adapt",
    "derive_finding",
    "markdown",
    "read_cases",
]
