"""Bundles, `cxredge.bundle/1`: the sealed folder (or `.cxr` archive) that holds one model.

A bundle is opened with :func:`open_bundle`, checked through and through with :func:`verify` and made with
:func:`write_bundle`. docs/bundles.md describes the format and everything that is refused.
"""

from __future__ import annotations

from cxredge.bundle.golden import Golden
from cxredge.bundle.manifest import (
    BF16_GATE,
    GRAPH_PRECISIONS,
    SCHEMA,
    Calibration,
    FindingSpec,
    GateThresholds,
    GoldenSpec,
    GraphSpec,
    HeatmapSpec,
    InputSpec,
    Interval,
    Manifest,
    MaskSpec,
    OperatingPoint,
    json_schema,
)
from cxredge.bundle.provenance import BaselineSpec, DerivedSpec, FindingBaseline, ParentSpec
from cxredge.bundle.reader import Bundle, GraphFile, open_bundle, verify
from cxredge.bundle.writer import write_bundle

__all__ = [
    "BF16_GATE",
    "GRAPH_PRECISIONS",
    "SCHEMA",
    "BaselineSpec",
    "Bundle",
    "Calibration",
    "DerivedSpec",
    "FindingBaseline",
    "FindingSpec",
    "GateThresholds",
    "Golden",
    "GoldenSpec",
    "GraphFile",
    "GraphSpec",
    "HeatmapSpec",
    "InputSpec",
    "Interval",
    "Manifest",
    "MaskSpec",
    "OperatingPoint",
    "ParentSpec",
    "json_schema",
    "open_bundle",
    "verify",
    "write_bundle",
]
