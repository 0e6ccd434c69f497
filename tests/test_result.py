"""The result contract: its JSON, its schema, and what can never be built."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest

from cxredge.errors import Code
from cxredge.result import LABELS, SCHEMA, Anatomy, Finding, InputFacts, Record, display_name, json_schema, notice


def record() -> Record:
    return Record(
        input=InputFacts(path="scan.dcm", rows=10, columns=20, pixel_spacing=(0.1, 0.2), pixel_spacing_at="patient"),
        status="ok",
        findings=tuple(
            Finding(label=label, probability=0.5, threshold=0.4, operating_point="balanced", positive=True)
            for label in LABELS
        ),
        anatomy=Anatomy(left_lung_px=1.0, right_lung_px=2.0, heart_px=3.0, cardiothoracic_ratio=0.5),
        warnings=(notice(Code.VIEW_UNKNOWN, tag="(0018,5101)"),),
    )


def test_schema_accepts_what_is_written() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(record().to_json()), schema)


@pytest.mark.parametrize(
    ("where", "value"),
    [("schema", "cxredge.prediction/2"), ("status", "fine"), ("findings", [{"label": "Mass"}]), ("input", None)],
)
def test_schema_refuses_what_is_not_the_contract(where: str, value: object) -> None:
    broken = json.loads(record().to_json()) | {where: value}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, json_schema())


def test_schema_promises_every_field() -> None:
    broken = json.loads(record().to_json())
    del broken["timing_ms"]
    with pytest.raises(jsonschema.ValidationError, match="timing_ms"):
        jsonschema.validate(broken, json_schema())


def test_json_round_trip() -> None:
    before = record()
    assert msgspec.json.decode(before.to_json(), type=Record) == before
    assert "\n" not in before.to_json()
    assert json.loads(before.to_json())["schema"] == SCHEMA


def test_it_is_frozen() -> None:
    with pytest.raises(AttributeError):
        record().status = "error"  # type: ignore[misc]


def test_labels_as_people_read_them() -> None:
    assert display_name("Pleural_Thickening") == "Pleural thickening"
    assert len(LABELS) == len(set(LABELS)) == 14
