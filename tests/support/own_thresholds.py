"""The tiny bundle with a calibration and thresholds of its own for fp32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cxredge.bundle import write_bundle
from cxredge.result import LABELS
from tests.support.tiny_bundle import tiny_files, tiny_manifest

SCALE = 2.0
POINTS = {"balanced": 0.6, "screening": 0.2, "confirm": 0.8}


def own_findings() -> list[dict[str, Any]]:
    """Other numbers than the tiny bundle's in every place."""
    points = {
        name: {"threshold": threshold, "how": "set by hand for fp32", "data": "none"}
        for name, threshold in POINTS.items()
    }
    calibration = {"kind": "temperature", "scale": SCALE}
    return [{"label": label, "calibration": calibration, "operating_points": points} for label in LABELS]


def write_own_thresholds(out: Path) -> Path:
    """Seal it at `out`."""
    return write_bundle(out, tiny_manifest() | {"findings_by_precision": {"fp32": own_findings()}}, tiny_files())
