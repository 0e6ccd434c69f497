"""The rows as files, the two bundles, and what the command says of every row."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cxredge
from cxredge.engines import catalog
from cxredge.pipeline import EMBEDDED
from tests.support.bad_inputs import ROWS
from tests.support.bad_inputs.film import good

ENGINE = {"engine": "onnxruntime", "precision": "fp32"}
Models = dict[bool, cxredge.Model]
Told = dict[tuple[bool, str], dict[str, Any]]


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def model(request: pytest.FixtureRequest, tiny_bundle: Path) -> Iterator[cxredge.Model]:
    if not catalog.engine(request.param).availability().ok:
        pytest.skip(f"{request.param} is not installed")
    with cxredge.load(tiny_bundle, engine=request.param, precision="fp32") as loaded:
        yield loaded


@pytest.fixture(scope="session")
def bundles(tiny_bundle: Path) -> dict[bool, Path]:
    """Real? -> bundle."""
    return {True: EMBEDDED, False: tiny_bundle}


@pytest.fixture(scope="session")
def models(bundles: dict[bool, Path]) -> Iterator[Models]:
    with cxredge.load(bundles[True], **ENGINE) as real, cxredge.load(bundles[False], **ENGINE) as tiny:
        yield {True: real, False: tiny}


@pytest.fixture(scope="session")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Path]]:
    """A folder for each bundle, with its rows and the good film, which is none of them; 250 MB, so not kept."""
    folders = {real: tmp_path_factory.mktemp("real" if real else "quick") for real in (True, False)}
    for row in ROWS:
        (folders[row.real] / row.name).write_bytes(row.make())
    for folder in folders.values():
        (folder / "good").write_bytes(good())
    yield folders
    for folder in folders.values():
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def told(bundles: dict[bool, Path], bad_files: dict[bool, Path]) -> Told:
    """What `cxredge predict FOLDER --format json` says, as a process of its own, by the row's bundle and name."""
    records: Told = {}
    for real, folder in bad_files.items():
        command = [sys.executable, "-P", "-m", "cxredge", "predict", str(folder), "--bundle", str(bundles[real])]
        command += ["--format", "json", *(text for key, value in ENGINE.items() for text in (f"--{key}", value))]
        done = subprocess.run(command, capture_output=True, env=dict(os.environ), timeout=300)
        errors = done.stderr.decode()
        assert "Traceback" not in errors, errors
        lines = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
        assert len(lines) == len(list(folder.iterdir())), errors
        failed = sum(line["status"] == "error" for line in lines)
        assert done.returncode == (1 if failed else 0)
        assert errors.strip() == (f"{failed} of {len(lines)} inputs could not be done" if failed else "")
        records |= {(real, Path(line["input"]["path"]).name): line for line in lines}
    return records
