"""What the bundle says of the cases: by running it, or from results that it gave before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cxredge.bundle import Bundle, Manifest
from cxredge.errors import Code, InputError
from cxredge.files import path_text
from cxredge.operating_points import Calibrator, logit
from cxredge.result import LABELS, Ran, Record
from cxredge.results import read_results
from cxredge.site.cases import Cases

__all__ = ["Scored", "calibrators", "run_cases", "score_results"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The graph's logits of the cases.

    Attributes:
        logits: [N, 14]; not-a-number throughout for a case that was not answered.
        abstained, errors: cases that were not answered.
        ran: the engine, device and precision that answered.
        precision: of these; None where nothing was answered.
    """

    logits: Floats = field(repr=False)
    abstained: int
    errors: int
    ran: str
    precision: str | None


def calibrators(manifest: Manifest, precision: str | None) -> list[Calibrator]:
    """The bundle's own calibration where this precision runs, one a label."""
    each = [finding.calibration for finding in manifest.findings_for(precision)]
    return [Calibrator(one.kind, one.scale, one.offset) for one in each]


def run_cases(bundle: str | os.PathLike[str], cases: Cases, step: Callable[[], None], **model: Any) -> Scored:
    """Predict on every case.

    Args:
        bundle: its path.
        cases: they must all be there.
        step: called after each case, for a progress bar.
        model: further arguments of `cxredge.load`.

    Raises:
        InputError: FILE_NOT_FOUND, naming no file but how many are missing.
        BundleError, EngineError: as `cxredge.load`.
    """
    from cxredge.pipeline import load

    missing = sum(not path.is_file() for path in cases.paths)
    if missing:
        raise InputError(Code.FILE_NOT_FOUND, f"{missing} of {len(cases.paths)} paths of the table lead to no file")
    collected = []
    with load(bundle, **model) as loaded:
        for prediction in loaded.predict_many(cases.paths):
            collected.append(prediction.record)
            step()
        return _scored(collected, loaded.manifest)


def score_results(results: str | os.PathLike[str], cases: Cases, bundle: Bundle) -> Scored:
    """Take the answers from a file of `cxredge predict --format json` lines.

    A case is found by its path, written alike or leading to the same file. Results of other images are passed over.

    Raises:
        InputError: RESULTS_UNUSABLE, also where cases have no result, or an image has two.
    """
    by_path: dict[str, Record] = {}
    for record in read_results(results, bundle.sha256):
        key = os.path.realpath(record.input.path or "")
        if record.input.path and by_path.setdefault(key, record) is not record:
            raise InputError(Code.RESULTS_UNUSABLE, "an image has two results")
    found = [by_path.get(path_text(os.path.realpath(path))) for path in cases.paths]
    there = [record for record in found if record is not None]
    if len(there) < len(found):
        missing = len(found) - len(there)
        raise InputError(Code.RESULTS_UNUSABLE, f"{missing} of {len(found)} cases have no result")
    return _scored(there, bundle.manifest)


def _scored(records: list[Record], manifest: Manifest) -> Scored:
    counts = {status: sum(record.status == status for record in records) for status in ("abstained", "error")}
    how = {_ran(record.ran) for record in records if record.ran is not None and record.status == "ok"}
    if len(how) > 1:
        raise InputError(Code.RESULTS_UNUSABLE, f"they were made in several ways: {'; '.join(sorted(how))}")
    precision = next((record.ran.precision for record in records if record.ran and record.status == "ok"), None)
    logits = _logits(records, calibrators(manifest, precision))
    return Scored(logits, counts["abstained"], counts["error"], "".join(how), precision)


def _ran(ran: Ran) -> str:
    return f"{ran.engine} {ran.engine_version}, {ran.device}, {ran.precision}"


def _logits(records: Iterable[Record], own: list[Calibrator]) -> Floats:
    """Back from the probabilities that were given to what the graph gave: the way is one-to-one."""
    empty = [float("nan")] * len(LABELS)
    rows = [[finding.probability for finding in record.findings] or empty for record in records]
    p = np.array(rows, np.float64).reshape(-1, len(LABELS))
    told = np.where(np.isnan(p), np.nan, logit(np.where(np.isnan(p), 0.5, p)))
    return np.stack([one.undo(told[:, c]) for c, one in enumerate(own)], axis=1)
