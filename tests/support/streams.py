"""Files of results as a running system would leave them, and a bundle that holds a baseline of such."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from cxredge.bundle import Bundle, write_bundle
from cxredge.drift import make_baseline
from cxredge.errors import Code
from cxredge.operating_points import sigmoid
from cxredge.result import LABELS, BundleFacts, Finding, InputFacts, Record, notice
from tests.support.tiny_bundle import tiny_files, tiny_manifest

THRESHOLDS = {"balanced": 0.5, "screening": 0.3, "confirm": 0.7}


def draw_probabilities(seed: int, count: int) -> np.ndarray:
    """[count, 14]; about one in ten is over 0.5."""
    rng = np.random.default_rng(seed)
    return np.asarray(sigmoid(rng.normal(-1.28 * 1.5, 1.5, (count, len(LABELS)))))


def write_baseline_bundle(out: Path, images: int = 5000, abstained: int = 100) -> Path:
    """The tiny bundle with a baseline of drawn probabilities."""
    thresholds = {name: [limit] * len(LABELS) for name, limit in THRESHOLDS.items()}
    baseline = make_baseline(draw_probabilities(0, images), thresholds, abstained, "drawn")
    tree = tiny_manifest(int8=False) | {"baseline": msgspec.to_builtins(baseline)}
    return write_bundle(out, tree, tiny_files(int8=False))


def record(bundle: BundleFacts, probabilities: Sequence[float] | None, point: str = "balanced") -> Record:
    """One result; None is an abstention."""
    facts = InputFacts(path="/archive/Jane_Doe/1.dcm", sop_instance_uid="1.2.3.4")
    if probabilities is None:
        return Record(input=facts, status="abstained", reason=notice(Code.LATERAL_VIEW), bundle=bundle)
    limit = THRESHOLDS[point]
    findings = tuple(
        Finding(label=label, probability=p, threshold=limit, operating_point=point, positive=p >= limit)
        for label, p in zip(LABELS, probabilities, strict=True)
    )
    return Record(input=facts, status="ok", bundle=bundle, findings=findings)


def write_results(
    path: Path, bundle: Bundle, probabilities: np.ndarray, *, point: str = "balanced", abstain_every: int = 50
) -> Path:
    """One line an image; every so manieth is an abstention (0: none)."""
    lines = []
    for index, row in enumerate(probabilities.tolist()):
        if abstain_every and index % abstain_every == abstain_every - 1:
            lines.append(record(bundle.facts, None).to_json())
        lines.append(record(bundle.facts, row, point).to_json())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
