"""Records and evidence made by code: what the pictures' tests draw."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from cxredge.errors import Code
from cxredge.report.html import Case
from cxredge.result import (
    LABELS,
    STRUCTURES,
    Anatomy,
    BundleFacts,
    Finding,
    Gate,
    InputFacts,
    Notice,
    Ran,
    Record,
    Timing,
    notice,
)
from tests.support.phantom import draw_masks, draw_phantom

WHEN = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "</style><svg onload=alert(1)>",
    "\"' onmouseover=alert(1) x='",
    "--><iframe src=//example.org></iframe><!--",
    "${style} $script &lt;b&gt;",
    "a\x00b\x1b\u202e\udcff\nc",
)


def findings(probabilities: dict[str, float] | None = None, point: str = "balanced") -> tuple[Finding, ...]:
    """Fourteen findings at threshold 0.4; small probabilities for labels that are not named."""
    given = {"Effusion": 0.81, "Cardiomegaly": 0.624, "Pneumonia": 0.3996} if probabilities is None else probabilities
    return tuple(
        Finding(
            label=label,
            probability=given.get(label, 0.05 + 0.01 * index),
            threshold=0.4,
            operating_point=point,
            positive=given.get(label, 0.0) >= 0.4,
        )
        for index, label in enumerate(LABELS)
    )


def ok_record(*, rows: int = 2500, columns: int = 2048, clinical: bool = False, **changes: object) -> Record:
    """A result with two positives, two warnings and all facts; `changes` replace whole fields."""
    fields: dict[str, object] = {
        "input": InputFacts(
            path="studies/scan.dcm",
            sop_instance_uid="1.2.826.0.1.3680043.8.498.1",
            rows=rows,
            columns=columns,
            modality="DX",
            view="PA",
            pixel_spacing=(0.143, 0.143),
            pixel_spacing_at="detector",
        ),
        "status": "ok",
        "bundle": BundleFacts(name="tiny-test", version="1.0.0", sha256="ab" * 32, clinical=clinical),
        "ran": Ran(engine="onnxruntime", engine_version="1.23.0", device="cpu", precision="fp32", threads=2),
        "findings": findings(),
        "anatomy": Anatomy(
            left_lung_px=610000.0,
            right_lung_px=690000.0,
            heart_px=380000.0,
            left_lung_mm2=12473.9,
            right_lung_mm2=14109.8,
            heart_mm2=7770.6,
            cardiothoracic_ratio=0.523,
        ),
        "gate": Gate(not_chest=0.01, inverted=0.002, turned=0.003),
        "warnings": (notice(Code.NO_WINDOW), notice(Code.VIEW_UNKNOWN, tag="(0018,5101)")),
        "timing_ms": Timing(read=3.1, decode=20.5, pixels=4.2, engine=31.0, postprocess=2.0, total=61.3),
    }
    return Record(**(fields | changes))  # type: ignore[arg-type]


def refused_record(status: str = "abstained", **changes: object) -> Record:
    """An abstention over a lateral view, or an error over a broken code stream."""
    code, tag = (Code.LATERAL_VIEW, "(0018,5101)") if status == "abstained" else (Code.CODESTREAM_BROKEN, None)
    fields = {"status": status, "reason": notice(code, tag=tag), "findings": (), "anatomy": None, "gate": None}
    return ok_record(**(fields | {"ran": None, "warnings": ()} | changes))


def image_of(rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """The drawn chest as a display image."""
    return (draw_phantom(rows, columns) >> 4).astype(np.uint8)


def masks_of(rows: int, columns: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Its lungs and heart by name."""
    return dict(zip(STRUCTURES, draw_masks(rows, columns), strict=True))


def evidence_of(rows: int, columns: int, centre: tuple[float, float] = (0.68, 0.62)) -> npt.NDArray[np.float32]:
    """A heat map of one round spot; `centre` is (x, y) as fractions of the image."""
    y, x = (np.arange(rows)[:, None] + 0.5) / rows, (np.arange(columns)[None, :] + 0.5) / columns
    spot = np.exp(-(((x - centre[0]) / 0.12) ** 2) - ((y - centre[1]) / 0.1) ** 2)
    return spot.astype(np.float32)


def full_case(record: Record | None = None, rows: int = 300, columns: int = 260) -> Case:
    maps = {label: evidence_of(40, 35, (0.2 + 0.04 * i, 0.5)) for i, label in enumerate(LABELS)}
    return Case(record or ok_record(), image_of(rows, columns), masks_of(rows, columns), maps)


def with_text(text: str) -> Record:
    """A record that says `text` wherever it can say anything."""
    return ok_record(
        input=InputFacts(path=text, sop_instance_uid=text, rows=300, columns=260, modality=text, view=text),
        bundle=BundleFacts(name=text, version=text, sha256=text, clinical=False),
        ran=Ran(engine=text, engine_version=text, device=text, precision=text),
        warnings=(Notice(code=Code.NO_WINDOW, message=text, tag=text),),
        findings=findings(point=text),
    )
