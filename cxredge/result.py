"""The result contract, `cxredge.prediction/1`: what a prediction is, as one JSON object.

Everything here is plain, frozen data that msgspec validates and turns into JSON and JSON Schema.
The pictures that go with it (masks, heat maps) live in :class:`cxredge.prediction.Prediction`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from cxredge.errors import MEANINGS, Code, CxredgeError

__all__ = [
    "LABELS",
    "SCHEMA",
    "STRUCTURES",
    "Anatomy",
    "BundleFacts",
    "Finding",
    "Gate",
    "InputFacts",
    "Notice",
    "Ran",
    "Record",
    "Timing",
    "display_name",
    "json_schema",
    "notice",
]

SCHEMA = "cxredge.prediction/1"

LABELS: tuple[str, ...] = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""The fourteen diseases, in the order of every manifest, graph and table."""

STRUCTURES: tuple[str, ...] = ("left_lung", "right_lung", "heart")
"""The three masks, in the order of the graph's output. Left and right are the patient's."""

Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


def display_name(label: str) -> str:
    """The label as people read it: `Pleural_Thickening` becomes `Pleural thickening`."""
    return label.replace("_", " ").capitalize()


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A warning, or the reason of an abstention or an error."""

    code: Code
    message: str
    tag: str | None = None


class InputFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the input. Nothing here identifies a patient but the path and the UID that the caller holds."""

    path: str | None = None
    sop_instance_uid: str | None = None
    rows: int | None = None
    columns: int | None = None
    modality: str | None = None
    view: str | None = None
    pixel_spacing: tuple[float, float] | None = None
    """Millimetres between rows and between columns."""
    pixel_spacing_at: Literal["patient", "detector"] | None = None
    """Where the spacing holds: a detector's own spacing enlarges the patient by the geometry of the exposure."""


class BundleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Which bundle spoke."""

    name: str
    version: str
    sha256: str
    clinical: bool
    learned_from: int | None = None
    """How many images of patients its findings were learned from; null where it does not say."""

    @property
    def use(self) -> str:
        """What it may be used for, in words: every output says so."""
        if self.clinical:
            return "clinical"
        learned = "" if self.learned_from is None else f", trained on {self.learned_from:,} images"
        return f"demonstration{learned}, not for diagnosis"


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What really ran, read back from the engine."""

    engine: str
    engine_version: str
    device: str
    precision: str
    threads: int | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One disease: never a probability without the threshold that it was compared with."""

    label: str
    probability: Probability
    threshold: Probability
    operating_point: str
    positive: bool


class Anatomy(msgspec.Struct, frozen=True, kw_only=True):
    """Areas and the cardiothoracic ratio. `*_px` are pixels of the image; `*_mm2` need a pixel spacing."""

    left_lung_px: float
    right_lung_px: float
    heart_px: float
    left_lung_mm2: float | None = None
    right_lung_mm2: float | None = None
    heart_mm2: float | None = None
    cardiothoracic_ratio: float | None = None


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities that the picture is not what the network was made for; null where the graph has no gate."""

    not_chest: Probability
    inverted: Probability
    turned: Probability


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of wall time, by stage."""

    read: float = 0.0
    decode: float = 0.0
    pixels: float = 0.0
    engine: float = 0.0
    postprocess: float = 0.0
    total: float = 0.0


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One input's answer: the whole of the JSON object."""

    schema: Literal["cxredge.prediction/1"] = "cxredge.prediction/1"
    input: InputFacts
    status: Literal["ok", "abstained", "error"]
    reason: Notice | None = None
    bundle: BundleFacts | None = None
    ran: Ran | None = None
    findings: tuple[Finding, ...] = ()
    anatomy: Anatomy | None = None
    gate: Gate | None = None
    warnings: tuple[Notice, ...] = ()
    timing_ms: Timing = Timing()

    def to_json(self) -> str:
        """The object on one line."""
        return msgspec.json.encode(self).decode()


def notice(code: Code, detail: str = "", *, tag: str | None = None) -> Notice:
    """A warning or a reason with the standard wording of its code."""
    return Notice(code=code, message=CxredgeError(code, detail, tag=tag).message, tag=tag)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `cxredge.prediction/1`."""
    schema = msgspec.json.schema(Record)
    meanings = "; ".join(f"{code}: {meaning.what}" for code, meaning in MEANINGS.items())
    schema["$defs"]["Code"]["description"] = meanings
    for part in schema["$defs"].values():
        if "properties" in part:  # every field is always written, null or not: a reader may count on it
            part["required"] = list(part["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema}
