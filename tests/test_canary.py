"""A patient who does not exist, in files that are good and files that are damaged: no command and no log names him."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

import cxredge
from cxredge.result import LABELS
from tests.fuzz.judge import CANARY, canaries_in
from tests.fuzz.mutate import damaged
from tests.support.bad_inputs.film import good

NAME = CANARY["PatientName"]
MODEL = ("--engine", "onnxruntime", "--precision", "fp32")


def canary_film() -> bytes:
    """The good film of the canary patient, whose name stands in a sequence too."""
    item = Dataset()
    item.PatientName, item.CodeMeaning = NAME, NAME
    return good(tags={**CANARY, "RequestAttributesSequence": [item], "AnatomicRegionSequence": [item]})


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film, and forty that were made from it by damage; the names of the files tell nothing."""
    folder, whole, chance = tmp_path_factory.mktemp("films"), canary_film(), random.Random(20)
    assert canaries_in(whole.decode("latin-1")), "the canary is not in the film"
    (folder / "0.dcm").write_bytes(whole)
    for number in range(1, 41):
        (folder / f"{number}.dcm").write_bytes(damaged(whole, [whole], chance, 2_000_000))
    return folder


def said_by(*words: object, **changes: str) -> str:
    """Everything that the command says, with warnings and development checks on."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cxredge", *map(str, words)],
        capture_output=True,
        env=os.environ | {"PYTHONWARNINGS": "always", "PYTHONDEVMODE": "1"} | changes,
        timeout=300,
    )
    said = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
    assert "Traceback" not in said, said
    return said


def written_below(folder: Path) -> str:
    """All that was written there, names included."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return "\n".join(f"{path.name}\n{path.read_bytes().decode('latin-1')}" for path in files)


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_predict(films: Path, tiny_bundle: Path, tmp_path: Path, form: str) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    out.mkdir()
    words = ["predict", films, "--bundle", tiny_bundle, *MODEL, "--format", form]
    words += ["--output", out, "--overlay", "--report", out / "report.html"]
    said = said_by(*words, CXREDGE_CACHE=str(cache))
    assert len(list(out.glob("*.json"))) == 41
    for text in (said, written_below(out), written_below(cache)):
        # The one UID that a result names is that of the image; the study's is the canary.
        assert canaries_in(text) == []


def test_logs_and_errors_of_the_api(films: Path, tiny_bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Ours and every library's logger at its most talkative, but pydicom's, which quotes values and is the host's."""
    with cxredge.load(tiny_bundle, engine="onnxruntime", precision="fp32") as model, caplog.at_level(logging.DEBUG):
        logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
        refused = 0
        for path in films.iterdir():
            try:
                said = model.predict(path.read_bytes()).to_json()
            except cxredge.InputError as error:
                said, refused = f"{error} {error!r} {error.facts!r} {error.__context__!r}", refused + 1
            assert canaries_in(said) == []
    assert refused >= 3
    assert canaries_in(caplog.text) == []


def cases_with(tmp_path: Path, row: str) -> Path:
    table = tmp_path / "cases.csv"
    table.write_text(f"path,patient,{','.join(LABELS)}\n{row}\n", encoding="utf-8")
    return table


@pytest.mark.parametrize(
    "row",
    [
        f"{NAME}.dcm,{NAME},{',' * 13}",
        f"{NAME}.dcm,{NAME},{NAME}{',' * 13}",
        f"{NAME}.dcm,{NAME}",
        f'"{NAME}.dcm,{NAME}',
        f",{NAME},{',' * 13}",
    ],
)
def test_site(tiny_bundle: Path, tmp_path: Path, row: str) -> None:
    said = said_by("site", tiny_bundle, cases_with(tmp_path, row), "--output", tmp_path / "own.cxr", *MODEL)
    assert "cxredge: " in said
    assert canaries_in(said) == []


@pytest.mark.parametrize("line", [f'{{"path": "{NAME}"}}', f"{NAME}", "{}", f'{{"schema": "{NAME}", "input": {{}}}}'])
def test_drift(tiny_bundle: Path, tmp_path: Path, line: str) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text(line + "\n", encoding="utf-8")
    said = said_by("drift", tiny_bundle, results, "--baseline", results)
    assert "cxredge: " in said
    assert canaries_in(said) == []


@pytest.mark.parametrize("command", [("info", "--bundle"), ("verify",)])
def test_info_and_verify_of_what_is_no_bundle(films: Path, command: tuple[Any, ...]) -> None:
    """A film in place of a bundle: what it holds is not repeated."""
    said = said_by(*command, films / "0.dcm")
    assert "cxredge: " in said
    assert canaries_in(said) == []
