"""Watching results as they come, without labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from cxredge.bundle import BaselineSpec, Bundle
from cxredge.drift.baseline import baseline_of_results
from cxredge.drift.detectors import ABSTENTION, CONFIDENCE, IMAGES_PER_FALSE_ALARM, Detectors
from cxredge.errors import Code, InputError
from cxredge.result import LABELS, Record
from cxredge.results import read_results

__all__ = ["SCHEMA", "Alarm", "Watch", "watch"]

SCHEMA = "cxredge.drift/1"
RECENT = 100
"""The images that the rate "of late" is taken over."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """The first time that one disease, or the abstentions, left the baseline.

    Attributes:
        at: the image, counted from 1 over answered and abstained ones.
        since: the image from which on the results differ, as far as can be told.
        what: in words: more or fewer positives, higher or lower scores, more abstentions.
    """

    at: int
    since: int
    what: str


class Watch:
    """Takes results one by one; a host that predicts itself can keep one for each bundle. Not for several threads.

    Args:
        baseline: of the bundle.
        point: the operating point that the results are decided with.

    Raises:
        InputError: NO_BASELINE, where the baseline holds no such operating point.
    """

    def __init__(self, baseline: BaselineSpec, point: str) -> None:
        if point not in baseline.findings[0].positives:
            known = ", ".join(baseline.findings[0].positives)
            raise InputError(Code.NO_BASELINE, f"the baseline holds {known}, the results were decided at {point!r}")
        self.baseline = baseline
        self.point = point
        self.alarms: dict[int, Alarm] = {}
        self._detectors = Detectors(baseline, point)
        self._state = self._detectors.start()
        self.answered = self.abstained = self.errors = 0
        self.positives = np.zeros(len(LABELS), int)
        self._recent: list[list[bool]] = []

    def add(self, record: Record) -> tuple[Alarm, ...]:
        """Take the next result; the alarms that it raised. An input that could not be read says nothing and is counted.

        Raises:
            InputError: RESULTS_UNUSABLE, where it was decided at another operating point.
        """
        if record.status == "error":
            self.errors += 1
            return ()
        positive = [finding.positive for finding in record.findings]
        probabilities = [finding.probability for finding in record.findings] or None
        if probabilities and {finding.operating_point for finding in record.findings} != {self.point}:
            raise InputError(Code.RESULTS_UNUSABLE, "they were decided at several operating points")
        self._count(positive)
        self._detectors.step(self._state, self._detectors.cells(probabilities, positive))
        return self._raised()

    def _count(self, positive: list[bool]) -> None:
        if not positive:
            self.abstained += 1
            return
        self.answered += 1
        self.positives += np.array(positive)
        self._recent = [*self._recent[-RECENT + 1 :], positive]

    def _raised(self) -> tuple[Alarm, ...]:
        totals, new = self._detectors.totals(self._state), []
        for group in np.flatnonzero(totals >= IMAGES_PER_FALSE_ALARM).tolist():
            if group not in self.alarms:
                what, since = self._detectors.leading(self._state, group)
                self.alarms[group] = Alarm(self._state.seen, since + 1, what)
                new.append(self.alarms[group])
        return tuple(new)

    def report(self) -> dict[str, Any]:
        """Everything so far as plain data; rates are of the answered images, null where there are none."""
        totals = self._detectors.totals(self._state)
        late = np.array(self._recent, bool).reshape(-1, len(LABELS))
        findings = [
            {
                "label": label,
                "expected_rate": self.baseline.findings[c].positives[self.point] / self.baseline.images,
                "rate": _share(int(self.positives[c]), self.answered),
                "recent_rate": _share(int(late[:, c].sum()), len(late)),
                **self._verdict(c, float(totals[c])),
            }
            for c, label in enumerate(LABELS)
        ]
        all_images = self.baseline.images + self.baseline.abstained
        return {
            "operating_point": self.point,
            "images": self.answered + self.abstained,
            "answered": self.answered,
            "abstained": self.abstained,
            "errors": self.errors,
            "alarm": bool(self.alarms),
            "limit": IMAGES_PER_FALSE_ALARM,
            "findings": findings,
            "abstention": {
                "expected_rate": self.baseline.abstained / all_images,
                "rate": _share(self.abstained, self.answered + self.abstained),
                **self._verdict(ABSTENTION, float(totals[ABSTENTION])),
            },
        }

    def _verdict(self, group: int, total: float) -> dict[str, Any]:
        alarm = self.alarms.get(group)
        return {
            "evidence": round(total, 3),
            "alarm": {"at": alarm.at, "since": alarm.since, "what": alarm.what} if alarm else None,
        }


def watch(
    bundle: Bundle, results: str | os.PathLike[str], *, baseline: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Look for drift in the results of a running system.

    Args:
        bundle: the open bundle that gave the results.
        results: a file of `cxredge predict --format json` lines, in the order in which the images were taken.
        baseline: a file of earlier results, at least 200 answered, to measure from in place of the bundle's baseline.

    Returns:
        A `cxredge.drift/1` object as plain data; docs/drift.md describes it.

    Raises:
        InputError: NO_BASELINE, RESULTS_UNUSABLE or TOO_FEW_CASES.
    """
    if baseline is None:
        usual, source = bundle.manifest.baseline, "bundle"
    else:
        usual, source = baseline_of_results(read_results(baseline, bundle.sha256), "earlier results"), "results"
    if usual is None:
        raise InputError(Code.NO_BASELINE)
    watching: Watch | None = None
    waiting: list[Record] = []  # abstentions and errors before the first answer tells the operating point
    for record in read_results(results, bundle.sha256):
        if watching is None and record.findings:
            watching = Watch(usual, record.findings[0].operating_point)
            for earlier in waiting:
                watching.add(earlier)
        if watching is None:
            waiting.append(record)
        else:
            watching.add(record)
    if watching is None:
        watching = Watch(usual, next(iter(usual.findings[0].positives)))
        for earlier in waiting:
            watching.add(earlier)
    told = {"source": source, "data": usual.data, "images": usual.images, "abstained": usual.abstained}
    return {
        "schema": SCHEMA,
        "bundle": msgspec.to_builtins(bundle.facts),
        "baseline": told | {"confidence": CONFIDENCE},
        **watching.report(),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
