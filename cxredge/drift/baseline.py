"""What a bundle gives on images as they come: the baseline that drift is measured from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cxredge.bundle import BaselineSpec, FindingBaseline
from cxredge.errors import Code, InputError
from cxredge.result import LABELS, Record

__all__ = ["LEAST_IMAGES", "baseline_of_results", "make_baseline"]

LEAST_IMAGES = 200
"""Fewer say too little of what is usual: of a rate of 0.1 not even that it is below 0.14."""
BINS = 10


def make_baseline(
    probabilities: npt.ArrayLike, thresholds: Mapping[str, Sequence[float]], abstained: int, data: str
) -> BaselineSpec:
    """The baseline of images that were not selected in any way.

    Args:
        probabilities: [N, 14], calibrated, of the images that were answered.
        thresholds: by operating point, one a label.
        abstained: how many images were not.
        data: what the images are, in words.

    Raises:
        InputError: TOO_FEW_CASES.
    """
    p = np.asarray(probabilities, np.float64)
    if len(p) < LEAST_IMAGES:
        raise InputError(Code.TOO_FEW_CASES, f"{len(p)} images were answered, a baseline takes {LEAST_IMAGES}")
    called = {name: (p >= np.asarray(limits)).sum(0).tolist() for name, limits in thresholds.items()}
    return _baseline(p, called, abstained, data)


def baseline_of_results(records: Iterable[Record], data: str) -> BaselineSpec:
    """The baseline of the first results of a running system, at the operating point that they were decided with.

    Raises:
        InputError: TOO_FEW_CASES, or RESULTS_UNUSABLE where they were decided at several operating points.
    """
    rows, called, points = [], np.zeros(len(LABELS), int), set()
    abstained = 0
    for record in records:
        abstained += record.status == "abstained"
        if record.status == "ok":
            rows.append([finding.probability for finding in record.findings])
            called += np.array([finding.positive for finding in record.findings])
            points |= {finding.operating_point for finding in record.findings}
    if len(rows) < LEAST_IMAGES:
        raise InputError(Code.TOO_FEW_CASES, f"{len(rows)} images were answered, a baseline takes {LEAST_IMAGES}")
    if len(points) > 1:
        raise InputError(Code.RESULTS_UNUSABLE, f"they were decided at several operating points: {sorted(points)}")
    return _baseline(np.array(rows), {points.pop(): called.tolist()}, abstained, data)


def _baseline(p: npt.NDArray[np.float64], called: Mapping[str, list[int]], abstained: int, data: str) -> BaselineSpec:
    findings = []
    for c, label in enumerate(LABELS):
        edges = np.unique(np.quantile(p[:, c], np.arange(1, BINS) / BINS, method="inverted_cdf"))
        counts = np.bincount(np.searchsorted(edges, p[:, c]), minlength=len(edges) + 1)
        positives = {name: counted[c] for name, counted in called.items()}
        findings.append(
            FindingBaseline(
                label=label, positives=positives, edges=tuple(edges.tolist()), counts=tuple(counts.tolist())
            )
        )
    return BaselineSpec(data=data, images=len(p), abstained=abstained, findings=tuple(findings))
