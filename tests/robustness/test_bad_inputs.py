"""The table of bad inputs: the command and the API give every row its one right answer, never a traceback."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest

import cxredge
from cxredge.errors import InputError
from cxredge.result import json_schema
from tests.support.bad_inputs import GROUPS, ROWS, BadInput
from tests.support.robustness_page import page

ROOT = Path(__file__).resolve().parents[2]
rows = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
CLOSE = 1e-4


@functools.cache
def _validator() -> Any:
    return jsonschema.Draft202012Validator(json_schema())


def _probabilities(record: Mapping[str, Any]) -> np.ndarray:
    return np.array([finding["probability"] for finding in record["findings"]])


def _check(row: BadInput, record: Mapping[str, Any], of_the_good_film: np.ndarray) -> None:
    """Compare a result, as JSON has it, with the row's answer."""
    answer = row.answer
    reason = record["reason"]["code"] if record["reason"] else None
    warnings = {warning["code"] for warning in record["warnings"]}
    assert (record["status"], reason, warnings) == (answer.status, answer.reason, answer.warnings)
    if answer.status != "ok":
        assert not record["findings"] and record["anatomy"] is None
        return
    if answer.score is not None:
        furthest = np.abs(_probabilities(record) - of_the_good_film).max()
        assert (furthest <= CLOSE) == (answer.score == "same"), furthest
    if answer.anonymous:
        assert record["input"]["sop_instance_uid"] is None


@rows
def test_the_command(row: BadInput, told: dict[tuple[bool, str], dict[str, Any]]) -> None:
    record = told[row.real, row.name]
    _validator().validate(record)
    _check(row, record, _probabilities(told[row.real, "good"]))


@pytest.fixture(scope="module")
def of_the_good_film(models: dict[bool, cxredge.Model], bad_files: dict[bool, Path]) -> dict[bool, np.ndarray]:
    scores = {}
    for real, model in models.items():
        prediction = model.predict(bad_files[real] / "good")
        assert (prediction.status, prediction.warnings) == ("ok", ())
        scores[real] = np.array([finding.probability for finding in prediction.findings])
    return scores


@rows
def test_the_api(
    row: BadInput,
    models: dict[bool, cxredge.Model],
    bad_files: dict[bool, Path],
    of_the_good_film: dict[bool, np.ndarray],
) -> None:
    """The same answer from `predict`, where an error is an exception that carries its code."""
    try:
        record = models[row.real].predict(bad_files[row.real] / row.name).record
    except InputError as error:
        assert (row.answer.status, row.answer.reason) == ("error", error.code)
        assert {warning.code for warning in error.warnings} == row.answer.warnings
    else:
        _check(row, msgspec.to_builtins(record), of_the_good_film[row.real])


def test_there_are_many_and_each_has_its_own_name() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 60
    assert len({(group.title, row.what) for group in GROUPS for row in group.rows}) == len(ROWS)


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8")
    assert written == page(), "run `python dev.py robustness`"
