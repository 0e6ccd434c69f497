"""One site for all tests: 220 drawn chests, predicted on once by the command itself."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.support.site_cases import draw_cases, draw_labels, write_cases

COUNT = 220
ENGINE = ("--engine", "onnxruntime", "--precision", "fp32")


@dataclass(frozen=True)
class Site:
    bundle: Path
    images: tuple[Path, ...]
    patients: tuple[str, ...]
    results: Path
    truth: np.ndarray
    probabilities: np.ndarray
    cases: Path


@pytest.fixture(scope="session")
def site(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    images = draw_cases(folder, COUNT)
    command = [sys.executable, "-P", "-m", "cxredge", "predict", *map(str, images), "--bundle", str(tiny_bundle)]
    done = subprocess.run([*command, *ENGINE, "--format", "json"], capture_output=True, check=True)
    results = folder / "results.jsonl"
    results.write_bytes(done.stdout)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["status"] for record in records] == ["ok"] * COUNT, records[0]
    p = np.array([[finding["probability"] for finding in record["findings"]] for record in records])
    truth = draw_labels(p)
    patients = tuple(f"Patient-{index}" for index in range(COUNT))
    cases = write_cases(folder / "cases.csv", images, truth, patients)
    return Site(tiny_bundle, tuple(images), patients, results, truth, p, cases)
