"""The ladder of CONTRIBUTING.md, read off the imports: they point down, never up, and never to the workbench."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cxredge"

# From the ground up. A module may import from lower rungs, and from its own package.
RUNGS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("result", "pixels", "files", "operating_points"),
    ("native", "sources", "results", "clock", "structure"),
    ("preprocess", "postprocess", "bundle", "engines", "dicom", "rasters"),
    ("reading", "report", "conclusions", "streaming", "streams", "drift"),
    ("prediction",),
    ("pipeline", "dicom_out"),
    ("site", "benchmark", "node"),
    ("cli",),
)
RANK = {name: rank for rank, rung in enumerate(RUNGS) for name in rung}

WORKBENCH = {"training", "export", "calibration"}
FORBIDDEN_IN_RUNTIME = WORKBENCH | {"torch", "scipy", "pandas", "cv2", "onnx", "sklearn", "tests", "benchmarks"}
MAY_IMPORT = {"training": {"cxredge"}, "export": {"cxredge", "training"}, "calibration": {"cxredge", "export"}}


def imports_of(path: Path, package: str) -> set[str]:
    """Every module that the file imports, relative ones resolved."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def runtime_files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def part(module: str) -> str | None:
    """`cxredge.engines.base` is of the part `engines`; what is not of cxredge is of none."""
    pieces = module.split(".")
    return pieces[1] if pieces[0] == "cxredge" and len(pieces) > 1 else None


@pytest.mark.parametrize("path", runtime_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_runtime_imports_point_down(path: Path) -> None:
    relative = path.relative_to(ROOT).with_suffix("")
    package = ".".join(relative.parts[:-1])
    own = relative.parts[1] if relative.parts[1] not in {"__init__", "__main__"} else None
    for module in imports_of(path, package):
        assert module.split(".")[0] not in FORBIDDEN_IN_RUNTIME, f"{relative} imports {module}"
        other = part(module)
        if own is None or other is None or other == own or other not in RANK:
            continue
        assert own in RANK, f"cxredge.{own} stands on no rung: add it to RUNGS"
        assert RANK[other] < RANK[own], f"{relative} imports {module}, which is not below it"


def test_every_part_has_a_rung() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in runtime_files()}
    parts -= {"__init__", "__main__"}
    assert parts <= set(RANK), f"without a rung: {sorted(parts - set(RANK))}"


@pytest.mark.parametrize("stage", sorted(MAY_IMPORT))
def test_workbench_imports_point_one_way(stage: str) -> None:
    ours = WORKBENCH | {"cxredge"}
    for path in (ROOT / stage).rglob("*.py"):
        package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
        tops = {module.split(".")[0] for module in imports_of(path, package)} & ours - {stage}
        assert tops <= MAY_IMPORT[stage], f"{path.relative_to(ROOT)} imports {sorted(tops - MAY_IMPORT[stage])}"


def test_rules_can_fail(tmp_path: Path) -> None:
    """The reader of imports sees what it must: plain, from, relative and nested imports."""
    file = tmp_path / "sample.py"
    file.write_text(
        "import torch.nn\nfrom . import base\nfrom ..cli import main\ndef f():\n    from cxredge import pipeline\n"
    )
    found = imports_of(file, "cxredge.engines")
    assert {"torch.nn", "cxredge.engines.base", "cxredge.cli.main", "cxredge.pipeline"} <= found


def modules_after(code: str, cwd: Path) -> set[str]:
    """The modules that a fresh interpreter has loaded after running the code."""
    script = f"import sys\n{code}\nprint('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=cwd)
    return set(done.stdout.rpartition("LOADED")[2].split())


HEAVY = {"onnxruntime", "openvino", "tensorrt", "torch", "PIL", "imagecodecs", "pydicom", "highdicom", "numpy"}


def test_import_is_light(tmp_path: Path) -> None:
    """`import cxredge` pulls in no engine, codec or imaging library."""
    loaded = modules_after("import cxredge", tmp_path)
    assert "cxredge.errors" in loaded
    assert not (HEAVY | {"click", "msgspec"}) & loaded


def test_help_is_light(tmp_path: Path) -> None:
    """Discovery imports click, and none of the heavy libraries."""
    run = "from cxredge.cli import main\ntry:\n    main(['predict', '--help'])\nexcept SystemExit:\n    pass"
    loaded = modules_after(run, tmp_path)
    assert "cxredge.cli.predict" in loaded
    assert not HEAVY & loaded
