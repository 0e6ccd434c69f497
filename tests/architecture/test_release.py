"""What a release is locked with: pinned, hashed, of the packages that pyproject.toml names, and without an address."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.support.coverage_floor import main, shares
from tests.support.released import locked, plain, problems

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "requirements" / "release.txt").read_text(encoding="utf-8")
EXTRAS = ("sign", "dicom", "node", "openvino")
HASH = "--hash=sha256:" + "0" * 64


def wanted() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for name in EXTRAS for line in project["optional-dependencies"][name])]
    return [found for found in map(Requirement, lines) if found.name != "cxredge"]


def test_every_package_is_locked_within_its_bounds() -> None:
    pins = locked(TEXT)
    for requirement in wanted():
        version, _ = pins[plain(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: {version} is locked; run `python dev.py lock`"


def test_it_names_no_place() -> None:
    assert "://" not in TEXT and "--index" not in TEXT and "--find-links" not in TEXT and " @ " not in TEXT


@pytest.mark.parametrize("text", ["numpy", "numpy>=2", "--index-url x", "numpy==2.0", f"numpy @ file:///a\n    {HASH}"])
def test_what_is_not_pinned_and_hashed_is_seen(text: str) -> None:
    with pytest.raises(ValueError, match="hash"):
        locked(text)


def bill(**changes: Any) -> dict[str, Any]:
    parts = [{"name": "typing_extensions", "version": "4.1"}]
    return {"metadata": {"component": {"name": "cxredge"}}, "components": parts} | changes


def test_a_bill_is_compared_with_the_lock() -> None:
    pins = locked(f"typing-extensions==4.1 \\\n    {HASH}")
    assert problems(bill(), pins) == []
    assert problems(bill(components=[]), pins) == ["typing-extensions 4.1 is locked, the bill has None"]
    assert len(problems(bill(components=[{"name": "typing_extensions", "version": "4.2"}]), pins)) == 1
    assert problems(bill(extra="file:///home"), pins) == ["it names a path of this machine"]


def test_the_floor_of_coverage_can_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def report(lines: int, branches: int) -> Path:
        totals = {"num_statements": 100, "covered_lines": lines, "num_branches": 100, "covered_branches": branches}
        path = tmp_path / "coverage.json"
        path.write_text(json.dumps({"totals": totals, "files": {}}), encoding="utf-8")
        return path

    assert [main(report(*each)) for each in ((95, 90), (94, 99), (99, 89))] == [0, 1, 1]
    assert "95.0%" in capsys.readouterr().out
    with pytest.raises(ValueError, match="nothing"):
        shares({"totals": {"num_statements": 0, "num_branches": 0, "covered_lines": 0, "covered_branches": 0}})
